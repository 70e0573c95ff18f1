"""A push sweep on the screen: the levels that 50 % and 90 % survive, and how the policy does when nobody pushes it."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table

from mimicjax.evaluation.push import fit, report
from mimicjax.evaluation.push.report import ALL_HEADINGS, Key, Sweep

MOST_ROWS = 40


def thresholds(sweeps: Sequence[Sweep]) -> Table | None:
    """Levels over all headings, or where there are none, of single directions; of two runs also the ratio.

    None if there is no threshold.
    """
    keys = _shown(sweeps[0])
    if not keys:
        return None
    table = Table(title="pushes survived, 95 % confidence", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for column in ("body", "direction", "push", *(f"{s.label}: {100 * q:.0f} %" for s in sweeps for q in fit.SHARES)):
        table.add_column(column)
    if len(sweeps) == 2:
        table.add_column("ratio at 50 %")
    for key in keys:
        fits = [sweep.fits.get(key) for sweep in sweeps]
        row = [report.text(each.at[q], each, key.unit) if each else "-" for each in fits for q in fit.SHARES]
        if len(fits) == 2 and fits[0] and fits[1]:
            ratio = fit.ratio(fits[0], fits[1], 0.5)
            row.append(f"{ratio.value:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]" if ratio else "-")
        how = f"{key.kind}, {key.duration:g} s" if key.duration else f"{key.kind}, steady"
        table.add_row(key.body, key.direction.replace("_", " "), how, *row)
    return table


def _shown(sweep: Sweep) -> list[Key]:
    pooled = {(key.body, key.duration) for key in sweep.fits if key.direction == ALL_HEADINGS}
    keys = [k for k in sweep.fits if k.direction == ALL_HEADINGS or (k.body, k.duration) not in pooled]
    return keys[:MOST_ROWS]


def unpushed(sweep: Sweep) -> str:
    """A line about the un-pushed episodes."""
    error, facts = sweep.unpushed["body_error"], sweep.unpushed
    value = "-"
    if error["value"] is not None:
        value = f"{error['value']:.1f} mm [{error['low'] or 0:.1f}, {error['high'] or 0:.1f}]"
    stay = f"{facts['survived']} of {facts['episodes']} stay up"
    return f"{sweep.label}, nobody pushing: body error {value}, {stay}"
