"""The SLURM scripts of examples/cluster, with doubles of srun and scontrol that write down what they are asked."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import pytest

from mimicjax import config, paths, train
from mimicjax.config.settings import RunSettings

SCRIPTS = sorted((paths.ROOT / "examples" / "cluster").glob("*.sh"))


def submit(script: Path, folder: Path, code: int, restarts: int = 0) -> tuple[int, list[str], str]:
    """(exit code, the words after `python -m mimicjax.train`, what scontrol was told)."""
    tools = {"srun": f'printf "%q " "$@" > srun.txt; exit {code}', "scontrol": 'echo "$@" > scontrol.txt'}
    for name, does in tools.items():
        tool = folder / name
        tool.write_text(f"#!/bin/bash\n{does}\n")
        tool.chmod(0o755)
    (folder / "scontrol.txt").unlink(missing_ok=True)
    env = os.environ | {
        "PATH": f"{folder}:{os.environ['PATH']}",
        "SLURM_JOB_ID": "7",
        "SLURM_RESTART_COUNT": str(restarts),
    }
    done = subprocess.run([str(script), "--seed", "1"], cwd=folder, env=env, timeout=20)
    words = shlex.split((folder / "srun.txt").read_text())
    assert words[:3] == ["python", "-m", "mimicjax.train"]
    told = folder / "scontrol.txt"
    return done.returncode, words[3:], told.read_text().strip() if told.exists() else ""


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_job_begins_stops_and_goes_on(script: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code, words, told = submit(script, tmp_path, 130)
    assert code == 130 and told == "requeue 7"
    settings, out, resume = train.parse(words)
    assert (settings.memory_fraction, settings.seed, str(out), resume) == (0.5, 1, "runs/push", False)
    config.dump(settings, out / "config.yaml")
    code, words, told = submit(script, tmp_path, 0)
    assert words[:2] == ["--resume", "runs/push"] and not told and code == 0
    settings, out, resume = train.parse(words[:2])
    assert resume and settings == config.load(RunSettings, out / "config.yaml")


@pytest.mark.parametrize(("code", "restarts", "again"), [(134, 0, True), (3, 19, True), (3, 20, False), (2, 0, False)])
def test_what_a_job_is_tried_again_for(code: int, restarts: int, again: bool, tmp_path: Path) -> None:
    assert bool(submit(SCRIPTS[0], tmp_path, code, restarts)[2]) == again
