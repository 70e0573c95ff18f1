"""Statistics of training: each says where it is made whether it is a sum, a mean or a largest value.

A mean travels as a sum and a count, so that those of minibatches, iterations and devices merge into the mean of all
samples, whatever share of them each holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class Sum(NamedTuple):
    """What adds up: counts of episodes, of explosions."""

    total: jax.Array  # []


class Mean(NamedTuple):
    """What is averaged over samples, or over whatever `count` counts."""

    total: jax.Array  # []
    count: jax.Array  # []


class Largest(NamedTuple):
    """A largest value."""

    value: jax.Array  # []


Statistic = Sum | Mean | Largest
Statistics = dict[str, Statistic]


def total(x: jax.Array) -> Sum:
    """The sum of all elements."""
    return Sum(jnp.sum(x, dtype=jnp.float32))


def mean(x: jax.Array, weight: jax.Array | None = None) -> Mean:
    """The mean of all elements of x, or of those that `weight` (same shape, 0 or 1) counts."""
    x = jnp.asarray(x, jnp.float32)
    if weight is None:
        return Mean(jnp.sum(x), jnp.float32(x.size))
    weight = jnp.asarray(weight, jnp.float32)
    return Mean(jnp.sum(weight * x), jnp.sum(weight))


def share(part: jax.Array, axis: str | None) -> Mean:
    """A number [] of which every device has a share that adds up to the whole, such as a loss: averaged over its occasions."""
    return Mean(jnp.asarray(part, jnp.float32), 1.0 / jax.lax.psum(jnp.float32(1), axis) if axis else jnp.float32(1))


def once(x: jax.Array, axis: str | None) -> Mean:
    """A number [] that every device has alike, such as a mean over all of them: averaged over its occasions."""
    return share(x / jax.lax.psum(1, axis) if axis else x, axis)


def largest(x: jax.Array) -> Largest:
    """The largest of all elements."""
    return Largest(jnp.max(jnp.asarray(x, jnp.float32)))


def merge(a: Statistics, b: Statistics) -> Statistics:
    """Both together; the same names in both."""

    def pair(x: Statistic, y: Statistic) -> Statistic:
        if isinstance(x, Largest) and isinstance(y, Largest):
            return Largest(jnp.maximum(x.value, y.value))
        return jax.tree.map(jnp.add, x, y)

    return {name: pair(x, b[name]) for name, x in a.items()}


def nothing(like: Statistics) -> Statistics:
    """The statistics of no sample, of the kinds and names of `like` (arrays or their shapes)."""
    return {
        name: Largest(jnp.float32(-jnp.inf)) if isinstance(x, Largest) else jax.tree.map(lambda _: jnp.float32(0), x)
        for name, x in like.items()
    }


def along(stats: Statistics) -> Statistics:
    """Of all entries of a leading axis, such as the steps of a scan, together."""
    return {
        name: Largest(jnp.max(x.value, axis=0))
        if isinstance(x, Largest)
        else jax.tree.map(lambda v: jnp.sum(v, axis=0), x)
        for name, x in stats.items()
    }


def over_devices(stats: Statistics, axis: str | None) -> Statistics:
    """Of all devices together; `axis` names the device axis, None for one device."""
    if axis is None:
        return stats
    summed = jax.lax.psum({k: v for k, v in stats.items() if not isinstance(v, Largest)}, axis)
    peaks = jax.lax.pmax({k: v for k, v in stats.items() if isinstance(v, Largest)}, axis)
    return {name: summed.get(name, peaks.get(name)) for name in stats}


def value(stat: Statistic) -> float:
    """The number that is shown, on the host; NaN for the mean of nothing and the largest of nothing."""
    if isinstance(stat, Mean):
        return float(stat.total) / float(stat.count) if float(stat.count) else float("nan")
    number = float(stat.total if isinstance(stat, Sum) else stat.value)
    return float("nan") if number == -np.inf else number


def values(stats: Mapping[str, Statistic]) -> dict[str, float]:
    """name -> number that is shown."""
    return {name: value(stat) for name, stat in jax.device_get(dict(stats)).items()}
