"""The train command as users meet it: exact resume, Ctrl-C, kill -9, and one-line errors for everything they can get wrong."""

from __future__ import annotations

import errno
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from mimicjax import commands, files, train
from mimicjax.run import checkpoint, checkpoint_files

ROOT = Path(__file__).parents[2]
TINY = [
    "--num-envs", "8", "--learn.steps_per_iter", "4", "--learn.actor_hidden", "[16]", "--learn.critic_hidden", "[16]",
    "--learn.disc.hidden", "[16]", "--keep.iters_per_output", "2", "--keep.test_episodes", "2", "--keep.curves", "false",
    "--env.episode_length", "0.5",
]  # fmt: skip


def command(*argv: str) -> list[str]:
    return [sys.executable, "-m", "mimicjax.train", *argv]


def run(*argv: str, cwd: Path = ROOT, **env: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **env}
    return subprocess.run(command(*argv), cwd=cwd, env=environment, capture_output=True, text=True, timeout=400)


def arrays(out: Path, step: int) -> dict[str, np.ndarray]:
    return checkpoint_files.read_arrays(out / "checkpoints" / f"{step:010d}" / "state")


def fails(capsys: pytest.CaptureFixture, *argv: str) -> str:
    """Run in this process; the one line of the error."""
    assert commands.main("train", train.run, argv) == 2
    err = capsys.readouterr().err
    assert err.startswith("mimicjax.train: error: ") and err.count("\n") == 1, err
    return err


@pytest.mark.parametrize("engine", ["native", pytest.param("mjx-jax", marks=pytest.mark.slow)])
def test_two_and_two_iterations_are_four(engine: str, tmp_path: Path) -> None:
    """A run ended and resumed in another process gives the same parameters, bit for bit."""
    cache = {"JAX_COMPILATION_CACHE_DIR": str(tmp_path / "cache")}
    flags = ["--config", "add_g1", "--engine", engine, *TINY]
    for argv in (
        [*flags, "--out", "whole", "--max-iterations", "4"],
        [*flags, "--out", "parts", "--max-iterations", "2"],
        ["--resume", "parts", "--max-iterations", "4"],
    ):
        done = run(*argv, cwd=tmp_path, **cache)
        assert done.returncode == 0, done.stderr
    whole, parts = arrays(tmp_path / "whole", 4), arrays(tmp_path / "parts", 4)
    assert whole.keys() == parts.keys()
    for name, value in whole.items():
        np.testing.assert_array_equal(value, parts[name], err_msg=name)
    rows = (tmp_path / "parts" / "log.txt").read_text().splitlines()
    assert [row.split()[0] for row in rows] == ["Iteration", "2", "4"]


def test_ctrl_c_saves_and_resume_goes_on(tmp_path: Path) -> None:
    process = subprocess.Popen(
        command("--config", "deepmimic_g1", *TINY, "--out", str(tmp_path / "run")), cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    wait_for_checkpoint(tmp_path / "run", process)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 130 and "go on with" in out, out
    at = checkpoint.latest(tmp_path / "run" / "checkpoints")
    assert run("--resume", str(tmp_path / "run"), "--max-iterations", str(at + 1)).returncode == 0
    assert checkpoint.latest(tmp_path / "run" / "checkpoints") == at + 1


def test_a_second_ctrl_c_ends_at_once(tmp_path: Path) -> None:
    """Also in the middle of a compilation, which Python cannot interrupt."""
    cache = str(tmp_path / "cache")  # an empty one: else there may be nothing to compile, and the run is soon over
    process = subprocess.Popen(
        command("--config", "deepmimic_g1", *TINY, "--out", str(tmp_path / "run")), cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "JAX_COMPILATION_CACHE_DIR": cache},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout and any("compiling" in line for line in process.stdout)
    process.send_signal(signal.SIGINT)
    time.sleep(0.2)  # a tiny run may be over soon
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    out, err = process.communicate(timeout=60)
    # a shell shows 130 for both; the signal itself ends the process where a compiler's thread has the handler just then;
    # and where the compilation was over in between, the run has saved itself
    ended = process.returncode == 130 and ("stopped at once" in err or "go on with" in out)
    assert process.returncode == -signal.SIGINT or ended, (process.returncode, out, err)
    assert time.monotonic() - began < 3.0


def test_runs_are_called_by_their_config() -> None:
    """A config's whole name: there is an add_g1 in mimickit/ too."""
    assert train.parse(["--config", "mimickit/add_g1"])[1] == Path("runs/mimickit/add_g1")
    assert train.parse([])[1] == Path("runs/add_g1")


def test_kill_9_leaves_a_run_that_goes_on(tmp_path: Path) -> None:
    process = subprocess.Popen(
        command("--config", "deepmimic_g1", *TINY, "--out", str(tmp_path / "run")), cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    wait_for_checkpoint(tmp_path / "run", process)
    process.kill()
    process.wait()
    at = checkpoint.latest(tmp_path / "run" / "checkpoints")
    assert run("--resume", str(tmp_path / "run"), "--max-iterations", str(at + 1)).returncode == 0


def wait_for_checkpoint(out: Path, process: subprocess.Popen) -> None:
    for _ in range(600):
        if checkpoint.latest(out / "checkpoints") is not None:
            return
        assert process.poll() is None
        time.sleep(0.1)
    raise AssertionError("no checkpoint within a minute")


def test_devices_share_the_environments(tmp_path: Path) -> None:
    """Four fake devices train together; a number of environments that they cannot share is refused.

    64 environments each: with as few threads as two cores have, that many waited for ever.
    """
    devices = {"XLA_FLAGS": "--xla_force_host_platform_device_count=4"}
    many = ["--config", "add_g1", *TINY, "--num-envs", "256"]
    done = run(*many, "--out", str(tmp_path / "run"), "--max-iterations", "2", **devices)
    assert done.returncode == 0, done.stderr
    wrong = run("--config", "add_g1", *TINY, "--num-envs", "6", "--out", str(tmp_path / "b"), **devices)
    assert wrong.returncode == 2 and "divisible by the 4 devices" in wrong.stderr, wrong.stderr


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["--config", "ad_g1"], "add_g1"),
        (["--config", "nowhere/that.yaml"], "nowhere/that.yaml"),
        (["--learn.discont", "0.9"], "learn.discount"),
        (["--learn.discount", "high"], "learn.discount"),
        (["--learn.discount", "1.5"], "learn.discount"),
        (["--engine", "mjx-torch"], "mjx-warp"),
        (["--robot", "g2"], "g1"),
        (["--motion", "wlk"], "walk"),
        (["--motion", "nowhere.npz"], "nowhere.npz"),
        (["--engine.sim_freq", "100"], "multiple"),
        (["--env.rewards", "{posture: {weight: 1.0}}"], "pose"),
        (["--resume", "nowhere"], "nowhere"),
        (["--num-envs", "-3"], "num_envs"),
    ],
)
def test_mistakes_are_told_in_one_line(
    argv: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    out = tmp_path / "run"
    where = [] if "--resume" in argv else ["--out", str(out)]
    assert says in fails(capsys, *argv, *where)
    assert not out.exists()


def test_broken_motions_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    frame = [0.0] * 35
    cases = {
        "empty": {"fps": 30, "loop_mode": 1, "frames": []},
        "single": {"fps": 30, "loop_mode": 1, "frames": [frame]},
        "nan": {"fps": 30, "loop_mode": 1, "frames": [frame, [float("nan")] * 35]},
        "humanoid": {"fps": 30, "loop_mode": 1, "frames": [frame[:34]] * 3},
    }
    for name, clip in cases.items():
        file = tmp_path / f"{name}.pkl"
        file.write_bytes(pickle.dumps(clip))
        assert file.name in fails(capsys, "--motion", str(file), "--out", str(tmp_path / "run"))
    cut = tmp_path / "cut.pkl"
    cut.write_bytes(pickle.dumps(cases["single"])[:40])
    assert "cut.pkl" in fails(capsys, "--motion", str(cut), "--out", str(tmp_path / "run"))
    hostile = tmp_path / "hostile.pkl"
    hostile.write_bytes(b"cposix\nsystem\n(S'touch " + str(tmp_path / "ran").encode() + b"'\ntR.")
    assert "posix.system" in fails(capsys, "--motion", str(hostile), "--out", str(tmp_path / "run"))
    assert not (tmp_path / "ran").exists() and not (tmp_path / "run").exists()


def test_a_run_is_not_overwritten_nor_resumed_as_another(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    out = str(tmp_path / "run")
    assert train.run(["--config", "deepmimic_g1", *TINY, "--out", out, "--max-iterations", "2"]) == 0
    assert "--resume" in fails(capsys, "--config", "deepmimic_g1", *TINY, "--out", out)
    assert "learn.discount" in fails(capsys, "--resume", out, "--learn.discount", "0.9")
    assert "motion" in fails(capsys, "--resume", out, "--motion", "squat")
    assert "leave out --config add_g1" in fails(capsys, "--resume", out, "--config", "add_g1")
    before = (tmp_path / "run" / "log.txt").read_bytes()
    assert train.run(["--resume", out]) == 0 and "--max_iterations 2): nothing to do" in capsys.readouterr().out
    assert (tmp_path / "run" / "log.txt").read_bytes() == before
    with files.alone(Path(out)):
        assert "another process" in fails(capsys, "--resume", out, "--max-iterations", "4")


def test_a_full_disk_keeps_the_older_checkpoints(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = str(tmp_path / "run")
    assert train.run(["--config", "deepmimic_g1", *TINY, "--out", out, "--max-iterations", "2"]) == 0
    monkeypatch.setattr(
        checkpoint_files,
        "write_arrays",
        lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left on device")),
    )
    assert "no space left" in fails(capsys, "--resume", out, "--max-iterations", "4")
    assert checkpoint.steps(tmp_path / "run" / "checkpoints") == [2]


def test_missing_warp_names_the_extra(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mimicjax.engine import mjx

    monkeypatch.setattr(mjx, "has_warp", lambda: False)
    assert ".[warp]" in fails(capsys, "--engine", "mjx-warp", "--out", str(tmp_path / "run"))


def test_help_shows_keys_with_the_values_of_the_config(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as end:
        train.run(["--config", "mimickit/add_g1", "--help"])
    text = capsys.readouterr().out
    assert end.value.code == 0
    assert "--learn.discount" in text and "4096" in text and "deepmimic_g1" in text
