"""How near the policy's motion is to the clips, in the normalised features that a discriminator sees.

The distance of two windows is the root of their mean squared difference over the features: 1 is a standard deviation in all
of them. It is taken both ways, as Chamfer distances are: from the policy's windows to the nearest demonstration, and from
demonstrations to the policy's nearest window, which is large where the policy leaves something out. All are of a few hundred
windows an iteration, so that they cost next to nothing.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from mimicjax import statistics
from mimicjax.statistics import Statistics

ENVS, STEPS = 256, 2  # windows looked at: of so many environments, over all devices, at so many steps


def some(x: jax.Array, devices: int) -> jax.Array:
    """Rows [k,...] of a rollout [T,B,...] on each of `devices`: the last step and the one half a rollout before, of
    environments spread evenly. Over all devices they are the same however environments are split, if they split evenly."""
    steps, envs = x.shape[:2]
    rows = x[steps - 1 :: -max(1, steps // STEPS)][:STEPS, :: max(1, envs * devices // ENVS)]
    return rows.reshape(-1, *x.shape[2:])


def distances(a: jax.Array, b: jax.Array) -> jax.Array:
    """[n,m] of rows a [n,O] from rows b [m,O]."""
    products = jnp.matmul(a, b.T, precision=jax.lax.Precision.HIGHEST)  # what is near is a difference of large numbers
    squares = jnp.sum(a**2, axis=-1)[:, None] + jnp.sum(b**2, axis=-1) - 2.0 * products
    return jnp.sqrt(jnp.maximum(squares, 0.0) / a.shape[-1])


def measure(motion: jax.Array, counts: jax.Array, demonstrations: jax.Array, axis: str | None) -> Statistics:
    """Motion_Distance, Demo_Distance and Demo_Spread of normalised windows.

    motion: [n,O] of the policy on this device, of which `counts` [n] counts; demonstrations: [m,O] of the clips. Motion_Distance
    is that of motion to the nearest demonstration, Demo_Distance that of demonstrations to the nearest motion, Demo_Spread that
    of two demonstrations. Every device measures its own windows and demonstrations against those of all.
    """
    gather = lambda x: x if axis is None else jax.lax.all_gather(x, axis, tiled=True)  # noqa: E731
    clips, robots, there = gather(demonstrations), gather(motion), gather(counts)
    to_robots = jnp.min(jnp.where(there > 0, distances(demonstrations, robots), jnp.inf), axis=-1)
    pairs = distances(demonstrations, clips)
    first = 0 if axis is None else jax.lax.axis_index(axis) * len(demonstrations)
    other = (first + jnp.arange(len(demonstrations)))[:, None] != jnp.arange(
        len(clips)
    )  # none makes a pair with itself
    return {
        "Motion_Distance": statistics.mean(jnp.min(distances(motion, clips), axis=-1), counts),
        "Demo_Distance": statistics.mean(jnp.where(jnp.any(there > 0), to_robots, 0.0), jnp.isfinite(to_robots)),
        "Demo_Spread": statistics.mean(pairs, other),
    }


def size(difference: jax.Array, counts: jax.Array) -> Statistics:
    """Motion_Distance where the demonstration is known: root mean square of normalised differences [n,O]."""
    return {"Motion_Distance": statistics.mean(jnp.sqrt(jnp.mean(difference**2, axis=-1)), counts)}
