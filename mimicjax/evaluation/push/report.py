"""A push sweep in figures: a row for every cell, a threshold for every body and direction, files, a line to quote."""

from __future__ import annotations

import csv
import datetime
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mimicjax.errors import UserError
from mimicjax.evaluation import metrics
from mimicjax.evaluation.push import fit as fitting
from mimicjax.evaluation.push.cells import HEADINGS, Cell, SweepRows
from mimicjax.evaluation.push.fit import Fit, Threshold
from mimicjax.evaluation.push.outcomes import Outcomes
from mimicjax.files import replace_text

FORMAT_VERSION = 1
ALL_HEADINGS = "headings"  # a threshold over all of HEADINGS together
UNITS = {
    "push_error": "mm", "push_error_unpushed": "mm", "after_error": "mm", "after_error_unpushed": "mm", "recovery": "s",
    "tilt": "deg", "torque": "N m", "load": "share of the limit",
}  # fmt: skip
SCALES = {"mm": 1e3, "deg": 180 / np.pi}


class Key(NamedTuple):
    """What a threshold is of."""

    body: str
    kind: str  # "force" or "torque"
    direction: str
    duration: float | None  # s; None: sustained
    unit: str


class Sweep(NamedTuple):
    """A sweep of one policy, summarised."""

    label: str
    cells: list[dict[str, Any]]  # a row for every cell, plain
    unpushed: dict[str, Any]  # the same episodes without a push, plain
    fits: dict[Key, Fit]


def summarise(label: str, cells: Sequence[Cell], episodes: SweepRows, found: Outcomes, seed: int) -> Sweep:
    """All figures of a sweep."""
    order = np.argsort(episodes.cell, kind="stable")
    begin = np.searchsorted(episodes.cell[order], np.arange(-1, len(cells) + 1))
    groups = [order[a:b] for a, b in zip(begin, begin[1:], strict=False)]
    rows = [{**_about(cell), **_figures(found, rows)} for cell, rows in zip(cells, groups[1:], strict=True)]
    return Sweep(label, rows, _unpushed(found, groups[0]), _fits(cells, rows, seed))


def _about(cell: Cell) -> dict[str, Any]:
    return {
        "body": cell.body, "kind": cell.kind, "direction": cell.direction, "duration": cell.duration,
        "level": cell.level, "unit": cell.unit,
    }  # fmt: skip


def _figures(found: Outcomes, rows: np.ndarray) -> dict[str, Any]:
    """Figures of a cell's episodes; shares are of those that stood at the onset."""
    mine = Outcomes(*(values[rows] for values in found))
    stood = mine.stood
    out: dict[str, Any] = {"episodes": len(rows), "stood": int(stood.sum()), "survived": int(mine.survived.sum())}
    out["survival"] = _estimate(metrics.share(mine.survived[stood]))
    out["clip_success"] = _estimate(metrics.share(mine.success[stood]))
    for name, unit in UNITS.items():
        values = getattr(mine, name)
        if name == "recovery":
            known = values[~np.isnan(values)]
            out["recovered"] = int(np.isfinite(known).sum())
            out[name] = _number(np.median(known)) if len(known) else None  # None too if most did not recover in time
        else:
            known = values[np.isfinite(values)] * SCALES.get(unit, 1.0)
            out[name] = _number(known.mean()) if len(known) else None
    return out


def _unpushed(found: Outcomes, rows: np.ndarray) -> dict[str, Any]:
    """The price of robustness: how the policy does when nobody pushes it, over the same steps of the same episodes."""
    mine = Outcomes(*(values[rows] for values in found))
    stood = mine.stood
    out: dict[str, Any] = {"episodes": len(rows), "stood": int(stood.sum()), "survived": int(mine.survived.sum())}
    out["survival"] = _estimate(metrics.share(mine.survived[stood]))
    out["clip_success"] = _estimate(metrics.share(mine.success[stood]))
    errors = 1e3 * mine.after_error[np.isfinite(mine.after_error)]
    out["body_error"] = _estimate(metrics.ratio(errors, np.ones(len(errors))))
    for name, unit in (("tilt", "deg"), ("torque", "N m"), ("load", "")):
        known = getattr(mine, name)[np.isfinite(getattr(mine, name))] * SCALES.get(unit, 1.0)
        out[name] = _number(known.mean()) if len(known) else None
    return out


def _estimate(estimate: metrics.Estimate) -> dict[str, float | None]:
    return {"value": _number(estimate.value), "low": _number(estimate.low), "high": _number(estimate.high)}


def _number(value: Any) -> float | None:
    return float(f"{float(value):.6g}") if value is not None and np.isfinite(value) else None


def _fits(cells: Sequence[Cell], rows: Sequence[Mapping[str, Any]], seed: int) -> dict[Key, Fit]:
    counts: dict[Key, dict[float, np.ndarray]] = {}
    for cell, row in zip(cells, rows, strict=True):
        names = [cell.direction, ALL_HEADINGS] if cell.direction in HEADINGS else [cell.direction]
        for name in names:
            levels = counts.setdefault(Key(cell.body, cell.kind, name, cell.duration, cell.unit), {})
            levels[cell.level] = levels.get(cell.level, 0) + np.array([row["stood"], row["survived"]])
    out = {}
    for key, levels in counts.items():
        order = sorted(levels)
        episodes, survived = np.stack([levels[level] for level in order]).T
        made = fitting.fit(np.array(order), episodes, survived, seed)
        if made:
            out[key] = made
    return out


def thresholds(sweep: Sweep) -> list[dict[str, Any]]:
    """A plain row for every threshold: levels that 50 % and 90 % survive."""
    rows = []
    for key, fit in sweep.fits.items():
        row = {**key._asdict(), "lowest": fit.levels[0], "highest": fit.levels[-1], "episodes": int(fit.episodes.sum())}
        rows.append(row | {f"survive_{100 * share:.0f}": _plain(fit.at[share]) for share in fitting.SHARES})
    return rows


def _plain(found: Threshold) -> dict[str, Any]:
    return {
        "value": _number(found.value), "low": _number(found.low), "high": _number(found.high), "beyond": found.beyond
    }  # fmt: skip


def comparison(first: Sweep, second: Sweep) -> list[dict[str, Any]]:
    """A plain row for every threshold of both: second / first, with the interval of the ratio."""
    rows = []
    for key in (key for key in first.fits if key in second.fits):
        row: dict[str, Any] = dict(key._asdict())
        for share in fitting.SHARES:
            a, b = first.fits[key], second.fits[key]
            found = fitting.ratio(a, b, share)
            values = a.at[share].value, b.at[share].value
            gap = None if values[0] is None or values[1] is None else values[1] - values[0]
            row[f"survive_{100 * share:.0f}"] = {
                "first": _number(values[0]), "second": _number(values[1]), "difference": _number(gap),
                "ratio": _plain(found) if found else None,
            }  # fmt: skip
        rows.append(row)
    return rows


def text(found: Threshold | None, fit: Fit, unit: str) -> str:
    """'38 N s [35, 41]', or that the threshold lies beyond the levels tried."""
    if found is None:
        return "-"
    if found.value is None:
        edge = fit.levels[-1] if found.beyond == "above" else fit.levels[0]
        return f"{'more' if found.beyond == 'above' else 'less'} than {edge:g} {unit}"
    low = f"{found.low:.3g}" if found.low is not None else f"<{fit.levels[0]:g}"
    high = f"{found.high:.3g}" if found.high is not None else f">{fit.levels[-1]:g}"
    return f"{found.value:.3g} {unit} [{low}, {high}]"


def quote(sweep: Sweep) -> str:
    """One line: the first body's 50 % impulse over all headings (or of what there is), and the price."""
    keys = sorted(sweep.fits, key=lambda k: (k.kind != "force", k.duration is None, k.direction != ALL_HEADINGS))
    price = sweep.unpushed["body_error"]["value"]
    rest = f"; un-pushed body error {price:.3g} mm" if price is not None else ""
    if not keys:
        return f"{sweep.label}: too few levels, or nobody stood at the onset: no threshold{rest}"
    body = sweep.cells[0]["body"]
    best = [k for k in keys if k.body == body and k[1:3] == keys[0][1:3]] or keys
    key = min(best, key=lambda k: abs((k.duration or 0.0) - 0.2))
    fit = sweep.fits[key]
    how = (
        f"{key.duration:g} s {'pushes' if key.kind == 'force' else 'twists'}" if key.duration else f"steady {key.kind}s"
    )
    count = len({c["direction"] for c in sweep.cells if c["body"] == key.body and c["direction"] in HEADINGS})
    where = f"{count} headings" if key.direction == ALL_HEADINGS else key.direction.replace("_", " ")
    half, most = (text(fit.at[share], fit, key.unit) for share in fitting.SHARES)
    return f"{sweep.label}: {key.body} survives 50 % of {how} of {half} and 90 % of {most} ({where}){rest}"


def data(facts: Mapping[str, Any], about: Mapping[str, Any], sweeps: Sequence[Sweep]) -> dict[str, Any]:
    """All of one sweep, or of two that are compared, as JSON data. about: the profile, starts and definitions."""
    when = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    out = {
        "format_version": FORMAT_VERSION, **facts, "time": when, "confidence": metrics.CONFIDENCE,
        "units": {**UNITS, "body_error": "mm"}, **about, "quote": [quote(sweep) for sweep in sweeps],
        "sweeps": [
            {"label": s.label, "unpushed": s.unpushed, "thresholds": thresholds(s), "cells": s.cells} for s in sweeps
        ],
    }  # fmt: skip
    return out | ({"comparison": comparison(*sweeps)} if len(sweeps) == 2 else {})


def write(out: Path, stem: str, found: Mapping[str, Any], sweeps: Sequence[Sweep]) -> list[Path]:
    """Write out/stem.json and out/stem.csv, each whole or not at all. Raises UserError."""
    paths = [out / f"{stem}.json", out / f"{stem}.csv"]
    try:
        replace_text(paths[0], json.dumps(found, indent=1, allow_nan=False, default=float) + "\n")
        replace_text(paths[1], table(sweeps))
    except OSError as problem:
        raise UserError(f"{out}: cannot be written: {problem.strerror or problem}") from problem
    return paths


def table(sweeps: Sequence[Sweep]) -> str:
    """CSV: a row for every cell of every run; with two, how much more of it the second survives."""
    first = {tuple(c[k] for k in ("body", "direction", "duration", "level")): c for c in sweeps[0].cells}
    rows = []
    for sweep in sweeps:
        for cell in sweep.cells:
            row: dict[str, Any] = {"run": sweep.label}
            for name, value in cell.items():
                nested = isinstance(value, dict)
                row |= (
                    {f"{name}{'' if k == 'value' else '_' + k}": v for k, v in value.items()}
                    if nested
                    else {name: value}
                )
            row["duration"] = "sustained" if cell["duration"] is None else cell["duration"]
            if len(sweeps) == 2:
                other = first[tuple(cell[k] for k in ("body", "direction", "duration", "level"))]
                values = cell["survival"]["value"], other["survival"]["value"]
                row["survival_more_than_first"] = None if None in values else _number(values[0] - values[1])
            rows.append(row)
    made = io.StringIO()
    writer = csv.DictWriter(made, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return made.getvalue()
