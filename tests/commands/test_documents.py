"""README, CONTRIBUTING and docs/ keep their word: what they show to be typed works, and their links lead somewhere.

Python and YAML are run as they stand, in a folder with the files and run folders that the texts speak of. Of commands, each
kind of them runs in a tiny form; all are read by their own parser, with everything that is checked before compiling. All
commands run in tiny form with `-m slow`.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import json
import pickle
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from documents import Snippet, anchors, commands, links, snippets

from mimicjax import __main__ as listing
from mimicjax import build, config, evaluate, paths, train, train_prior
from mimicjax.benchmark import __main__ as benchmark
from mimicjax.config.settings import RunSettings
from mimicjax.draw import canvas
from mimicjax.engine import choose
from mimicjax.errors import UserError
from mimicjax.evaluation.push import profile, trial
from mimicjax.evaluation.restored import settings_of
from mimicjax.motion import __main__ as motion
from mimicjax.motion.datasets import load_motions
from mimicjax.motion.files import read_clip
from mimicjax.names import NAMES
from mimicjax.robot import __main__ as robot
from mimicjax.robot.load import load
from mimicjax.types import FAILED, RUNNING, TIME_UP

FILES = [paths.ROOT / "README.md", paths.ROOT / "CONTRIBUTING.md", *sorted((paths.ROOT / "docs").glob("*.md"))]
SHOWN = [snippet for file in FILES for snippet in snippets(file)]
RUN = [snippet for snippet in SHOWN if not snippet.reason]
TINY = {
    "engine.name": "native", "num_envs": 2, "max_iterations": 1, "learn.steps_per_iter": 2, "learn.actor_hidden": "[8]",
    "learn.critic_hidden": "[8]", "learn.disc.hidden": "[8]", "learn.disc.buffer_size": 0, "keep.test_episodes": 2,
    "keep.curves": "false", "env.episode_length": 0.5, "randomize.variants": 4,
}  # fmt: skip
SMALL = [word for key, value in TINY.items() for word in (f"--{key}", str(value))]
URDF = """<robot name="two"><link name="base"><inertial><mass value="1"/>
<inertia ixx="1" iyy="1" izz="1" ixy="0" ixz="0" iyz="0"/></inertial></link></robot>"""
SWEEP = "repeats: 1\npushes: {shove: {bodies: [first], directions: [left], impulses: [5, 20]}}\n"


def shown(kind: str, of: list[Snippet] = RUN):
    return pytest.mark.parametrize("snippet", [pytest.param(s, id=s.name) for s in of if s.kind == kind])


@pytest.fixture(scope="module")
def workplace(tmp_path_factory, g1) -> Path:
    """A folder with what the texts speak of: clips, a profile, a robot's URDF, and run folders of a tiny run."""
    folder = tmp_path_factory.mktemp("docs")
    for name in ("walk", "run", "mine"):
        shutil.copy(paths.ROOT / "motions" / "g1" / "walk.npz", folder / f"{name}.npz")
    pose = [*g1.start_qpos[:3], 0.0, 0.0, 0.0, *g1.start_qpos[7:]]
    frames = np.tile(np.asarray(pose, np.float64), (40, 1)).tolist()
    for name in ("my_clip", "spinkick"):
        (folder / f"{name}.pkl").write_bytes(pickle.dumps({"fps": 30, "loop_mode": 1, "frames": frames}))
    (folder / "mine.yaml").write_text(SWEEP)
    (folder / "robot.urdf").write_text(URDF)
    first = folder / "runs" / "deepmimic_g1"
    assert train.run(["--config", "deepmimic_g1", *SMALL, "--out", str(first)]) == 0
    for name in ("add_g1", "add_g1_push", "amp_g1"):
        shutil.copytree(first, folder / "runs" / name)
    return folder


@pytest.fixture
def here(workplace, monkeypatch) -> Path:
    monkeypatch.chdir(workplace)
    return workplace


def test_all_kinds_of_blocks_are_known():
    assert {snippet.kind for snippet in SHOWN} == {"python", "yaml", "shell"}
    assert len([s for s in RUN if s.kind == "shell"]) > 30 and len([s for s in RUN if s.kind == "python"]) >= 4


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_links_lead_somewhere(file):
    for target in links(file):
        name, _, anchor = target.partition("#")
        there = (file.parent / name).resolve() if name else file
        assert there.exists(), f"{file.name}: {target}"
        assert not anchor or anchor in anchors(there), f"{file.name}: {target}"


@shown("python")
def test_python_runs(snippet, here, g1, capsys):
    names = repr(list(g1.dof_names))  # where a text leaves out a list, it is of joint names
    exec(compile(snippet.text.replace("[...]", names), snippet.name, "exec"), {"__name__": snippet.name})
    if '"mine.npz"' in snippet.text:
        clip = read_clip(here / "mine.npz", g1)
        assert clip.root_pos.shape == (61, 3) and clip.fps == 30
    if "step(" in snippet.text:
        rows = np.loadtxt(capsys.readouterr().out.splitlines())
        assert rows.shape == (30, 2) and np.all((rows[:, 0] >= 0) & (rows[:, 0] <= 1))
        assert (
            set(rows[:, 1]) <= {RUNNING, FAILED, TIME_UP} and rows[:15, 1].any()
        )  # an episode has 15 steps at most here


@shown("yaml")
def test_yaml_is_what_it_says(snippet, here, g1, tmp_path):
    file = here / "shown.yaml"
    file.write_text(snippet.text)
    keys = set(yaml.safe_load(snippet.text))
    if "motions" in keys:
        assert [clip.weight for clip in load_motions(str(file), g1)] == [2.0, 1.0]
    elif "pushes" in keys:
        assert trial.prepare(str(file), profile.load(str(file)), g1).cells
    else:
        settings = config.load(RunSettings, file, names=NAMES)
        assert settings.learn.algorithm == "ADD" and settings != config.load(RunSettings, "add_g1")


@shown("shell")
def test_commands_are_understood(snippet, here, monkeypatch):
    for words in commands(snippet.text):
        program, what, *argv = [word.replace("<name>", "g1") for word in words]
        assert program == "python", f"{snippet.name}: {snippet.text} is neither run nor marked"
        if what == "-m":
            understand(argv[0], argv[1:])
        else:
            understand_script(what, argv, monkeypatch)


def understand(module: str, argv: list[str]) -> None:
    """Do all that a command does before it compiles; what needs no compiling runs."""
    if "--help" in argv:
        with pytest.raises(SystemExit) as end:
            train.run(argv)
        assert end.value.code == 0
    elif module == "mimicjax.train":
        settings, _, _ = train.parse([*argv, *SMALL])
        assert build.world(settings).clips
    elif module == "mimicjax.train_prior":
        settings, _ = train_prior.parse(argv)
        assert build.prior_facts(build.world(settings))["robot"] == settings.robot
    elif module == "mimicjax.evaluate":
        options = evaluate.parse(argv)
        settings = settings_of(options.run)
        if options.engine:
            assert choose.choose(dataclasses.replace(settings.engine, name=options.engine))[0] == options.engine
        if options.push_sweep:
            asked = profile.load(options.push_sweep)
            assert trial.prepare(options.push_sweep, asked, load(settings.robot)).cells
        assert not options.compare or settings_of(options.compare)
    elif module == "mimicjax.benchmark":
        assert benchmark.settings_of(benchmark.parse(argv))[0]
    else:
        run_in_full(module, argv)


def understand_script(script: str, argv: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A script's own parser reads its flags; those that it hands on are the train command's."""
    monkeypatch.syspath_prepend(str(paths.ROOT / "benchmarks"))
    monkeypatch.setattr(sys, "argv", [script, *argv])
    parse = argparse.ArgumentParser.parse_known_args

    class Parsed(Exception):
        pass

    def stop(self, *args, **kwargs):
        raise Parsed(*parse(self, *args, **kwargs))

    main = importlib.import_module(Path(script).stem).main
    with monkeypatch.context() as patch, pytest.raises(Parsed) as parsed:
        patch.setattr(argparse.ArgumentParser, "parse_known_args", stop)
        main()
    options, rest = parsed.value.args
    assert (paths.ROOT / script).is_file()
    train.parse(["--config", getattr(options, "config", "deepmimic_g1"), *rest])


def run_in_full(module: str, argv: list[str]) -> None:
    """Run a command in its tiny form."""
    if module in ("mimicjax.motion", "mimicjax.robot"):
        if "view" in argv or "--video" in argv:
            need_pictures()
        for file in [argv[argv.index("--out") + 1]] if "--out" in argv else []:
            Path(file).unlink(missing_ok=True)
        assert (motion if module == "mimicjax.motion" else robot).main(argv) == 0
    elif module == "mimicjax":
        assert listing.run(argv) == 0
    elif module == "mimicjax.train":
        shutil.rmtree("tried", ignore_errors=True)
        out = ["--max_iterations", "2"] if "--resume" in argv else [*SMALL, "--out", "tried"]
        assert train.run([*argv, *out]) == 0
    elif module == "mimicjax.train_prior":
        assert train_prior.run([*argv, "--learn.smp.gradient_steps", "2", "--learn.smp.batch_size", "4"]) == 0
    elif module == "mimicjax.evaluate":
        if "--video" in argv:
            need_pictures()
        argv = [word if word not in ("quick", "full") else "tiny" for word in argv]
        if argv[-1] == "--push-sweep":
            argv.append("tiny")
        assert evaluate.run([*argv, "--episodes", "2"]) == 0
    else:
        assert module == "mimicjax.benchmark"
        asked = {word.partition("=")[0].lstrip("-").replace("-", "_") for word in argv}
        few = [w for key, value in TINY.items() if key not in {"engine.name", *asked} for w in (f"--{key}", str(value))]
        assert benchmark.run([*argv, "--engines", "native", "--seconds", "0.05", *few]) == 0


def need_pictures() -> None:
    try:
        canvas.backend()
    except UserError:
        pytest.skip("no OpenGL here")


def test_the_figures_of_a_run(here, capsys):
    """The one evaluation of the default run of the tests; the fixture has trained."""
    run_in_full("mimicjax.evaluate", ["--run", "runs/deepmimic_g1"])
    data = json.loads((here / "runs/deepmimic_g1/evaluation/0000000001-native-seed0.json").read_text())
    assert data["overall"]["all"]["episodes"] == 3 and data["checkpoint"] == 1


@pytest.mark.slow
@shown("shell", [s for s in RUN if "python -m" in s.text and "--help" not in s.text])
def test_commands_run(snippet, here):
    for words in commands(snippet.text):
        run_in_full(words[2], [word.replace("<name>", "g1") for word in words[3:]])
