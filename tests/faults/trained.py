"""The smallest training there is, for trials that end it in every way and compare what comes of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from mimicjax.run import checkpoint_files

ROOT = Path(__file__).parents[2]
TINY = [
    "--config", "add_g1", "--num-envs", "8", "--learn.steps_per_iter", "4", "--learn.actor_hidden", "[16]",
    "--learn.critic_hidden", "[16]", "--learn.disc.hidden", "[16]", "--keep.iters_per_output", "2",
    "--keep.test_episodes", "2", "--env.episode_length", "0.5",
]  # fmt: skip


def started(run: Path, iterations: int) -> subprocess.Popen:
    """A training in the folder `run`, resumed if there is one, up to so many iterations; its output is piped."""
    flags = ["--resume", str(run)] if (run / "config.yaml").exists() else [*TINY, "--out", str(run)]
    return subprocess.Popen(
        [sys.executable, "-m", "mimicjax.train", *flags, "--max-iterations", str(iterations)],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip


def checksums(run: Path, step: int) -> dict[str, int]:
    """Of everything that the checkpoint of a step holds."""
    path = checkpoint_files.find(run / "checkpoints", step)
    leaves = json.loads((path / "facts.json").read_text())["leaves"]
    return {name: leaf["crc"] for name, leaf in leaves.items()}
