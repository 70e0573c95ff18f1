"""From the curves of a sweep to what became of every episode; in numpy. Definitions are in docs/robustness.md."""

from __future__ import annotations

from typing import NamedTuple

import jax
import numpy as np

from mimicjax.evaluation.push.cells import FOREVER, Plan, SweepRows
from mimicjax.evaluation.push.sweep import Curves

RECOVERED = 1.5  # times the un-pushed error
HOLD = 0.3  # s that the error must stay below it
SUCCESS = 0.5  # m of mean global error, never exceeded from the onset on


class Outcomes(NamedTuple):
    """E episodes; NaN where a figure has no meaning."""

    stood: np.ndarray  # [E] bool, on its feet until the onset: the others say nothing of the push
    survived: np.ndarray  # [E] bool, and to the end
    success: np.ndarray  # [E] bool, survived, and the mean global error stayed below SUCCESS
    push_error: np.ndarray  # [E] m, mean body error during the push, up to a fall
    push_error_unpushed: np.ndarray  # [E] m, of the un-pushed episode over the same steps
    after_error: np.ndarray  # [E] m, mean body error after the push, of survivors
    after_error_unpushed: np.ndarray  # [E] m
    recovery: np.ndarray  # [E] s from the end of the push, of survivors; inf if not before the end
    tilt: np.ndarray  # [E] rad, largest from the onset on, up to a fall
    torque: np.ndarray  # [E] N m, likewise, largest of all joints
    load: np.ndarray  # [E], likewise, largest share of a joint's limit

    def rows(self, which: np.ndarray) -> Outcomes:
        """Only the episodes of a mask [E] or of indices."""
        return jax.tree.map(lambda values: values[which], self)


def _mean(values: np.ndarray, which: np.ndarray) -> np.ndarray:
    """Mean over time of values [T,E] where `which` [T,E]; NaN where nowhere."""
    count = which.sum(0)
    total = np.where(which, values, 0.0).sum(0, dtype=np.float64)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _largest(values: np.ndarray, which: np.ndarray) -> np.ndarray:
    return np.where(which.any(0), np.where(which, values, -np.inf).max(0), np.nan)


def recovery_time(error: np.ndarray, unpushed: np.ndarray, onset: int, end: np.ndarray, dt: float) -> np.ndarray:
    """Seconds [E] from the end of the push until the error is back below RECOVERED x its un-pushed value for HOLD.

    error, unpushed: [T,E] m, row i at (i + 1) dt. end: [E] s, when the push ends. The result is 0 if the error never
    exceeded that bound since the onset, and inf if it was not back before the last row. Only moments after the largest
    error count, since the error may still be small right after a push that is about to throw the robot.
    """
    rows = len(error)
    hold = max(1, round(HOLD / dt))
    if rows < hold:
        return np.full(error.shape[1], np.inf)
    row = np.arange(rows)[:, None]
    excess = np.where(row >= onset, error / np.maximum(unpushed, 1e-9), -np.inf)  # NaN where nothing is known
    never_above = ~(np.max(excess, axis=0) > RECOVERED)
    below = np.cumsum(np.concatenate([np.zeros((1, error.shape[1]), int), excess <= RECOVERED]), axis=0)
    steady = below[hold:] - below[:-hold] == hold  # [T-hold+1,E]: row i begins a stretch that is below throughout
    time = dt * (row[: rows - hold + 1] + 1.0)
    steady &= (time > end - 1e-6) & (row[: rows - hold + 1] > np.argmax(excess, axis=0))
    first = np.argmax(steady, axis=0)
    back = np.where(steady.any(0), np.maximum(time[first, 0] - end, 0.0), np.inf)
    return np.where(np.isnan(excess).any(0), np.nan, np.where(never_above, 0.0, back))


def judge(curves: Curves, plan: Plan, episodes: SweepRows, onset: int, dt: float) -> Outcomes:
    """What became of the episodes. onset: the control step in which pushes begin."""
    rows = np.arange(len(curves.fallen))[:, None]
    fell = np.maximum.accumulate(curves.fallen, axis=0)
    stood, survived = np.logical_not(fell[:onset].any(0)), ~fell[-1]
    last = np.where(plan.steps >= FOREVER, len(rows), np.ceil(plan.steps - 1e-4) + onset)
    down = np.concatenate([np.zeros_like(fell[:1]), fell[:-1]])  # already before the step: that of the fall counts
    watched = (rows >= onset) & ~down
    push, after = watched & (rows < last), (rows >= last) & survived
    error, same = curves.body_error, unpushed(curves, episodes)
    away = _largest(curves.global_error, np.broadcast_to(rows >= onset, error.shape))
    back = recovery_time(error, same, onset, (onset + plan.steps) * dt, dt)
    pushed = episodes.cell >= 0
    return Outcomes(
        stood=stood,
        survived=survived,
        success=survived & (away <= SUCCESS),
        push_error=_mean(error, push & stood),
        push_error_unpushed=_mean(same, push & stood),
        after_error=_mean(error, after),
        after_error_unpushed=_mean(same, after),
        recovery=np.where(survived & pushed & (plan.steps < FOREVER), back, np.nan),
        tilt=_largest(curves.tilt, watched & stood),
        torque=_largest(curves.torque, watched & stood),
        load=_largest(curves.load, watched & stood),
    )


def unpushed(curves: Curves, episodes: SweepRows) -> np.ndarray:
    """Body error [T,E] of the un-pushed episode with the same start.

    Where that one fell, the mean of those that did not takes its place; NaN where all fell.
    """
    count = int(np.sum(episodes.cell < 0))  # they come first
    fine = ~curves.fallen[:, :count].any(0)
    error = curves.body_error[:, :count].astype(np.float64)
    if not fine.all():
        mean = error[:, fine].mean(1) if fine.any() else np.full(len(error), np.nan)
        error[:, ~fine] = mean[:, None]
    return error[:, episodes.phase]
