"""The days on a GPU and on a TPU: every command is one that its parser takes, and a rehearsal keeps what it measures."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from mimicjax import evaluate, paths, train
from mimicjax.benchmark import __main__ as benchmark


@pytest.fixture(params=["gpu_day", "tpu_day"])
def day(request, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(paths.ROOT / "benchmarks"))
    __import__(request.param)
    return sys.modules[request.param]


def test_every_command_is_understood(day, tmp_path: Path) -> None:
    gpu_day = sys.modules["gpu_day"]
    parsers = {"mimicjax.train": train.parse, "mimicjax.benchmark": benchmark.parse}
    for sizes in (gpu_day.FULL, gpu_day.TINY):
        runs: set[str] = set()
        for stage in day.STAGES.values():
            for python, _, module, *flags in stage.commands(sizes, tmp_path):
                assert python == sys.executable
                if module == "mimicjax.evaluate":
                    options = evaluate.parse(flags)
                    assert str(options.run) in runs, "evaluated before it is trained"
                elif module != "pytest":
                    parsers[module](flags)
                    runs |= {flags[flags.index("--out") + 1]} if "--out" in flags else set()
    assert sum(stage.seconds for stage in day.STAGES.values()) <= 45 * 60


def test_an_unknown_stage_is_refused(day, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit):
        day.main(["--stages", "lunch"])
    assert "allowed are contract" in capsys.readouterr().err


@pytest.mark.slow
def test_a_rehearsal_of_a_tpu_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(paths.ROOT / "benchmarks"))
    import tpu_day  # type: ignore[import-not-found]

    stages = "repeat,throughput_native"
    assert tpu_day.main(["--tiny", "--out", str(tmp_path), "--stages", stages]) == 0
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert list(summary) == stages.split(",") and summary["repeat"]["verdict"] == {"the same bit for bit": True}
    assert json.loads((tmp_path / "throughput_native_deepmimic_g1.json").read_text())["results"]
