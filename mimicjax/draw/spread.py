"""Curves of several runs of one kind: their mean, and a band from the lowest to the highest."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mimicjax.draw import curves, figure
from mimicjax.draw.curves import Curves


def band(tables: Sequence[Curves], kind: str) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """(samples [n], label -> lowest, mean and highest [3,n]) of one panel, where all runs have a row.

    kind: a key of curves.PANELS. Runs of one kind are tested after equal numbers of samples; rows that only some have are
    left out.
    """
    rows = [{int(sample): place for place, sample in enumerate(table["Samples"])} for table in tables]
    common = sorted(set.intersection(*map(set, rows)))
    places = [[there[sample] for sample in common] for there in rows]
    drawn = [curves.PANELS[kind](table) for table in tables]
    labels = [label for label in drawn[0] if all(label in each for each in drawn)]
    found = {}
    for label in labels:
        values = np.stack([each[label][place] for each, place in zip(drawn, places, strict=True)])
        found[label] = np.stack([values.min(axis=0), values.mean(axis=0), values.max(axis=0)])
    return np.asarray(common, float), found


def draw(tables: Sequence[Curves], path: Path, title: str) -> None:
    """Draw all panels against samples; nothing without tables. Raises UserError if it cannot be written."""
    if not tables:
        return
    sheet = figure.make(16, 3.8)
    sheet.suptitle(f"{title}: {len(tables)} seeds, mean and range")
    for axis, kind in zip(sheet.subplots(1, len(curves.PANELS)), curves.PANELS, strict=True):
        samples, found = band(tables, kind)
        curves.panel(axis, samples, {label: values[1] for label, values in found.items()}, "samples", kind)
        for line, (low, _, high) in zip(axis.get_lines(), found.values(), strict=True):
            axis.fill_between(samples, low, high, alpha=0.2, color=line.get_color(), linewidth=0)
            if kind != curves.REWARD:  # whose limits follow what is drawn; the others' are the mean's
                axis.set_ylim(top=max(axis.get_ylim()[1], 1.03 * np.nanmax(high, initial=0.0)))
    figure.write(sheet, path, dpi=80)
