"""Running normalisers (MimicKit 4.3): observations by mean and standard deviation, differences by mean absolute value."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from mimicjax.learn import parallel
from mimicjax.types import Reflection

CLIP, MIN_STD, MIN_DIFFERENCE = 10.0, 1e-4, 1e-4


class Moments(NamedTuple):
    """Of all samples so far, equally weighted.

    The variance is kept about the mean: as a mean of squares it would lose, in float32, as many digits as the square of mean
    over spread has.
    """

    count: jax.Array  # [] float32
    mean: jax.Array  # [O]
    var: jax.Array  # [O]


class Magnitude(NamedTuple):
    """Mean absolute value of all samples so far."""

    count: jax.Array  # [] float32
    mean: jax.Array  # [O]


def moments(size: int) -> Moments:
    """Before any sample: mean 0, standard deviation 1."""
    return Moments(jnp.float32(0), jnp.zeros(size), jnp.ones(size))


def magnitude(size: int) -> Magnitude:
    """Before any sample: 1."""
    return Magnitude(jnp.float32(0), jnp.ones(size))


def std(state: Moments) -> jax.Array:
    """Standard deviation [O], at least 1e-4."""
    return jnp.sqrt(jnp.maximum(state.var, MIN_STD**2))


def symmetric(state: Moments, mirror: Reflection) -> Moments:
    """With every sample's mirror image beside it: then an image is normalised to the image of what is normalised."""
    image = state.mean[mirror.index] * mirror.sign
    # half of the samples have the one mean, half the other: their squared half distance adds to the variance
    var = 0.5 * (state.var + state.var[mirror.index]) + (0.5 * (state.mean - image)) ** 2
    return state._replace(mean=0.5 * (state.mean + image), var=var)


def normalize(state: Moments, x: jax.Array) -> jax.Array:
    """(x - mean) / std clipped to +-10, x [...,O]."""
    return jnp.clip((x - state.mean) / std(state), -CLIP, CLIP)


def scale(state: Magnitude, x: jax.Array) -> jax.Array:
    """x / max(mean |x|, 1e-4): not centred, not clipped."""
    return x / jnp.maximum(state.mean, MIN_DIFFERENCE)


def update(state: Moments, batch: jax.Array, active: jax.Array, axis: str | None = None) -> Moments:
    """Merge a batch [...,O] from every device, if `active` (a bool); Chan, Golub and LeVeque 1979."""
    rows = batch.reshape(-1, batch.shape[-1])
    size = parallel.total(jnp.float32(len(rows)), axis)
    share = size / (state.count + size)
    mean = parallel.total(jnp.sum(rows, axis=0), axis) / size
    var = parallel.total(jnp.sum((rows - mean) ** 2, axis=0), axis) / size
    gap = mean - state.mean
    merged = Moments(
        state.count + size,
        state.mean + share * gap,
        (1.0 - share) * state.var + share * var + share * (1.0 - share) * gap**2,
    )
    return jax.tree.map(lambda new, old: jnp.where(active, new, old), merged, state)


def update_magnitude(
    state: Magnitude, batch: jax.Array, active: jax.Array, axis: str | None = None, weight: jax.Array | None = None
) -> Magnitude:
    """Merge the absolute values of a batch [n,O], or of its rows that `weight` [n] counts, from every device, if `active`."""
    weight = jnp.ones(len(batch)) if weight is None else weight
    size = parallel.total(jnp.sum(weight), axis)
    mean = parallel.total(weight @ jnp.abs(batch), axis) / jnp.maximum(size, 1.0)
    share = size / jnp.maximum(state.count + size, 1.0)
    merged = Magnitude(state.count + size, state.mean + share * (mean - state.mean))
    return jax.tree.map(lambda new, old: jnp.where(active, new, old), merged, state)
