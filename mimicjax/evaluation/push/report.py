"""A push sweep in figures: a row for every cell, a threshold for every body and direction, a line to quote."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from mimicjax.evaluation import metrics
from mimicjax.evaluation.output import number, plain
from mimicjax.evaluation.push import fit as fitting
from mimicjax.evaluation.push.cells import HEADINGS, Cell, SweepRows
from mimicjax.evaluation.push.fit import Fit, Threshold
from mimicjax.evaluation.push.outcomes import Outcomes

FORMAT_VERSION = 1
ALL_HEADINGS = "headings"  # a threshold over all of HEADINGS together
ANY_BODY = "random body"  # and over all bodies together, where each gets the same pushes
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


def summarise(label: str, cells: Sequence[Cell], episodes: SweepRows, outcomes: Outcomes, seed: int) -> Sweep:
    """All figures of a sweep."""
    order = np.argsort(episodes.cell, kind="stable")
    begin = np.searchsorted(episodes.cell[order], np.arange(-1, len(cells) + 1))
    groups = [order[a:b] for a, b in zip(begin, begin[1:], strict=False)]
    pushed = [outcomes.rows(group) for group in groups[1:]]
    rows = [{**_about(cell), **_figures(group)} for cell, group in zip(cells, pushed, strict=True)]
    return Sweep(label, rows, _unpushed(outcomes.rows(groups[0])), _fits(cells, rows, seed))


def _about(cell: Cell) -> dict[str, Any]:
    return {
        "body": cell.body, "kind": cell.kind, "direction": cell.direction, "duration": cell.duration,
        "level": cell.level, "unit": cell.unit,
    }  # fmt: skip


def _figures(outcomes: Outcomes) -> dict[str, Any]:
    """Figures of a cell's episodes."""
    out = _survival(outcomes)
    for name in UNITS:
        if name == "recovery":
            known = outcomes.recovery[~np.isnan(outcomes.recovery)]
            out["recovered"] = int(np.isfinite(known).sum())
            out[name] = number(np.median(known)) if len(known) else None  # None too if most did not recover in time
        else:
            out[name] = _mean(outcomes, name)
    return out


def _unpushed(outcomes: Outcomes) -> dict[str, Any]:
    """The price of robustness: how the policy does when nobody pushes it, over the same steps of the same episodes."""
    errors = 1e3 * outcomes.after_error[np.isfinite(outcomes.after_error)]
    body_error = plain(metrics.ratio(errors, np.ones(len(errors))))
    means = {name: _mean(outcomes, name) for name in ("tilt", "torque", "load")}
    return {**_survival(outcomes), "body_error": body_error, **means}


def _survival(outcomes: Outcomes) -> dict[str, Any]:
    """Who stood and who survived; shares are of those that stood at the onset."""
    stood = outcomes.stood
    return {
        "episodes": len(stood), "stood": int(stood.sum()), "survived": int(outcomes.survived.sum()),
        "survival": plain(metrics.share(outcomes.survived[stood])),
        "clip_success": plain(metrics.share(outcomes.success[stood])),
    }  # fmt: skip


def _mean(outcomes: Outcomes, name: str) -> float | None:
    """Mean over the episodes in which a figure has a meaning, in the unit of UNITS; None without any."""
    values = getattr(outcomes, name)
    known = values[np.isfinite(values)] * SCALES.get(UNITS[name], 1.0)
    return number(known.mean()) if len(known) else None


def _fits(cells: Sequence[Cell], rows: Sequence[Mapping[str, Any]], seed: int) -> dict[Key, Fit]:
    counts: dict[Key, dict[float, np.ndarray]] = {}
    alike = _same_for_all_bodies(cells)
    for cell, row in zip(cells, rows, strict=True):
        names = [(cell.body, cell.direction)]
        if cell.direction in HEADINGS:
            names += [(cell.body, ALL_HEADINGS)] + ([(ANY_BODY, ALL_HEADINGS)] if alike else [])
        for body, direction in names:
            levels = counts.setdefault(Key(body, cell.kind, direction, cell.duration, cell.unit), {})
            levels[cell.level] = levels.get(cell.level, 0) + np.array([row["stood"], row["survived"]])
    out = {}
    for key, levels in counts.items():
        order = sorted(levels)
        episodes, survived = np.stack([levels[level] for level in order]).T
        fit = fitting.fit(np.array(order), episodes, survived, seed)
        if fit:
            out[key] = fit
    return out


def _same_for_all_bodies(cells: Sequence[Cell]) -> bool:
    """Whether there are several bodies, each with the same pushes: their mean is then that of a body drawn at random."""
    pushes: dict[str, set[Cell]] = {}
    for cell in cells:
        pushes.setdefault(cell.body, set()).add(cell._replace(body=""))
    return len(pushes) > 1 and len(set(map(frozenset, pushes.values()))) == 1


def thresholds(sweep: Sweep) -> list[dict[str, Any]]:
    """A plain row for every threshold: levels that 50 % and 90 % survive."""
    rows = []
    for key, fit in sweep.fits.items():
        row = {**key._asdict(), "lowest": fit.levels[0], "highest": fit.levels[-1], "episodes": int(fit.episodes.sum())}
        rows.append(row | {f"survive_{100 * share:.0f}": _plain(fit.at[share]) for share in fitting.SHARES})
    return rows


def _plain(threshold: Threshold) -> dict[str, Any]:
    return {
        "value": number(threshold.value), "low": number(threshold.low), "high": number(threshold.high),
        "beyond": threshold.beyond,
    }  # fmt: skip


def comparison(first: Sweep, second: Sweep) -> list[dict[str, Any]]:
    """A plain row for every threshold of both: second / first, with the interval of the ratio."""
    rows = []
    for key in (key for key in first.fits if key in second.fits):
        row: dict[str, Any] = dict(key._asdict())
        for share in fitting.SHARES:
            a, b = first.fits[key], second.fits[key]
            ratio = fitting.ratio(a, b, share)
            values = a.at[share].value, b.at[share].value
            gap = None if values[0] is None or values[1] is None else values[1] - values[0]
            row[f"survive_{100 * share:.0f}"] = {
                "first": number(values[0]), "second": number(values[1]), "difference": number(gap),
                "ratio": _plain(ratio) if ratio else None,
            }  # fmt: skip
        rows.append(row)
    return rows


def text(threshold: Threshold | None, fit: Fit, unit: str) -> str:
    """'38 N s [35, 41]', or that the threshold lies beyond the levels tried."""
    if threshold is None:
        return "-"
    if threshold.value is None:
        edge = fit.levels[-1] if threshold.beyond == "above" else fit.levels[0]
        return f"{'more' if threshold.beyond == 'above' else 'less'} than {edge:g} {unit}"
    low = f"{threshold.low:.3g}" if threshold.low is not None else f"<{fit.levels[0]:g}"
    high = f"{threshold.high:.3g}" if threshold.high is not None else f">{fit.levels[-1]:g}"
    return f"{threshold.value:.3g} {unit} [{low}, {high}]"


def quote(sweep: Sweep) -> str:
    """One line: the first body's 50 % impulse over all headings (or of what there is), and the price."""
    keys = sorted(sweep.fits, key=lambda k: (k.kind != "force", k.duration is None, k.direction != ALL_HEADINGS))
    price = sweep.unpushed["body_error"]["value"]
    rest = f"; un-pushed body error {price:.3g} mm" if price is not None else ""
    if not keys:
        return f"{sweep.label}: too few levels, or nobody stood at the onset: no threshold{rest}"
    body = ANY_BODY if any(k.body == ANY_BODY for k in keys) else sweep.cells[0]["body"]
    best = [k for k in keys if k.body == body and k[1:3] == keys[0][1:3]] or keys
    key = min(best, key=lambda k: abs((k.duration or 0.0) - 0.2))
    fit = sweep.fits[key]
    word = "pushes" if key.kind == "force" else "twists"
    how = f"{key.duration:g} s {word}" if key.duration else f"steady {key.kind}s"
    count = len(
        {c["direction"] for c in sweep.cells if key.body in (c["body"], ANY_BODY) and c["direction"] in HEADINGS}
    )
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


def rows(sweeps: Sequence[Sweep]) -> list[dict[str, Any]]:
    """A row for every cell of every run; with two, how much more of it the second survives."""
    first = {_push(cell): cell["survival"]["value"] for cell in sweeps[0].cells}
    out = []
    for sweep in sweeps:
        for cell in sweep.cells:
            row = {"run": sweep.label, **_flat(cell)}
            row["duration"] = "sustained" if cell["duration"] is None else cell["duration"]
            if len(sweeps) == 2:
                shares = cell["survival"]["value"], first[_push(cell)]
                row["survival_more_than_first"] = None if None in shares else number(shares[0] - shares[1])
            out.append(row)
    return out


def _push(cell: Mapping[str, Any]) -> tuple[Any, ...]:
    """What tells cells apart."""
    return tuple(cell[name] for name in ("body", "direction", "duration", "level"))


def _flat(cell: Mapping[str, Any]) -> dict[str, Any]:
    """A cell with a column for a figure's value and one for each end of its interval."""
    columns: dict[str, Any] = {}
    for name, value in cell.items():
        parts = value if isinstance(value, Mapping) else {"value": value}
        columns |= {name if part == "value" else f"{name}_{part}": x for part, x in parts.items()}
    return columns
