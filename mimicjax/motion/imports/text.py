"""Motions in text: tables of robots, with and without a header, and DeepMimic's JSON."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np

from mimicjax.errors import UserError, reason
from mimicjax.motion._numpy_rotation import from_euler, multiply, quat_to_exp
from mimicjax.motion.imports.raw import Raw, stem
from mimicjax.types import CLAMP, WRAP

ROOT_COLUMNS = 7
CENTIMETRE = 0.01


def read(path: Path, text: str) -> Raw:
    """The motion in a text file's contents. Raises UserError for text that is none."""
    start = text.lstrip("\ufeff \t\r\n")
    if start.startswith("version https://git-lfs"):
        raise UserError(f"{path}: is a Git-LFS pointer, not the file itself: fetch it with `git lfs pull`")
    if start.startswith("HIERARCHY"):
        raise UserError(f"{path}: a BVH holds a person's skeleton, which is not retargeted to robots here")
    return _deepmimic(path, text) if start.startswith("{") else _table(path, start)


def _table(path: Path, text: str) -> Raw:
    delimiter = ";" if text.partition("\n")[0].count(";") > 6 else ","
    try:
        rows = [row for row in csv.reader(io.StringIO(text), delimiter=delimiter) if any(cell.strip() for cell in row)]
    except csv.Error as problem:
        raise UserError(f"{path}: no table: {reason(problem)}") from None
    if not rows:
        raise UserError(f"{path}: the file is empty")
    header = [cell.strip() for cell in rows[0]]
    named = any(_number(cell) is None for cell in header)
    widths = {len(row) for row in rows}
    if len(widths) > 1:
        raise UserError(f"{path}: rows have different lengths: {', '.join(map(str, sorted(widths)[:4]))}")
    values = [[_number(cell) for cell in row] for row in rows[named:]]
    for number, row in enumerate(values, start=1 + named):
        if None in row:
            raise UserError(f"{path}: line {number}, column {row.index(None) + 1} is no number")
    table = np.asarray(values, float).reshape(len(values), len(header))
    if named:
        return _seed(path, header, table)
    if table.shape[1] <= ROOT_COLUMNS:
        raise UserError(f"{path}: has {table.shape[1]} columns; a robot's table has x, y, z, a quaternion, and joints")
    return Raw(
        stem(path), "table without a header (Unitree, LAFAN1, Kimodo, Booster)",
        table[:, :3], table[:, 3:7], table[:, 7:],
    )  # fmt: skip


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None


def _seed(path: Path, header: list[str], table: np.ndarray) -> Raw:
    """BONES-SEED: centimetres and degrees by column names; the root's rotation is Rz Ry Rx."""
    column = {name: table[:, place] for place, name in enumerate(header)}
    wanted = [f"root_{kind}{axis}" for kind in ("translate", "rotate") for axis in "XYZ"]
    if missing := [name for name in wanted if name not in column]:
        raise UserError(f"{path}: a table with a header, but no column {missing[0]}; known is the header of BONES-SEED")
    joints = [name for name in header if name.endswith("_dof")]
    x, y, z = (np.deg2rad(column[name]) for name in wanted[3:])
    return Raw(
        stem(path), "BONES-SEED", CENTIMETRE * np.stack([column[name] for name in wanted[:3]], axis=1),
        from_euler("zyx", np.stack([z, y, x], axis=1)),
        np.deg2rad(np.stack([column[name] for name in joints], axis=1)) if joints else np.zeros((len(table), 0)),
        fps=120.0, order="wxyz", names=tuple(name.removesuffix("_dof") for name in joints),
        notes=("centimetres and degrees, by its column names",),
    )  # fmt: skip


# Columns of a humanoid3d frame: first column and width; in the order of our humanoid's joints, those it lacks left out
HUMANOID = {
    "abdomen": (8, 4), "neck": (12, 4), "right_shoulder": (25, 4), "right_elbow": (29, 1), "left_shoulder": (39, 4),
    "left_elbow": (43, 1), "right_hip": (16, 4), "right_knee": (20, 1), "right_ankle": (21, 4), "left_hip": (30, 4),
    "left_knee": (34, 1), "left_ankle": (35, 4),
}  # fmt: skip
SIGNS = {"right_elbow": 1.0, "left_elbow": -1.0, "right_knee": -1.0, "left_knee": -1.0}
UP = np.sqrt(0.5) * np.array([1.0, 1.0, 0.0, 0.0])  # +90 degrees about x: from y up to z up
ARMS = {"right_shoulder": UP, "left_shoulder": UP * [1, -1, 1, 1]}  # from arms down to a T-pose


def _deepmimic(path: Path, text: str) -> Raw:
    try:
        data: Any = json.loads(text)
        frames = np.asarray(data["Frames"], float)
        loop = WRAP if data["Loop"] == "wrap" else CLAMP
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError) as error:
        raise UserError(f"{path}: no DeepMimic motion (Loop and Frames in JSON): {reason(error)}") from None
    if frames.ndim != 2 or frames.shape[1] != 44 or len(frames) < 2:
        raise UserError(
            f"{path}: Frames have shape {list(frames.shape)}; DeepMimic's humanoid has 44 numbers in a frame"
        )
    times = np.concatenate([[0.0], np.cumsum(frames[:-1, 0])])
    rate = (len(frames) - 1) / times[-1] if times[-1] > 0 else np.inf
    if not np.isfinite(rate):
        raise UserError(f"{path}: its frames last 0 s")
    even = np.ptp(np.diff(times)) < 0.02 / rate
    notes = ["y up turned to z up, arms from hanging to stretched"]
    if not even:
        frames, notes = _evenly(frames, times), [*notes, "frames of different lengths were sampled evenly"]
    turned = lambda quat: multiply(multiply(UP, quat), UP * [1, -1, -1, -1])  # noqa: E731
    names, columns = [], []
    for joint, (first, width) in HUMANOID.items():
        values = frames[:, first : first + width]
        if width == 1:
            names.append(joint)
            columns.append(SIGNS[joint] * values)
            continue
        quat = turned(values / np.linalg.norm(values, axis=1, keepdims=True))
        quat = multiply(quat, ARMS[joint]) if joint in ARMS else quat
        names += [f"{joint}_{axis}" for axis in "xyz"]
        columns.append(quat_to_exp(quat))
    root = frames[:, 1:4] @ np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]], float)
    return Raw(
        stem(path), "DeepMimic humanoid3d", root, turned(frames[:, 4:8]), np.concatenate(columns, axis=1),
        fps=round(rate) if abs(rate - round(rate)) < 0.02 * rate / len(frames) + 0.05 else rate, order="wxyz",
        names=tuple(names), loop=loop, notes=tuple(notes),
    )  # fmt: skip


def _evenly(frames: np.ndarray, times: np.ndarray) -> np.ndarray:
    even = np.linspace(0.0, times[-1], len(frames))
    return np.stack([np.interp(even, times, column) for column in frames.T], axis=1)
