"""curves.png: how a run went, drawn from its metrics.jsonl."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from mimicjax.draw import figure
from mimicjax.text import short

Curves = dict[str, np.ndarray]  # label -> value per row
REWARD = "reward per step"
ERRORS = {"bodies, about the root": "Body_Pos_Err", "root": "Root_Pos_Err"}
SHORT = 0.2  # of a usual row's samples; training's figures of a row with fewer are noise


def draw(folder: Path) -> None:
    """Draw episode length, reward per step, tracking errors and speed against samples and minutes."""
    table = without_short_rows(read(folder / "metrics.jsonl"))
    if not table:
        return
    axes = {"samples": table["Samples"], "minutes": table.get("Wall_Time", np.zeros(0)) * 60}
    sheet = figure.make(16, 7)
    sheet.suptitle(folder.resolve().name)
    grid = sheet.subplots(len(axes), len(PANELS), squeeze=False)
    for row, (unit, x) in zip(grid, axes.items(), strict=True):
        for axis, (title, of) in zip(row, PANELS.items(), strict=True):
            panel(axis, x, of(table), unit, title)
    figure.write(sheet, folder / "curves.png", dpi=80)


def rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a metrics.jsonl ([] if there is none); a line that a crash cut off, or that is damaged, is left out."""
    complete = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else ():
        try:
            row = dict(json.loads(line))
            if all(value is None or math.isfinite(value) for value in row.values()):
                complete.append(row)
        except (ValueError, TypeError, RecursionError, OverflowError):
            continue
    return complete


def read(path: Path) -> Curves:
    """column -> value per row of metrics.jsonl, NaN where a row has none; {} without rows."""
    table = rows(path)
    names = dict.fromkeys(name for row in table for name in row)
    return {name: np.array([row.get(name) for row in table], dtype=float) for name in names}


def without_short_rows(table: Curves) -> Curves:
    """The table, with NaN for what training measured in rows of few samples, such as the one that Ctrl-C makes."""
    if not table:
        return table
    covered = np.diff(table["Samples"], prepend=0.0)
    few = covered < SHORT * np.nanmedian(covered)
    training = ("Train_", "Disc_", "Motion_", "Demo_", "Samples_Per_Second")
    return {name: np.where(few, np.nan, y) if name.startswith(training) else y for name, y in table.items()}


def panel(axis: Any, x: np.ndarray, curves: Curves, unit: str, title: str) -> None:
    """Draw label -> values over x of a unit."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    for label, y in curves.items():
        if len(x) == len(y):
            seen = np.isfinite(x) & np.isfinite(y)
            axis.plot(x[seen], y[seen], marker=".", markersize=4, linewidth=1.2, label=label)
    axis.set_xlabel(unit)
    axis.set_title(title, fontsize=10)
    axis.grid(alpha=0.3)
    axis.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))  # so few that their labels do not touch
    for side in (axis.xaxis, axis.yaxis):
        side.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
    if title != REWARD:
        axis.set_ylim(0.0, 1.03 * axis.get_ylim()[1])  # else a speed that hardly changes looks wild
    axis.set_xlim(left=0.0)
    if len(curves) > 1:
        axis.legend(fontsize=8, framealpha=0.5)


def _lengths(table: Curves) -> Curves:
    names = {"test": "Test_Episode_Length", "train": "Train_Episode_Length"}
    return {label: table[name] for label, name in names.items() if name in table}


def _rewards(table: Curves) -> Curves:
    lengths = _lengths(table)
    names = {label: f"{label.capitalize()}_Return" for label in lengths}
    curves = {label: _ratio(table[name], lengths[label]) for label, name in names.items() if name in table}
    if "Disc_Reward_Mean" in table:
        curves["discriminator's, train"] = table["Disc_Reward_Mean"]
    return {label: y for label, y in curves.items() if np.any(np.isfinite(y))}  # no return where nothing is rewarded


def _errors(table: Curves) -> Curves:
    return {label: 1e3 * table[name] for label, name in ERRORS.items() if name in table}


def _speed(table: Curves) -> Curves:
    if "Samples_Per_Second" in table:
        return {"training": table["Samples_Per_Second"]}
    if "Wall_Time" not in table:
        return {}
    seconds = np.diff(table["Wall_Time"], prepend=0.0) * 3600
    return {"all": _ratio(np.diff(table["Samples"], prepend=0.0), seconds)}


def _ratio(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.divide(a, b, out=np.full_like(a, np.nan), where=b > 0)


# title -> what it shows of a table
PANELS: dict[str, Callable[[Curves], Curves]] = {
    "episode length (control steps)": _lengths,
    REWARD: _rewards,
    "tracking error in tests (mm)": _errors,
    "samples per second": _speed,
}
