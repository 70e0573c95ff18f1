"""From the results of single episodes to figures with confidence intervals, per clip and overall; all in numpy.

The figures, their definitions and units are in docs/evaluation.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import jax
import numpy as np
from scipy import stats

from mimicjax.types import FAILED

CONFIDENCE = 0.95
FROM = ("start", "random")  # where in its clip an episode begins
SUCCESS = {"Success_0.5m": 0.5, "Success_0.25m": 0.25}  # m, of the mean over bodies, never exceeded
ERRORS = (
    "Root_Pos_Err", "Root_Rot_Err", "Body_Pos_Err", "Body_Rot_Err", "Dof_Vel_Err", "Root_Vel_Err", "Root_Ang_Vel_Err",
)  # fmt: skip
MEANS = ("Speed", "Reference_Speed", "Action_Rate")
UNITS = {
    "Completion": "share", "Return_Per_Step": "", "Return": "", "Episode_Length": "steps", "MPJPE_Global": "mm",
    "MPJPE_Root": "mm", "Speed": "m/s", "Reference_Speed": "m/s",
    "Root_Pos_Err": "m", "Root_Rot_Err": "rad", "Body_Pos_Err": "m", "Body_Rot_Err": "rad",
    "Dof_Vel_Err": "rad/s", "Root_Vel_Err": "m/s", "Root_Ang_Vel_Err": "rad/s", "Action_Rate": "1/s",
}  # fmt: skip


class Results(NamedTuple):
    """E episodes, each from its start to its end (numpy)."""

    clip: np.ndarray  # [E] int
    start: np.ndarray  # [E] s, in the clip
    origin: np.ndarray  # [E] int, index into FROM
    length: np.ndarray  # [E] int, control steps
    limit: np.ndarray  # [E] int, control steps to the end of the clip or of the episode's time
    done: np.ndarray  # [E] int, done code
    total: np.ndarray  # [E], sum of rewards
    mean_error: dict[str, np.ndarray]  # ERRORS -> [E], mean over the steps
    first_error: dict[str, np.ndarray]  # ERRORS -> [E], right after the reset, before the first step
    global_error: np.ndarray  # [E] m, mean over steps and bodies of the distance in the world
    worst_error: np.ndarray  # [E] m, largest over steps of the mean over bodies
    means: dict[str, np.ndarray]  # MEANS and the figures of the task -> [E], mean over the steps
    broke_rule: np.ndarray  # [E] bool, fell, or had a body more than 1 m from its reference, at some step (MimicKit)
    last: dict[str, np.ndarray]  # endings.WATCHED -> [E], in the last step
    strays: bool  # whether leaving the reference ends an episode

    def rows(self, which: np.ndarray) -> Results:
        """Only the episodes of a mask [E] or of indices."""
        return jax.tree.map(lambda values: values[which] if np.ndim(values) else values, self)


class Estimate(NamedTuple):
    """A figure, its 95 % confidence interval (None where one episode is all there is), and the episodes behind it."""

    value: float | None
    low: float | None
    high: float | None
    episodes: int


class Group(NamedTuple):
    """The figures of some of the episodes."""

    clip: str | None  # None: all clips
    origin: str  # one of FROM, or "all"
    episodes: int
    figures: dict[str, Estimate]


def share(hits: np.ndarray) -> Estimate:
    """Share of true in hits [E] bool, with Wilson's interval."""
    count, good = len(hits), int(np.sum(hits))
    if not count:
        return Estimate(None, None, None, 0)
    interval = stats.binomtest(good, count).proportion_ci(CONFIDENCE, method="wilson")
    return Estimate(good / count, float(interval.low), float(interval.high), count)


def ratio(sums: np.ndarray, weights: np.ndarray) -> Estimate:
    """sum of sums [E] / sum of weights [E]: a mean over the steps of all episodes, where `weights` are their lengths.

    The interval is Student's for the linearised ratio with episodes, not steps, as the independent units (Cochran,
    Sampling Techniques, 6.4). With equal weights it is the usual t interval of a mean.
    """
    sums, weights = np.asarray(sums, np.float64), np.asarray(weights, np.float64)
    count, total = len(sums), float(np.sum(weights))
    if not count or total <= 0.0:
        return Estimate(None, None, None, count)
    value = float(np.sum(sums)) / total
    if count < 2 or not np.isfinite(value):
        return Estimate(value if np.isfinite(value) else None, None, None, count)
    spread = np.sum((sums - value * weights) ** 2) * count / (count - 1)
    half = float(stats.t.ppf(0.5 + CONFIDENCE / 2, count - 1)) * float(np.sqrt(spread)) / total
    return Estimate(value, value - half, value + half, count)


def completed(results: Results) -> np.ndarray:
    """[E] bool: reached the end of the clip or of the episode's time without a failure."""
    return results.done != FAILED


def completion(results: Results) -> np.ndarray:
    """[E]: share of the steps to the end of the clip or of the episode's time."""
    return np.where(completed(results), 1.0, np.minimum(results.length / np.maximum(results.limit, 1), 1.0))


def figures(results: Results) -> dict[str, Estimate]:
    """All figures of the episodes, in the order in which they are shown."""
    steps, whole, ones = results.length, completed(results), np.ones(len(results.length))
    fell = results.last["fell_body"] >= 0
    out = {"Completed": share(whole), "Fell": share(~whole & fell)}
    if results.strays:
        out["Strayed"] = share(~whole & ~fell)
    out["Success_MimicKit"] = share(whole & ~results.broke_rule)
    out |= {name: share(whole & (results.worst_error <= most)) for name, most in SUCCESS.items()}
    out["Completion"] = ratio(completion(results), ones)
    out["Return_Per_Step"] = ratio(results.total, steps)
    out["Return"] = ratio(results.total, ones)
    out["Episode_Length"] = ratio(steps, ones)
    out["MPJPE_Global"] = ratio(1000.0 * results.global_error * steps, steps)
    out["MPJPE_Root"] = ratio(1000.0 * results.mean_error["Body_Pos_Err"] * steps, steps)
    for name, mean in results.means.items():
        out[name] = ratio(mean * steps, steps)
    for name in ERRORS:  # MimicKit's: every step, and one entry for every reset
        out[name] = ratio(results.mean_error[name] * steps + results.first_error[name], steps + 1)
    return out


def groups(results: Results, clips: tuple[str, ...]) -> Iterator[Group]:
    """Overall and for every clip: all episodes, those from the clip's start, those from random phases."""
    for number, name in [(None, None), *enumerate(clips)]:
        of_clip = np.ones(len(results.clip), bool) if number is None else results.clip == number
        for origin in ("all", *FROM):
            which = of_clip if origin == "all" else of_clip & (results.origin == FROM.index(origin))
            if np.any(which):
                yield Group(name, origin, int(np.sum(which)), figures(results.rows(which)))
