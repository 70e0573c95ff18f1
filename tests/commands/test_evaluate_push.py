"""python -m mimicjax.evaluate --push-sweep on untrained policies that follow the shipped walk; and its mistakes."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest

from mimicjax import build, commands, config, evaluate
from mimicjax.config.settings import RunSettings
from mimicjax.run import checkpoint

TINY = {
    "engine.name": "native", "engine.threads": 1, "num_envs": 2, "learn.actor_hidden": "[8]", "learn.critic_hidden": "[8]",
}  # fmt: skip
SWEEP = """
warm_up: 0.2
watched: 0.5
repeats: 2
pushes:
  torso:
    {bodies: [first], directions: [forward, left], durations: [0.05], impulses: [1, 400], forces: [5]}
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A run folder with the checkpoint of a policy that has learned nothing: it plays the reference's joints."""
    folder = tmp_path_factory.mktemp("runs") / "first"
    folder.mkdir()
    world = build.world(config.load(RunSettings, "deepmimic_g1", TINY))
    config.dump(world.settings, folder / "config.yaml")
    state = build.first_state(world, build.parts(world))
    checkpoint.save(folder / "checkpoints", 7, state, {**build.facts(world), "samples": 14})
    (folder / "sweep.yaml").write_text(SWEEP)
    return folder


@pytest.fixture(scope="module")
def second(run) -> Path:
    return Path(shutil.copytree(run, run.with_name("second")))


def sweep(run: Path, *given: object) -> int:
    return commands.main("evaluate", evaluate.run, ["--run", str(run), "--push-sweep", *map(str, given)])


def test_two_runs_side_by_side(run, second, tmp_path, capsys):
    assert sweep(run, run / "sweep.yaml", "--compare", second, "--out", tmp_path, "--seed", 3) == 0
    shown = capsys.readouterr()
    assert (
        "20 episodes of 0.7 s, 6 kinds of pushes, on native" in shown.out and "100 % of 420 control steps" in shown.err
    )
    stem = "push-sweep-0000000007-native-seed3-vs-second"
    ends = [".csv", ".json", "-heat-torso_link.png", "-polar-sustained.png", "-polar.png"]
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(stem + end for end in ends[:3] + ends[4:])
    data = json.loads((tmp_path / f"{stem}.json").read_text())
    assert (data["run"], data["checkpoint"], data["profile"], data["seed"]) == ("first", 7, "sweep", 3)
    assert data["sweep"]["pushes"]["torso"]["durations"] == [0.05] and data["runs"][1]["run"] == "second"
    first, other = data["sweeps"]
    assert first["cells"] == other["cells"] and first["unpushed"] == other["unpushed"]  # the same policy twice
    fates = {(c["direction"], c["unit"], c["level"]): (c["stood"], c["survived"]) for c in first["cells"]}
    for cell in first["cells"]:
        assert cell["survival"]["value"] == (cell["survived"] / cell["stood"] if cell["stood"] else None)
    assert first["unpushed"]["episodes"] == 8 and first["unpushed"]["survived"] >= 4  # untrained, it may fall by itself
    assert fates["forward", "N s", 1.0][1] > 0 and fates["left", "N s", 400.0] == (2, 0)  # no G1 stands 400 N s
    ratios = {row["direction"]: row["survive_50"]["ratio"] for row in data["comparison"] if row["unit"] == "N s"}
    assert ratios["headings"]["value"] == 1.0
    rows = list(csv.DictReader((tmp_path / f"{stem}.csv").open()))
    assert len(rows) == 12 and {row["survival_more_than_first"] for row in rows} == {"0.0"}
    assert shown.out.splitlines()[-1] == data["quote"][1] and data["quote"][1].startswith(
        "second: torso_link survives 50 %"
    )


@pytest.mark.parametrize(
    "given, says",
    [
        (["quik"], "--push-sweep quik: no such profile (did you mean quick?)"),
        (["absent.yaml"], "no config file"),
        (["BAD"], "unknown body 'torso_lin' (did you mean torso_link"),
        (["tiny", "--compare", "absent"], "there is no such run folder"),
        (["tiny", "--video", "a.mp4"], "--video does not go with --push-sweep"),
    ],
)  # fmt: skip
def test_mistakes_are_one_line(run, tmp_path, capsys, given, says):
    bad = tmp_path / "bad.yaml"
    bad.write_text("pushes: {a: {bodies: [torso_lin], impulses: [1]}}")
    assert sweep(run, *(bad if word == "BAD" else word for word in given)) == 2
    error = capsys.readouterr().err
    assert says in error and error.count("\n") == 1


def test_compare_goes_with_a_sweep_only(run, capsys):
    assert commands.main("evaluate", evaluate.run, ["--run", str(run), "--compare", str(run)]) == 2
    assert "--compare goes with --push-sweep only" in capsys.readouterr().err


@pytest.mark.slow
def test_the_same_sweep_on_another_engine(run, tmp_path):
    for engine in ("native", "mjx-jax"):
        assert sweep(run, run / "sweep.yaml", "--out", tmp_path, "--engine", engine) == 0
    found = [json.loads(next(tmp_path.glob(f"*{e}-seed0.json")).read_text()) for e in ("native", "mjx-jax")]
    fates = [[(c["level"], c["stood"], c["survived"]) for c in each["sweeps"][0]["cells"]] for each in found]
    assert fates[0] == fates[1]  # pushes that nobody notices, and pushes that nobody stands


@pytest.fixture
def robustness(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    import robustness  # type: ignore[import-not-found]

    return robustness


def test_the_benchmark_does_nothing_twice(robustness, monkeypatch, tmp_path, capsys):
    calls: list[str] = []
    both = {"value": 30.0, "low": 28.0, "high": 33.0}

    def train(command, metrics, log):
        calls.append("train")
        metrics.parent.mkdir()
        return robustness.watch_result

    def evaluated(command, check):
        calls.append("sweep")
        out = Path(command[-1].removeprefix("--out="))
        out.mkdir()
        cell = {"body": "torso_link"}
        unpushed = {"body_error": both, "survived": 9, "episodes": 9}
        at = {"first": 20.0, "second": 30.0, "difference": 10.0, "ratio": {"value": 1.5, "low": 1.4, "high": 1.6}}
        row = {
            "body": "torso_link",
            "direction": "headings",
            "kind": "force",
            "duration": 0.2,
            "unit": "N s",
            "survive_50": at,
        }
        sweeps = [{"cells": [cell], "unpushed": unpushed}] * 2
        (out / "push-a.json").write_text(json.dumps({"sweeps": sweeps, "comparison": [row], "quote": ["a", "b"]}))

    done = type("Process", (), {"code": 0, "minutes": 1.0})
    monkeypatch.setattr(robustness, "watch_result", done, raising=False)
    monkeypatch.setattr(robustness, "watch", train)
    monkeypatch.setattr(robustness.subprocess, "run", evaluated)
    monkeypatch.setattr(robustness.report, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(robustness, "PICTURES", tmp_path / "results" / "robustness")
    monkeypatch.setattr(robustness.report, "begin", lambda devices: {})
    monkeypatch.setattr(robustness.report, "footer", lambda facts: "")
    argv = ["robustness.py", "--pairs", "a:a_push", "--seeds", "0,1", "--runs", str(tmp_path / "runs")]
    for _ in range(2):
        monkeypatch.setattr(sys, "argv", argv)
        assert robustness.main() == 0
    assert calls == ["train", "train", "sweep"] * 2
    shown = capsys.readouterr().out
    assert "| a:a_push, seed 1, 0.2 s | 20.0 N s | 30.0 N s | 1.50 | 30.0 | 30.0 | 1.00 |" in shown
    found = json.loads((tmp_path / "results" / "robustness_walk.json").read_text())
    assert list(found["pairs"]["a:a_push"]) == ["0", "1"]
    monkeypatch.setattr(sys, "argv", [*argv, "--num_envs=64"])  # another recipe trains anew
    assert robustness.main() == 0 and calls[6:8] == ["train", "train"]
