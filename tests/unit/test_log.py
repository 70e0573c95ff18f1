"""The files of a run: formats, and that a resumed run neither doubles nor loses rows."""

from __future__ import annotations

import errno
import json
import math
import os

import jax.numpy as jnp
import numpy as np
import pytest

from mimicjax import files
from mimicjax.draw import curves
from mimicjax.errors import UserError
from mimicjax.run.log import Logger, group


def row(iteration: int, **more: float) -> dict[str, float]:
    values = {"Iteration": iteration, "Wall_Time": iteration / 600, "Samples": iteration * 1000}
    return {**values, "Test_Return": 5.0 * iteration, "Test_Episode_Length": 10.0 * iteration, **more}


def table(folder) -> list[list[str]]:
    return [line.split() for line in (folder / "log.txt").read_text().splitlines()]


def write(folder, iterations, resume=None, **more):
    with Logger(folder, resume, curves=False) as logger:
        for i in iterations:
            logger.write(row(i, **more))


def test_log_txt_has_mimickits_format(tmp_path):
    write(tmp_path / "run", [1], Actor_Loss=jnp.float32(0.1), Disc_Reward_Mean=np.float64(math.nan))
    text = (tmp_path / "run" / "log.txt").read_text()
    header, first = text.splitlines()
    assert text.count("\n") == 2 and text.endswith("\n") and "\r" not in text
    names = [
        "Iteration",
        "Wall_Time",
        "Samples",
        "Test_Return",
        "Test_Episode_Length",
        "Actor_Loss",
        "Disc_Reward_Mean",
    ]
    assert [header[i : i + 25].strip() for i in range(0, 175, 25)] == names
    cells = ["1", "0.001666667", "1000", "5", "10", "0.1", "nan"]
    assert [first[i : i + 25].rstrip() for i in range(0, 175, 25)] == cells
    assert header[24] == first[24] == " "


def test_metrics_are_full_and_nan_is_null(tmp_path):
    write(tmp_path, [1, 2], Loss=math.inf, Big=2**53 + 1)
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [r["Samples"] for r in rows] == [1000, 2000]
    assert rows[0]["Loss"] is None and rows[0]["Big"] == 2**53 + 1 and rows[1]["Wall_Time"] == 2 / 600


def test_resuming_cuts_what_came_after_the_checkpoint(tmp_path):
    write(tmp_path, [1, 2, 3, 4])
    for name in ("log.txt", "metrics.jsonl"):  # killed while it wrote a row
        content = (tmp_path / name).read_text()
        (tmp_path / name).write_text(content[:-20])
    write(tmp_path, [3, 4, 5], resume=2000)
    assert [cells[2] for cells in table(tmp_path)] == ["Samples", "1000", "2000", "3000", "4000", "5000"]
    assert [r["Iteration"] for r in curves.rows(tmp_path / "metrics.jsonl")] == [1, 2, 3, 4, 5]
    write(tmp_path, [1], resume=0)
    assert [cells[0] for cells in table(tmp_path)] == ["Iteration", "1"]


def test_a_torn_row_alone_is_cut_too(tmp_path):
    write(tmp_path, [1, 2])
    for name in ("log.txt", "metrics.jsonl"):
        content = (tmp_path / name).read_text()
        (tmp_path / name).write_text(content[:-9])
    write(tmp_path, [2], resume=10**9)
    assert [cells[0] for cells in table(tmp_path)] == ["Iteration", "1", "2"]
    assert [r["Iteration"] for r in curves.rows(tmp_path / "metrics.jsonl")] == [1, 2]


def test_columns_of_the_file_stay(tmp_path):
    write(tmp_path, [1], Old=1.5)
    write(tmp_path, [2], resume=1000, New=2.5)
    assert [cells[-1] for cells in table(tmp_path)] == ["Old", "1.5", "nan"]
    assert curves.rows(tmp_path / "metrics.jsonl")[1]["New"] == 2.5


def test_resuming_without_files_and_starting_anew(tmp_path):
    write(tmp_path, [1, 2], resume=500)
    assert len(table(tmp_path)) == 3
    write(tmp_path, [7])
    assert [cells[0] for cells in table(tmp_path)] == ["Iteration", "7"]
    assert len(list(tmp_path.glob("events.out.tfevents.*"))) == 1


def test_tensorboard_events_are_grouped_over_samples(tmp_path):
    with Logger(tmp_path, curves=False) as logger:
        logger.write(row(1, Body_Pos_Err=0.1, Push=1.0, Loss=2.0, Nan=math.nan), env=["Push"])
    found = events(tmp_path)
    assert found["0_Main/Test_Return"] == (1000, 5.0) and found["1_Info/Iteration"] == (1000, 1.0)
    assert {"2_Env/Body_Pos_Err", "2_Env/Push", "Misc/Loss", "0_Main/Test_Episode_Length"} <= set(found)
    assert "Misc/Nan" not in found and group("Test_Episodes") == "1_Info"


def events(folder) -> dict[str, tuple[int, float]]:
    """tag -> (step, value) of the one event file; its records are length, crc, data, crc."""
    from tensorboardX.proto import event_pb2

    (path,) = folder.glob("events.out.tfevents.*")
    content, at, found = path.read_bytes(), 0, {}
    while at < len(content):
        size = int.from_bytes(content[at : at + 8], "little")
        event = event_pb2.Event.FromString(content[at + 12 : at + 12 + size])  # pyright: ignore[reportAttributeAccessIssue]
        at += 16 + size
        for value in event.summary.value:
            found[value.tag] = (event.step, value.simple_value)
    return found


def test_curves(tmp_path):
    with Logger(tmp_path) as logger:
        logger.write(row(1, Body_Pos_Err=math.nan))
        logger.write(row(2, Body_Pos_Err=0.1, Train_Return=3.0, Train_Episode_Length=6.0))
    assert (tmp_path / "curves.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]
    columns = curves.read(tmp_path / "metrics.jsonl")
    assert np.array_equal(curves._rewards(columns)["test"], [0.5, 0.5])
    assert np.array_equal(curves._rewards(columns)["train"], [np.nan, 0.5], equal_nan=True)
    assert np.allclose(curves._speed(columns)["all"], 1000 / 6)
    assert np.array_equal(curves._errors(columns)["bodies, about the root"], [np.nan, 100.0], equal_nan=True)


def test_curves_of_training_leave_out_rows_of_few_samples():
    table = {
        "Samples": np.array([50.0, 100.0, 109.0, 119.0, 169.0, 219.0]),  # 9 and 10 samples about a Ctrl-C
        "Train_Return": np.ones(6), "Disc_Reward_Mean": np.ones(6), "Test_Return": np.ones(6),
    }  # fmt: skip
    found = curves.without_short_rows(table)
    gone = [False, False, True, False, False, False]  # a fifth of the usual 50 is 10
    assert np.isnan(found["Disc_Reward_Mean"]).tolist() == np.isnan(found["Train_Return"]).tolist() == gone
    assert np.array_equal(found["Test_Return"], table["Test_Return"]) and curves.without_short_rows({}) == {}
    assert "discriminator's, train" in curves._rewards(found)


def test_what_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file: the log cannot be written"):
        Logger(tmp_path / "file")


def test_a_full_disk_costs_rows_and_nothing_else(tmp_path, monkeypatch):
    """What was half written is cut off again; it is told once, and told anew after it had gone well."""
    told = []

    def full(file, data):
        file.real.write(data[: len(data) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with Logger(tmp_path, curves=False) as logger:
        logger.tell = told.append
        logger.write(row(1))
        before = {path: path.read_bytes() for path in tmp_path.iterdir()}
        with monkeypatch.context() as patch:
            patch.setattr(
                files.Path, "open", lambda path, *a, real=files.Path.open, **k: Half(real(path, *a, **k), full)
            )
            logger.write(row(2))
            logger.write(row(3))
        assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
        assert len(told) == 3 and all("No space left" in text and "training goes on" in text for text in told)
        logger.write(row(4))
    assert [cells[0] for cells in table(tmp_path)] == ["Iteration", "1", "4"]
    assert events(tmp_path)["1_Info/Iteration"] == (4000, 4.0)


class Half:
    """A file whose writes do what `write` does."""

    def __init__(self, real, write):
        self.real, self.write = real, lambda data: write(self, data)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.real.close()

    def __getattr__(self, name):
        return getattr(self.real, name)
