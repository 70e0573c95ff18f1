"""python -m mimicjax.evaluate on a run of a tiny, untrained policy; and every mistake as one line with exit code 2."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from mimicjax import build, commands, config, evaluate
from mimicjax.config.settings import RunSettings
from mimicjax.draw import canvas
from mimicjax.errors import UserError
from mimicjax.motion.files import write_clip
from mimicjax.robot.load import load
from mimicjax.run import checkpoint
from mimicjax.types import CLAMP, WRAP, Clip

TINY = {
    "engine.name": "native", "num_envs": 4, "learn.actor_hidden": "[16]", "learn.critic_hidden": "[16]",
    "learn.disc.hidden": "[16]", "learn.disc.buffer_size": 128, "env.episode_length": 2.0,
}  # fmt: skip


def clip_file(path: Path, loop: int, seconds: float) -> Path:
    """The G1 standing, swaying a little."""
    robot = load("g1")
    time = np.arange(int(30 * seconds) + 1) / 30.0
    q = np.tile(robot.start_qpos, (len(time), 1)).astype(np.float64)
    q[:, 7:] += 0.02 * np.sin(2 * np.pi * time)[:, None]
    write_clip(path, Clip(path.stem, "g1", robot.dof_names, 30.0, loop, q[:, :3], q[:, 3:7], q[:, 7:]))
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """(run folder, the state in its latest checkpoint): two checkpoints of an ADD run on a set of two clips."""
    folder = tmp_path_factory.mktemp("run")
    files = [clip_file(folder / "sway.npz", WRAP, 1.0), clip_file(folder / "short.npz", CLAMP, 0.5)]
    motions = "\n".join(f"  - {{file: {path}}}" for path in files)
    (folder / "set.yaml").write_text(f"motions:\n{motions}\n")
    settings = config.load(RunSettings, "add_g1", {**TINY, "motion": str(folder / "set.yaml")})
    world = build.world(settings)
    config.dump(world.settings, folder / "config.yaml")
    state = build.first_state(world, build.parts(world))
    for step in (10, 20):
        checkpoint.save(folder / "checkpoints", step, state, {**build.facts(world), "samples": 4 * step})
    return folder, jax.device_get(state.agent)


def test_evaluation_of_a_run(run, capsys):
    folder, _ = run
    assert commands.main("evaluate", evaluate.run, ["--run", str(folder), "--episodes", "5", "--seed", "7"]) == 0
    shown = capsys.readouterr().out
    assert "7 episodes on native" in shown and "MPJPE_Global" in shown and "per clip" in shown
    data = json.loads((folder / "evaluation" / "0000000020-native-seed7.json").read_text())
    assert (data["engine"], data["checkpoint"], data["seed"], data["samples"]) == ("native", 20, 7, 80)
    assert {"mimicjax", "jax", "mujoco"} <= set(data["versions"]) and data["trained_on"] == "native"
    assert data["overall"]["all"]["episodes"] == 7 and data["clips"]["short"]["start"]["episodes"] == 1
    lengths = {(e["clip"], e["from"]): e["length"] for e in data["episodes"]}
    assert lengths["short", "start"] <= 15 and lengths["sway", "start"] <= 60
    assert data["notes"] == [] and data["run"] == folder.name and data["trained_with"] == data["versions"]
    whole = data["overall"]["all"]  # against the single episodes
    steps, returns = (np.array([e[name] for e in data["episodes"]]) for name in ("length", "Return"))
    assert whole["Episode_Length"]["value"] == pytest.approx(steps.mean(), rel=1e-6)
    assert whole["Return_Per_Step"]["value"] == pytest.approx(returns.sum() / steps.sum(), rel=1e-5)
    assert whole["Completed"]["value"] == pytest.approx(np.mean([e["done"] != "failed" for e in data["episodes"]]))
    rows = list(csv.DictReader((folder / "evaluation" / "0000000020-native-seed7.csv").open()))
    table = {(row["clip"], row["from"]): row for row in rows}
    assert set(table) == {(clip, origin) for clip in ("", "sway", "short") for origin in ("all", "start", "random")}
    assert table["", "all"]["MPJPE_Global"] == str(whole["MPJPE_Global"]["value"]) and rows[0]["checkpoint"] == "20"
    length = next(line for line in shown.splitlines() if line.startswith(" Episode_Length"))
    assert f"{steps.mean():.4g} ±" in length


@pytest.mark.filterwarnings("ignore:os.fork")  # imageio reads with ffmpeg
def test_another_motion_another_checkpoint_another_folder_and_a_video(run, tmp_path, capsys):
    try:
        canvas.backend()
    except UserError:
        pytest.skip("no OpenGL here")
    given = ["--run", str(run[0]), "--motion", str(run[0] / "short.npz"), "--checkpoint", "10", "--episodes", "0"]
    given += ["--out", str(tmp_path / "out"), "--video", str(tmp_path / "deep" / "v.mp4"), "--reference", "beside"]
    assert commands.main("evaluate", evaluate.run, given) == 0
    data = json.loads((tmp_path / "out" / "0000000010-native-seed0-short.json").read_text())
    assert list(data["clips"]) == ["short"] and data["checkpoint"] == 10 and len(data["episodes"]) == 1
    import imageio.v2 as imageio

    with imageio.get_reader(tmp_path / "deep" / "v.mp4") as video:
        episode = data["episodes"][0]
        assert video.count_frames() == episode["length"] + 1 + (30 if episode["done"] == "failed" else 0)
        assert video.get_meta_data()["fps"] == 30
        first = video.get_data(0).astype(int)
    columns = np.nonzero(first[..., 2] > first[..., 0] + 90)[1]  # the blue double stands ahead: right of the middle
    bright = np.nonzero(first[80:430, 200:-200].min(-1) > 200)[1] + 200  # and the robot left of it
    assert first.shape == (544, 960, 3) and len(columns) > 4000 and len(bright) > 400
    assert 560 < np.median(columns) < 720 and 240 < np.median(bright) < 400
    shown = capsys.readouterr()
    assert "error" not in shown.err and f"100 % of {episode['length'] + 1} frames" in shown.err
    assert "filming short" in shown.out


def test_only_the_agent_is_read_and_it_is_the_one_saved(run, tmp_path, monkeypatch):
    folder, agent = run
    copy = tmp_path / "run"
    shutil.copytree(folder, copy)
    text = (copy / "config.yaml").read_text()  # another number of environments, as on another machine
    (copy / "config.yaml").write_text(text.replace("num_envs: 4", "num_envs: 512"))
    loaded = build.restore(copy)
    assert loaded.step == 20 and loaded.notes == () and loaded.facts["samples"] == 80
    jax.tree.map(np.testing.assert_array_equal, jax.device_get(loaded.agent), agent)
    facts = build.facts(loaded.world) | {"motion_hash": "x", "robot_hash": "y"}
    monkeypatch.setattr(build, "facts", lambda world: facts)
    notes = build.restore(copy).notes
    assert len(notes) == 2 and "robot" in notes[0] and "motion" in notes[1]


def broken(run: Path, to: Path, change: str) -> Path:
    """A copy of the run folder with something wrong in it."""
    shutil.copytree(run, to)
    if change == "no config":
        (to / "config.yaml").unlink()
    elif change == "no checkpoints":
        shutil.rmtree(to / "checkpoints")
    elif change == "other nets":
        text = (to / "config.yaml").read_text()
        (to / "config.yaml").write_text(text.replace("actor_hidden: [16]", "actor_hidden: [24]"))
    elif change == "damaged":
        for file in (to / "checkpoints" / "0000000020" / "state").rglob("*"):
            if file.is_file():
                file.write_bytes(b"x")
    return to


@pytest.mark.parametrize(
    "change, says",
    [
        ("no config", "is no run folder"),
        ("no checkpoints", "no such folder; there are no checkpoints"),
        ("other nets", "does not fit this run"),
        ("damaged", "is damaged"),
    ],
)
def test_run_folders_that_cannot_be_evaluated(run, tmp_path, capsys, change, says):
    folder = broken(run[0], tmp_path / "run", change)
    assert commands.main("evaluate", evaluate.run, ["--run", str(folder), "--episodes", "0"]) == 2
    error = capsys.readouterr().err
    assert says in error and error.count("\n") == 1 and error.startswith("mimicjax.evaluate: error: ")


@pytest.mark.parametrize(
    "given, says",
    [
        (["--engine", "mjx"], "mjx-jax"),
        (["--motion", "OTHER.npz"], "joints are not those of robot g1"),
        (["--motion", "absent.npz"], "no such file"),
        (["--checkpoint", "15"], "there are: 10, 20"),
        (["--video", "a.avi"], "videos end in .mp4"),
        (["--video", "FILE/a.mp4"], "cannot be written"),
        (["--episodes", "-1"], "--episodes -1"),
        (["--episodes", "many"], "error: --episodes: given 'many', allowed is a whole number"),
        (["--reference", "both"], "ghost"),
        (["--seed", "-1"], "--seed -1"),
        (["--epsiodes", "3"], "unrecognized arguments"),
    ],
)
def test_mistakes_are_one_line(run, tmp_path, capsys, given, says):
    (tmp_path / "FILE").touch()
    other = Clip(
        "o", "biped", ("hip", "knee"), 30.0, CLAMP, np.zeros((2, 3)), np.tile([1.0, 0, 0, 0], (2, 1)), np.zeros((2, 2))
    )
    write_clip(tmp_path / "OTHER.npz", other)
    given = [str(tmp_path / word) if word.startswith(("OTHER", "FILE")) else word for word in given]
    assert commands.main("evaluate", evaluate.run, ["--run", str(run[0]), *given]) == 2
    error = capsys.readouterr().err
    assert says in error and error.count("\n") == 1


def test_a_missing_run_folder_from_the_shell():
    done = subprocess.run(
        [sys.executable, "-m", "mimicjax.evaluate", "--run", "absent"], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert done.stderr.startswith("mimicjax.evaluate: error: absent: there is no such run folder")


@pytest.mark.slow
def test_a_policy_runs_on_another_engine(run, capsys):
    folder, _ = run
    given = ["--run", str(folder), "--episodes", "2", "--engine", "mjx-jax"]
    assert commands.main("evaluate", evaluate.run, given) == 0
    data = json.loads((folder / "evaluation" / "0000000020-mjx-jax-seed0.json").read_text())
    assert data["engine"] == "mjx-jax" and data["trained_on"] == "native" and data["overall"]["all"]["episodes"] == 4
