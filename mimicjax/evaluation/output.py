"""Figures of an evaluation as plain data, and the two files that hold them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mimicjax.errors import UserError
from mimicjax.evaluation.metrics import Estimate
from mimicjax.files import replace_text

DIGITS = 7


def number(value: Any) -> float | None:
    """A number with DIGITS significant digits; None for one that is not finite, which JSON does not know."""
    return float(f"{float(value):.{DIGITS}g}") if value is not None and np.isfinite(value) else None


def plain(estimate: Estimate) -> dict[str, float | None]:
    """A figure and its interval."""
    return {"value": number(estimate.value), "low": number(estimate.low), "high": number(estimate.high)}


def csv_of(rows: Sequence[Mapping[str, Any]]) -> str:
    """A table with the names in its first line; all rows have the same."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def write(out: Path, stem: str, data: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> list[Path]:
    """Write data to out/stem.json and rows to out/stem.csv, each whole or not at all. Raises UserError."""
    paths = [out / f"{stem}.json", out / f"{stem}.csv"]
    try:
        replace_text(paths[0], json.dumps(data, indent=1, allow_nan=False, default=float) + "\n")
        replace_text(paths[1], csv_of(rows))
    except OSError as problem:
        raise UserError(f"{out}: cannot be written: {problem.strerror or problem}") from problem
    return paths
