"""Two processes train one run: as one process with as many devices does, and they end together whatever ends one of them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mimicjax import commands, train
from mimicjax.run import checkpoint, checkpoint_files, hosts
from mimicjax.run.interrupt import Interrupt

ROOT = Path(__file__).parents[2]
TINY = [
    "--config", "deepmimic_g1", "--engine", "native", "--num-envs", "8", "--learn.steps_per_iter", "4",
    "--learn.actor_hidden", "[16]", "--learn.critic_hidden", "[16]", "--keep.iters_per_output", "2",
    "--keep.test_episodes", "2", "--keep.curves", "false", "--env.episode_length", "0.5",
]  # fmt: skip
TIMES = ("Wall_Time", "Samples_Per_Second")


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["--processes", "2"], "--processes: goes with --coordinator"),
        (["--coordinator", "auto", "--process", "1"], "--process: goes with --coordinator HOST:PORT"),
        (["--coordinator", "here:1"], "also needs --process and --processes"),
        (["--coordinator", "here:1", "--processes", "2", "--process", "2"], "allowed are 0 to 1 of --processes 2"),
        (["--coordinator", "here", "--processes", "2", "--process", "0"], "allowed is HOST:PORT or auto"),
        (["--coordinator", "here:1", "--processes", "two", "--process", "0"], "--processes"),
    ],
)
def test_mistakes_are_told_in_one_line(
    argv: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert commands.main("train", train.run, [*argv, "--out", str(tmp_path / "run")]) == 2
    err = capsys.readouterr().err
    assert says in err and err.count("\n") == 1, err


def test_alone_nothing_is_agreed_upon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(hosts.SLURM, "1")  # a job of one task is a process like any other
    hosts.join(None, None, None)
    assert hosts.leads() and hosts.count() == 1 and hosts.agree(7, False) == (7, False)
    tree = {"a": np.ones(3)}
    assert hosts.gathered(tree) is tree


def test_a_schedulers_signal_is_a_wish_to_stop() -> None:
    """SIGUSR1, which comes before SIGTERM, is not counted as a first Ctrl-C."""
    with Interrupt(lambda text: None) as interrupt:
        for number in (signal.SIGUSR1, signal.SIGTERM):
            os.kill(os.getpid(), number)
            time.sleep(0.2)
        assert interrupt.asked


def processes(out: Path, *argv: str, port: int | None = None) -> list[subprocess.Popen]:
    """The two processes of a run, the leader first."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = port or free.getsockname()[1]
    where = ["--out", str(out)] if "--resume" not in argv else []
    there = [*where, "--coordinator", f"localhost:{port}", "--processes", "2", "--process"]
    return [start(*argv, *there, str(number), cache=out.parent) for number in (0, 1)]


def start(*argv: str, cache: Path, flags: str = "") -> subprocess.Popen:
    env = os.environ | {
        "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu", "JAX_COMPILATION_CACHE_DIR": str(cache / "cache"),
        "XLA_FLAGS": f"--xla_backend_optimization_level=0 {flags}",
    }  # fmt: skip
    command = [sys.executable, "-m", "mimicjax.train", *argv]
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=cache)


def ends(process: subprocess.Popen, seconds: float = 300) -> tuple[int, str, str]:
    """(exit code, what it said, its errors)."""
    out, err = process.communicate(timeout=seconds)
    return process.returncode, out, err


def state(out: Path, step: int) -> dict[str, np.ndarray]:
    return checkpoint_files.read_arrays(out / "checkpoints" / f"{step:010d}" / "state")


def rows(out: Path) -> list[dict]:
    lines = (out / "metrics.jsonl").read_text().splitlines()
    return [{name: value for name, value in json.loads(line).items() if name not in TIMES} for line in lines]


def equal(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        np.testing.assert_array_equal(value, other[name], err_msg=name)


@pytest.mark.slow
def test_two_processes_are_as_one_with_two_devices(tmp_path: Path) -> None:
    """Bit for bit, and also when both go on from what one process has written."""
    alone, both = tmp_path / "alone", tmp_path / "both"
    two = "--xla_force_host_platform_device_count=2"
    code, _, err = ends(start(*TINY, "--out", str(alone), "--max-iterations", "4", cache=tmp_path, flags=two))
    assert code == 0, err
    leader, other = (ends(process) for process in processes(both, *TINY, "--max-iterations", "2"))
    assert leader[0] == other[0] == 0, leader[2] + other[2]
    assert "2 processes, 2 devices together" in leader[1] and "iteration" not in other[1]
    equal(state(both, 2), state(alone, 2))
    assert rows(both) == rows(alone)[:1]
    resumed = [ends(process) for process in processes(both, "--resume", str(both), "--max-iterations", "4")]
    assert [code for code, *_ in resumed] == [0, 0], resumed
    equal(state(both, 4), state(alone, 4))
    assert rows(both) == rows(alone)
    assert checkpoint.steps(both / "checkpoints") == [2, 4]


@pytest.fixture
def training(tmp_path: Path) -> Iterator[tuple[Path, list[subprocess.Popen]]]:
    """A run folder with a checkpoint in it, and the two processes that go on."""
    out = tmp_path / "run"
    pair = processes(out, *TINY)
    begin = time.monotonic()
    while checkpoint.latest(out / "checkpoints") is None:
        assert all(process.poll() is None for process in pair) and time.monotonic() - begin < 300, [
            process.communicate() for process in pair if process.poll() is not None
        ]
        time.sleep(0.2)
    yield out, pair
    for process in pair:
        process.kill()


@pytest.mark.slow
@pytest.mark.parametrize(("which", "number"), [(1, signal.SIGINT), (0, signal.SIGUSR1)])
def test_a_signal_to_one_stops_both(which: int, number: int, training: tuple[Path, list[subprocess.Popen]]) -> None:
    out, pair = training
    pair[which].send_signal(number)
    leader, other = (ends(process, 60) for process in pair)
    assert leader[0] == other[0] == 130, leader[2] + other[2]
    at = checkpoint.latest(out / "checkpoints")
    assert f"stopped at iteration {at}" in leader[1] and "stopped" not in other[1]


@pytest.mark.slow
@pytest.mark.parametrize("which", [0, 1])
def test_a_process_that_is_killed_ends_the_other(which: int, training: tuple[Path, list[subprocess.Popen]]) -> None:
    out, pair = training
    pair[which].kill()
    began = time.monotonic()
    code, _, err = ends(pair[1 - which], 90)
    assert code not in (0, 130) and time.monotonic() - began < 60
    assert "another process has ended" in err or "coordination service" in err.lower(), err
    at = checkpoint.latest(out / "checkpoints") or 0
    code, _, err = ends(start("--resume", str(out), "--max-iterations", str(at + 1), cache=out.parent))
    assert code == 0 and checkpoint.latest(out / "checkpoints") == at + 1, err
