"""What failure-driven sampling knows of each clip, as rows for the user; on the host."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from mimicjax.config.settings import SamplingSettings
from mimicjax.motion import sampling
from mimicjax.motion.sampling import Cuts, Record
from mimicjax.types import Clip

MOST_CLIPS = 20  # of which each has a column in the log
SUCCESS = "Success_"  # prefix of these columns


def rows(
    settings: SamplingSettings, cuts: Cuts, clips: Sequence[Clip], dt: float, record: Record
) -> list[dict[str, Any]]:
    """A row for every clip, in the set's order: shares of starts, success, and the bin that most episodes begin in."""
    record = jax.tree.map(np.asarray, jax.device_get(record))
    weight = np.asarray([clip.weight for clip in clips], np.float32)
    share = np.asarray(sampling.shares(settings, cuts, dt, weight / weight.sum(), record))
    rate = np.asarray(sampling.rates(dt, record))
    table = []
    for number, clip in enumerate(clips):
        first, count = int(cuts.first[number]), int(cuts.count[number])
        inside = slice(first, first + count)
        top = int(np.argmax(share[inside]))
        width = clip.duration / count
        ended, seconds = float(record.ended[number]), dt * float(record.steps[inside].sum())
        table.append({
            "clip": clip.name, "weight": float(weight[number] / weight.sum()), "share": float(share[inside].sum()),
            "episodes": ended, "success": float(record.succeeded[number]) / ended if ended else None,
            "seconds": seconds, "failures_per_second": float(record.failures[inside].sum()) / seconds if seconds else None,
            "top_bin_from": top * width, "top_bin_to": (top + 1) * width, "top_bin_share": float(share[first + top]),
            "top_bin_failures_per_second": float(rate[first + top]),
        })  # fmt: skip
    return table


def columns(table: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Columns of the log: success of each clip, where they are few; NaN where no episode has ended."""
    if len(table) > MOST_CLIPS:
        return {}
    return {f"{SUCCESS}{row['clip']}": np.nan if row["success"] is None else row["success"] for row in table}


def csv_of(table: Sequence[Mapping[str, Any]]) -> str:
    """The rows as CSV, numbers with six digits; empty where nothing is known."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(table[0]), lineterminator="\n")
    writer.writeheader()
    for row in table:
        writer.writerow({name: f"{value:.6g}" if isinstance(value, float) else value for name, value in row.items()})
    return text.getvalue()
