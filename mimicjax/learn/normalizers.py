"""Running normalisers (MimicKit 4.3): observations by mean and standard deviation, differences by mean absolute value."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from mimicjax.learn import parallel
from mimicjax.types import Reflection

CLIP, MIN_STD, MIN_DIFFERENCE = 10.0, 1e-4, 1e-4


class Moments(NamedTuple):
    """All samples so far, equally weighted."""

    count: jax.Array  # [] float32
    mean: jax.Array  # [O]
    square: jax.Array  # [O] mean of squares


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
    return jnp.sqrt(jnp.maximum(state.square - state.mean**2, MIN_STD**2))


def symmetric(state: Moments, mirror: Reflection) -> Moments:
    """With every sample's mirror image beside it: then an image is normalised to the image of what is normalised."""
    mean = 0.5 * (state.mean + state.mean[mirror.index] * mirror.sign)
    return state._replace(mean=mean, square=0.5 * (state.square + state.square[mirror.index]))


def normalize(state: Moments, x: jax.Array) -> jax.Array:
    """(x - mean) / std clipped to +-10, x [...,O]."""
    return jnp.clip((x - state.mean) / std(state), -CLIP, CLIP)


def scale(state: Magnitude, x: jax.Array) -> jax.Array:
    """x / max(mean |x|, 1e-4): not centred, not clipped."""
    return x / jnp.maximum(state.mean, MIN_DIFFERENCE)


def _share(count: jax.Array, batch: jax.Array, axis: str | None) -> tuple[jax.Array, jax.Array]:
    size = parallel.total(jnp.float32(batch.size // batch.shape[-1]), axis)
    return size, size / (count + size)


def update(state: Moments, batch: jax.Array, active: jax.Array, axis: str | None = None) -> Moments:
    """Merge a batch [...,O] from every device, if `active` (a bool)."""
    rows = batch.reshape(-1, batch.shape[-1])
    size, share = _share(state.count, batch, axis)
    mean, square = parallel.mean((jnp.mean(rows, axis=0), jnp.mean(rows**2, axis=0)), axis)
    merged = Moments(
        state.count + size, state.mean + share * (mean - state.mean), state.square + share * (square - state.square)
    )
    return jax.tree.map(lambda new, old: jnp.where(active, new, old), merged, state)


def update_magnitude(state: Magnitude, batch: jax.Array, active: jax.Array, axis: str | None = None) -> Magnitude:
    """Merge the absolute values of a batch [...,O] from every device, if `active`."""
    rows = jnp.abs(batch.reshape(-1, batch.shape[-1]))
    size, share = _share(state.count, batch, axis)
    mean = parallel.mean(jnp.mean(rows, axis=0), axis)
    merged = Magnitude(state.count + size, state.mean + share * (mean - state.mean))
    return jax.tree.map(lambda new, old: jnp.where(active, new, old), merged, state)
