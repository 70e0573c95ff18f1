"""How episodes ended, with which body, and where in the clip: what a policy has not learned yet."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table

from mimicjax.draw import figure
from mimicjax.env import terminations
from mimicjax.env.view import Scope, View
from mimicjax.evaluation.metrics import Results
from mimicjax.types import FAILED, Array

FELL, STRAYED, UNSTABLE, WHOLE = "fell", "left the reference", "unstable", "whole"
WATCHED = ("fell_body", "far_body", "end_time")  # of a control step: what `Results` needs of an episode's last
BINS = 20  # of a clip, in the picture
MOST_ROWS = 12  # of the table


def watch(scope: Scope, view: View, time: Array) -> dict[str, Array]:
    """Of a control step: the body that is down though it may not (-1 for none), the body that is farthest off, s in the clip."""
    settings = scope.settings.terminations.get("fall")
    down = terminations.down(scope, settings.limit if settings else 0.0)(view)
    gap = jnp.linalg.norm(view.reference.body_pos - view.pose.body_pos, axis=-1)
    return {
        "fell_body": jnp.where(jnp.any(down), jnp.argmax(down), -1).astype(jnp.float32),
        "far_body": jnp.argmax(gap).astype(jnp.float32),
        "end_time": time,
    }


def classify(results: Results, bodies: Sequence[str]) -> tuple[list[str], list[str]]:
    """(how each episode ended, and the body that it ended with: "" where none is to blame)."""
    ways, names = [], []
    for row, done in enumerate(results.done):
        fell = int(results.last["fell_body"][row])
        if done != FAILED:
            way, body = WHOLE, ""
        elif fell >= 0:
            way, body = FELL, bodies[fell]
        elif results.strays:
            way, body = STRAYED, bodies[int(results.last["far_body"][row])]
        else:
            way, body = UNSTABLE, ""
        ways.append(way)
        names.append(body)
    return ways, names


def phase(results: Results, duration: np.ndarray, at_end: bool) -> np.ndarray:
    """Where in their clips [E] of `duration` [M] s episodes began or ended, 0 to 1; a clip that loops begins again."""
    length = duration[results.clip]
    time = results.last["end_time"] if at_end else results.start
    share = np.asarray(time) / length
    return np.where(share > 1.0, share % 1.0, share)


def rows(results: Results, bodies: Sequence[str], duration: np.ndarray) -> list[dict[str, Any]]:
    """A row for every way to fail and body, the most frequent first: episodes, their share, the phases in which it happened."""
    met: dict[tuple[str, str], list[float]] = defaultdict(list)
    where = phase(results, duration, at_end=True)
    for row, key in enumerate(zip(*classify(results, bodies), strict=True)):
        if key[0] != WHOLE:
            met[key].append(float(where[row]))
    ranked = sorted(met.items(), key=lambda item: (-len(item[1]), item[0]))
    return [
        {
            "how": how, "body": body, "episodes": len(places), "share": len(places) / len(results.done),
            "phase_low": round(min(places), 4), "phase_median": round(float(np.median(places)), 4),
            "phase_high": round(max(places), 4),
        }
        for (how, body), places in ranked
    ]  # fmt: skip


def table(found: Sequence[dict[str, Any]]) -> Table | None:
    """The rows on the screen; None where no episode failed."""
    if not found:
        return None
    shown = Table(title="how episodes failed", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for column in ("", "body", "episodes", "share", "phase of the clip, median"):
        shown.add_column(column, justify="left" if column in ("", "body") else "right", no_wrap=True)
    for row in found[:MOST_ROWS]:
        span = f"{row['phase_median']:.2f} [{row['phase_low']:.2f}, {row['phase_high']:.2f}]"
        shown.add_row(row["how"], row["body"], str(row["episodes"]), f"{100 * row['share']:.1f} %", span)
    return shown


def survival(results: Results, duration: np.ndarray, dt: float) -> tuple[np.ndarray, np.ndarray]:
    """(share of passages through each bin of the clips without a failure [BINS], passages [BINS]); all clips together."""
    passed, failed = np.zeros(BINS), np.zeros(BINS)
    for row, steps in enumerate(results.length):
        length = duration[results.clip[row]]
        times = results.start[row] + dt * np.arange(1, steps + 1)
        bins = np.minimum((times / length % 1.0 * BINS).astype(int), BINS - 1)
        changes = np.flatnonzero(np.diff(bins, prepend=-1))  # a bin counts once for every time it is entered
        np.add.at(passed, bins[changes], 1)
        if results.done[row] == FAILED:
            failed[bins[-1]] += 1
    with np.errstate(invalid="ignore", divide="ignore"):
        return 1.0 - failed / passed, passed


def draw(results: Results, duration: np.ndarray, dt: float, path: Path) -> None:
    """The picture of survival over the clip's phase. Raises UserError."""
    share, passed = survival(results, duration, dt)
    sheet = figure.make(6.4, 3.0)
    axis = sheet.subplots()
    middle = (np.arange(BINS) + 0.5) / BINS
    axis.bar(middle, 100.0 * np.nan_to_num(share), width=0.9 / BINS, color="#0072b2")
    axis.bar(middle[passed == 0], 100.0, width=0.9 / BINS, color="#d9d9d9")
    axis.set(xlabel="phase of the clip", ylabel="passed without a failure, %", xlim=(0, 1), ylim=(0, 102))
    axis.set_title(f"{len(results.done)} episodes; grey: never met", fontsize="medium")
    figure.write(sheet, path, dpi=110)
