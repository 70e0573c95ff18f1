"""Files that are damaged or made to do harm are refused in one line, in time, and nothing of them is run; folders are held."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import absurd
import hostile
import outcome
import pytest
from kinds import KINDS

from mimicjax import config, files
from mimicjax.config.settings import RunSettings
from mimicjax.errors import LONGEST, UserError
from mimicjax.motion.files import read_clip
from mimicjax.robot import sources
from mimicjax.run import log

FUZZ = Path(__file__).with_name("fuzz.py")


def fuzz(*flags: str) -> None:
    """In a process of its own: it forks for every file, which a process with JAX's threads must not."""
    env = {**os.environ, "JAX_PLATFORMS": "cpu"}
    done = subprocess.run([sys.executable, str(FUZZ), *flags], capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_few_of_every_kind() -> None:
    fuzz("--files", "2", "--every", "400")


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_thousand_of_every_kind(kind: str) -> None:
    fuzz("--kinds", kind, "--seed", "1")


@pytest.mark.parametrize("kind", KINDS)
def test_the_whole_file_is_taken(kind: str, tmp_path: Path) -> None:
    """Or else what is found of damaged ones says nothing."""
    KINDS[kind].read(KINDS[kind].make(tmp_path))


def test_what_is_no_file_is_no_clip(tmp_path: Path) -> None:
    for what, path in hostile.special(tmp_path):
        with pytest.raises(UserError):
            read_clip(path)
        assert what


def test_the_trial_itself_sees_what_is_wrong(tmp_path: Path) -> None:
    """Planted: a reader that hangs, one that fails, one that takes NaN, one whose message has two lines."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        found = pool.map(_planted, ["fails", "nan", "runs", "dies", "fills"])
    assert found == ["traceback", "broken", "execution", "crash", "memory"]
    assert outcome.untidy("a\x1b[31m", tmp_path) and outcome.untidy("x" * (LONGEST + 1), tmp_path)
    assert not outcome.untidy("in one line", tmp_path)


def _planted(which: str) -> str:
    def reader(path: Path) -> object:
        if which == "fails":
            raise KeyError("no")
        if which == "runs":
            Path("canary").touch()
        if which == "dies":
            os.abort()
        return bytearray(3 * 2**30) if which == "fills" else float("nan") if which == "nan" else None

    with tempfile.TemporaryDirectory() as folder:
        return outcome.read(Path(folder), reader, Path(folder)).name


def test_messages_are_one_line_of_bounded_length() -> None:
    message = str(UserError("a\nb\x1b[31m\u202e" + "x" * 5000))
    assert message.isprintable() and message.startswith("a b?[31m?") and len(message) == LONGEST


def test_aliases_count_each_time_they_are_met(tmp_path: Path) -> None:
    for text, problem in (
        (absurd.BOMB, "stands for more than"),
        ("a: &a [*a]\n", "contains itself"),
        ("[" * 999, "YAML"),
    ):
        (tmp_path / "mine.yaml").write_text(text)
        with pytest.raises(UserError, match=problem):
            config.load(RunSettings, tmp_path / "mine.yaml")


def test_damaged_rows_of_a_log_are_left_out_and_told(tmp_path: Path) -> None:
    with log.Logger(tmp_path, curves=False) as first:
        for number in range(4):
            first.write({"Samples": number, "Test_Return": 0.5})
    for name in ("log.txt", "metrics.jsonl"):
        lines = (tmp_path / name).read_bytes().splitlines(keepends=True)
        lines[-2] = b"\xff damaged \x00\n"
        (tmp_path / name).write_bytes(b"".join(lines))
    with log.Logger(tmp_path, 2, curves=False) as second:
        assert len(second.notes) == 2 and all("1 damaged lines" in note for note in second.notes)
    with log.Logger(tmp_path, 2, curves=False) as third:
        assert not third.notes


def test_a_folder_is_held_by_one_and_its_lock_is_no_way_elsewhere(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with files.alone(run):
        (run / files.LOCK).write_text("mine")
        with pytest.raises(UserError, match="another process"), files.alone(run):
            pass
    with files.alone(run):
        assert (run / files.LOCK).read_text() == "mine"
    (run / files.LOCK).unlink()
    (tmp_path / "precious").write_text("whole")
    (run / files.LOCK).symlink_to(tmp_path / "precious")
    with pytest.raises(UserError, match="cannot be held"), files.alone(run):
        pass
    assert (tmp_path / "precious").read_text() == "whole"


def test_a_robots_files_are_all_that_it_takes_in(tmp_path: Path) -> None:
    (tmp_path / "meshes").mkdir()
    (tmp_path / "meshes" / "a.stl").write_text("a")
    (tmp_path / "legs.xml").write_text("<mujoco/>")
    head = "<compiler meshdir='meshes'/><include file='legs.xml'/><asset><mesh file='a.stl'/><mesh file='none.stl'/></asset>"
    (tmp_path / "robot.xml").write_text(f"<mujoco>{head}</mujoco>")
    assert [path.name for path in sources.files(tmp_path / "robot.xml")] == ["robot.xml", "legs.xml", "a.stl"]
