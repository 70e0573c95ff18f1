"""Sweeps whose survival is known, for the tests of reports and figures."""

from __future__ import annotations

import functools

import numpy as np

from mimicjax.evaluation.push import cells, outcomes, report
from mimicjax.evaluation.push.cells import Cell

LEVELS = np.array([5.0, 10.0, 15.0, 22.0, 32.0, 45.0, 65.0, 90.0])


def outcomes_of(stood: np.ndarray, survived: np.ndarray, error: np.ndarray, rest: np.ndarray) -> outcomes.Outcomes:
    """Outcomes [E] in which all errors are `error`, and recovery, tilt, torque and load are `rest`."""
    return outcomes.Outcomes(
        stood=stood,
        survived=survived,
        success=survived,
        push_error=error,
        push_error_unpushed=error,
        after_error=error,
        after_error_unpushed=error,
        recovery=rest,
        tilt=rest,
        torque=rest,
        load=rest,
    )


def counted(counts: dict[Cell, int], episodes: int = 20) -> report.Sweep:
    """A sweep in which so many of a cell's episodes survive, and all un-pushed ones."""
    kinds = list(counts)
    cell = np.concatenate([np.full(4, -1), np.repeat(np.arange(len(kinds)), episodes)])
    survivors = [np.arange(episodes) < counts[kind] for kind in kinds]
    up = np.concatenate([np.ones(4, bool), *survivors])
    results = outcomes_of(np.ones(len(cell), bool), up, np.full(len(cell), 0.02), np.ones(len(cell)))
    return report.summarise("counted", kinds, cells.SweepRows(cell, np.zeros(len(cell), int)), results, 0)


def example(label: str, half: float, kinds: list[Cell], repeats: int = 20) -> report.Sweep:
    """A sweep whose survival is a logistic curve of the level."""
    generator = np.random.default_rng(0)
    cell = np.concatenate([np.full(40, -1), np.repeat(np.arange(len(kinds)), repeats)])
    level = np.array([*(kind.level for kind in kinds), 0.0])[cell]
    up = (generator.random(len(cell)) < 1 / (1 + np.exp((level - half) / 4))) | (cell < 0)
    some = generator.random(len(cell))
    results = outcomes_of(np.ones(len(cell), bool), up, 0.01 + 0.01 * some, some)
    return report.summarise(label, kinds, cells.SweepRows(cell, np.zeros(len(cell), int)), results, 0)


@functools.cache
def two_runs() -> tuple[report.Sweep, report.Sweep]:
    """A plain policy, of which half survive 22, and one trained with pushes, of which half survive 38."""
    short = [Cell("torso_link", d, t, x) for d in (*cells.HEADINGS, "up") for t in (0.1, 0.2) for x in LEVELS]
    steady = [Cell("torso_link", d, None, x) for d in cells.HEADINGS[::2] for x in (20.0, 40.0, 80.0)]
    turned = [Cell("pelvis", d, 0.2, x) for d in cells.GROUPS["torques"] for x in (5.0, 20.0, 60.0)]
    kinds = [*short, *steady, *turned]
    return example("plain", 22.0, kinds), example("pushed", 38.0, kinds)
