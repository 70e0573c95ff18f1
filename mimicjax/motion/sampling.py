"""Starts drawn where episodes fail: which clip by how often it succeeds, which second of it by how often it fails there.

Clips as VideoMimic: success s, a = 1 / (s + 0.05), the weight of a clip times a / mean(a) within [1 / most, most].
Bins of about a second as BeyondMimic, smoothed over later bins, but by failures per second instead of counts of failures,
so that it does not matter how many environments there are, how often a bin is visited and how long an episode lasts; and
with a floor that is a share of the starts: p = (1 - floor) (h + rare) / sum(h + rare) + floor / bins of the clip.

What failed is remembered as sums that fade. Counts of an iteration are whole numbers, which add up exactly over devices.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mimicjax import statistics
from mimicjax.config.settings import SamplingSettings
from mimicjax.motion import library
from mimicjax.motion.reference import Motion, clips_of
from mimicjax.motion.table import Table
from mimicjax.statistics import Statistics
from mimicjax.types import FAILED, RUNNING, WRAP, Array, Bins, Clip

EASE = 0.05  # VideoMimic's: a clip that never succeeds has a = 20
DOUBT = 1.0  # s without a failure that a bin is taken to have been visited for already: a first failure is no certainty


class Record(NamedTuple):
    """What happened in K bins and M clips, older samples counting less; sums over all devices."""

    failures: Array  # [K] episodes that failed there
    steps: Array  # [K] control steps that ended there
    ended: Array  # [M] episodes that ended
    succeeded: Array  # [M] of them, without a failure


class Cuts(NamedTuple):
    """How clips are cut into bins; static numpy."""

    clip: np.ndarray  # [K] int32, as in Bins
    first: np.ndarray  # [M] int32
    count: np.ndarray  # [M] int32
    loop: np.ndarray  # [M] bool, the clip loops: after the last bin comes the first


class Sampler(NamedTuple):
    """Functions of the failure-driven draw of starts, for the clips of a run."""

    cuts: Cuts
    init: Callable[[], Record]
    weigh: Callable[[Motion, Record], Motion]  # the motion whose starts are drawn by what is recorded
    place: Callable[[Motion, Array, Array], Array]  # (motion, clip [B], time [B] s) -> bin [B] int32
    count: Callable[[Array, Array], Record]  # (bin [T,B], done [T,B]) -> what happened in the samples of this device
    update: Callable[[Record, Record, int], Record]  # (before, counts over all devices, their samples) -> after
    statistics: Callable[[Motion, Record, str | None], Statistics]


def cut(clips: Sequence[Clip], whole: bool = False) -> Cuts:
    """Bins as BeyondMimic has them: 1 + floor(frames / fps), of equal length. whole: a bin for each clip."""
    count = np.asarray([1 if whole else 1 + int(len(clip.root_pos) / clip.fps) for clip in clips], np.int32)
    first = (np.cumsum(count) - count).astype(np.int32)
    return Cuts(
        clip=np.repeat(np.arange(len(clips), dtype=np.int32), count),
        first=first,
        count=count,
        loop=np.asarray([clip.loop == WRAP for clip in clips]),
    )


def make(settings: SamplingSettings, cuts: Cuts, dt: float) -> Sampler:
    """The sampler for clips cut by `cuts`; dt: s, a control step."""
    bins, clips = len(cuts.clip), len(cuts.count)

    def count(place: Array, done: Array) -> Record:
        place, done = place.reshape(-1), done.reshape(-1)
        add = lambda size, where, what: jnp.zeros(size).at[where].add(what.astype(jnp.float32))  # noqa: E731
        clip = jnp.asarray(cuts.clip)[place]
        return Record(
            failures=add(bins, place, done == FAILED),
            steps=add(bins, place, jnp.ones(len(place))),
            ended=add(clips, clip, done != RUNNING),
            succeeded=add(clips, clip, (done != RUNNING) & (done != FAILED)),
        )

    def update(before: Record, counts: Record, samples: int) -> Record:
        keep = float(np.exp(-samples * dt / (settings.memory * bins)))
        return jax.tree.map(lambda old, new: keep * old + new, before, counts)

    def place(motion: Motion, clip: Array, time: Array) -> Array:
        number = jnp.asarray(cuts.count)[clip]
        part = library.phase(clips_of(motion), clip, time) * number.astype(jnp.float32)
        return jnp.asarray(cuts.first)[clip] + jnp.minimum(part.astype(jnp.int32), number - 1)

    def weigh(motion: Motion, record: Record) -> Motion:
        known = clips_of(motion)
        share = shares(settings, cuts, dt, known.weight, record)
        drawn = Bins(
            clip=jnp.asarray(cuts.clip),
            first=jnp.asarray(cuts.first),
            count=jnp.asarray(cuts.count),
            share=share,
            cumulative=library.cumulative(share),
        )
        known = known._replace(bins=drawn)
        return motion._replace(clips=known) if isinstance(motion, Table) else known

    def numbers(motion: Motion, record: Record, axis: str | None) -> Statistics:
        share = shares(settings, cuts, dt, clips_of(motion).weight, record)
        top = jnp.max(share)
        return {
            "Sampling_Entropy": statistics.once(entropy(share), axis),
            "Sampling_Top_Share": statistics.once(top, axis),
        }

    init = lambda: Record(*(jnp.zeros(size) for size in (bins, bins, clips, clips)))  # noqa: E731
    return Sampler(cuts, init, weigh, place, count, update, numbers)


def shares(settings: SamplingSettings, cuts: Cuts, dt: float, weight: Array, record: Record) -> Array:
    """[K]: probability that an episode begins in a bin. weight [M]: of the clips, any scale; one of weight 0 stays at 0."""
    of_clip = clip_factors(settings, weight, record) * weight
    of_clip = of_clip / jnp.sum(of_clip)
    score = _ahead(settings, cuts, rates(dt, record)) + settings.rare
    clip = jnp.asarray(cuts.clip)
    inside = score / jax.ops.segment_sum(score, clip, len(cuts.count))[clip]
    number = jnp.asarray(cuts.count, jnp.float32)[clip]
    return of_clip[clip] * ((1.0 - settings.floor) * inside + settings.floor / number)


def rates(dt: float, record: Record) -> Array:
    """[K] failures per second spent in a bin."""
    return record.failures / (dt * record.steps + DOUBT)


def clip_factors(settings: SamplingSettings, weight: Array, record: Record) -> Array:
    """[M]: what clips' weights are multiplied by; 1 for those of which no episode has ended."""
    known = (record.ended > 0) & (weight > 0)
    success = record.succeeded / jnp.where(known, record.ended, 1.0)
    need = jnp.where(known, 1.0 / (success + EASE), 0.0)
    mean = jnp.sum(need) / jnp.maximum(jnp.sum(known), 1)
    return jnp.where(known, jnp.clip(need / mean, 1.0 / settings.most, settings.most), 1.0)


def _ahead(settings: SamplingSettings, cuts: Cuts, rate: Array) -> Array:
    """Mean of the rate of a bin and those after it, by fade^j; the last bin repeats, or the first follows in a loop."""
    fade = settings.fade ** np.arange(settings.ahead)
    number, first = cuts.count[cuts.clip], cuts.first[cuts.clip]
    here = np.arange(len(cuts.clip)) - first
    total = jnp.zeros_like(rate)
    for j, part in enumerate(fade / fade.sum()):
        later = np.where(cuts.loop[cuts.clip], (here + j) % number, np.minimum(here + j, number - 1))
        total = total + part * rate[first + later]
    return total


def entropy(share: Array) -> Array:
    """[] of a distribution [K], against that of an even one over all bins that can be drawn: 1 is even, 0 a single bin."""
    count = jnp.sum(share > 0)
    spread = -jnp.sum(jnp.where(share > 0, share * jnp.log(jnp.where(share > 0, share, 1.0)), 0.0))
    return jnp.where(count > 1, spread / jnp.log(jnp.maximum(count, 2)), 1.0)
