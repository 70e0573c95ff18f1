"""The push that a policy survives with probability 50 % or 90 %: a logistic fit with a bootstrap interval; all in numpy."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

SHARES = (0.5, 0.9)
SAMPLES = 500  # of the bootstrap
PRIOR = 0.05  # pseudo-episodes of either outcome at the ends of the range: keeps a step from being infinitely steep
ITERATIONS = 30


class Threshold(NamedTuple):
    """A level (N s, N, N m s or N m) with its 95 % interval; what lies beyond the levels tried is None."""

    value: float | None
    low: float | None  # None: below the lowest level tried
    high: float | None  # None: above the highest
    beyond: str  # "" if there is a value; else "below" the lowest, "above" the highest level tried, or "unclear"


class Fit(NamedTuple):
    """Survival against the level of a push."""

    levels: np.ndarray  # [L]
    episodes: np.ndarray  # [L] int
    survived: np.ndarray  # [L] int
    at: dict[float, Threshold]  # share of SHARES -> level
    samples: dict[float, np.ndarray]  # share -> [SAMPLES] levels of the bootstrap, cut to the levels tried


def logistic(levels: np.ndarray, episodes: np.ndarray, survived: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Maximum likelihood (a, b) [...] of P(survive) = 1 / (1 + exp(b level - a)) for counts [...,L], by Newton's method.

    A little of either outcome is added where it says least: a survivor below the lowest level, a fall above the highest.
    """
    levels = np.asarray(levels, np.float64)
    middle, scale = levels.mean(), max(np.ptp(levels) / 2, 1e-9)
    x = (np.concatenate([levels, levels[[0, -1]]]) - middle) / scale
    x[-2:] *= 1.5
    ends = np.broadcast_to(np.asarray([PRIOR, PRIOR]), (*np.shape(survived)[:-1], 2))
    n = np.concatenate([np.broadcast_to(episodes, np.shape(survived)), ends], axis=-1).astype(np.float64)
    k = np.concatenate([survived, ends * [1.0, 0.0]], axis=-1).astype(np.float64)
    a, b = np.zeros(k.shape[:-1]), np.zeros(k.shape[:-1])
    for _ in range(ITERATIONS):
        p = 1.0 / (1.0 + np.exp(np.clip(b[..., None] * x - a[..., None], -30.0, 30.0)))
        weight = n * p * (1.0 - p) + 1e-9 * n
        rest = k - n * p
        g0, g1 = rest.sum(-1), -(rest * x).sum(-1)
        h00, h01, h11 = weight.sum(-1), -(weight * x).sum(-1), (weight * x * x).sum(-1)
        det = np.maximum(h00 * h11 - h01**2, 1e-12)
        step = np.stack([(h11 * g0 - h01 * g1) / det, (h00 * g1 - h01 * g0) / det])
        length = np.maximum(np.abs(step).max(0), 1e-12)
        a, b = np.stack([a, b]) + step * np.minimum(1.0, 2.0 / length)  # at most 2 at a time: it must not overshoot
    return a + b * middle / scale, b / scale


def level_at(a: np.ndarray, b: np.ndarray, share: float) -> np.ndarray:
    """The level of a fit at which `share` survive; inf or -inf where survival does not fall with the level."""
    odds = np.log(share / (1.0 - share))
    flat = np.where(a > odds, np.inf, -np.inf)
    return np.where(b > 1e-9, (a - odds) / np.where(b > 1e-9, b, 1.0), flat)


def fit(levels: np.ndarray, episodes: np.ndarray, survived: np.ndarray, seed: int = 0) -> Fit | None:
    """Fit survival [L] of `episodes` [L] at rising levels [L]; None for fewer than two levels that have episodes.

    The bootstrap is parametric: it draws the survivors of every level anew from the fitted curve, so that a level
    where all went the same way is not taken as certain.
    """
    levels, episodes, survived = (np.asarray(v)[np.asarray(episodes) > 0] for v in (levels, episodes, survived))
    if len(levels) < 2:
        return None
    best = logistic(levels, episodes, survived)
    chance = 1.0 / (1.0 + np.exp(np.clip(best[1] * levels - best[0], -30.0, 30.0)))
    drawn = np.random.default_rng(seed).binomial(episodes, chance, size=(SAMPLES, len(levels)))
    samples = logistic(levels, episodes, drawn)
    at, kept = {}, {}
    for share in SHARES:
        kept[share] = np.clip(level_at(*samples, share), levels[0], levels[-1])
        at[share] = _threshold(float(level_at(*best, share)), kept[share], levels, survived / episodes, share)
    return Fit(levels, episodes, survived, at, kept)


def _threshold(value: float, samples: np.ndarray, levels: np.ndarray, rate: np.ndarray, share: float) -> Threshold:
    lowest, highest = float(levels[0]), float(levels[-1])
    low, high = (float(edge) for edge in np.quantile(samples, [0.025, 0.975]))
    crossing = np.flatnonzero((rate[:-1] >= share) & (rate[1:] < share))
    if len(crossing) == 1 and np.sum((rate > 0.0) & (rate < 1.0)) <= 2:
        # too few levels between all and none to know how steep it is: where it turns between two, nobody has tried
        low, high = min(low, float(levels[crossing[0]])), max(high, float(levels[crossing[0] + 1]))
    ends = None if low <= lowest else low, None if high >= highest else high
    if np.all(rate >= share) and value > highest or value == np.inf:
        return Threshold(None, ends[0], None, "above")
    if np.all(rate < share) and value < lowest or value == -np.inf:
        return Threshold(None, None, ends[1], "below")
    if not lowest <= value <= highest:
        return Threshold(None, *ends, "above" if value > highest else "below")
    return Threshold(value, *ends, "")


def ratio(a: Fit, b: Fit, share: float) -> Threshold | None:
    """Level of `b` / level of `a`, with the interval of their independent bootstraps; None where either is beyond."""
    first, second = a.at[share].value, b.at[share].value
    if not first or second is None:
        return None
    low, high = np.quantile(b.samples[share] / a.samples[share], [0.025, 0.975])
    return Threshold(second / first, float(low), float(high), "")
