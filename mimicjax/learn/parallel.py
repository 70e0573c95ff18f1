"""Sums and means over all devices of a run; `axis` names the device axis and is None for one device.

Over devices travel sums and counts, never means of means: devices may hold different numbers of the samples that count.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp


def total(tree: Any, axis: str | None) -> Any:
    """Sum of every leaf over the devices."""
    return tree if axis is None else jax.lax.psum(tree, axis)


def numbers(steps: int, envs: int, axis: str | None) -> jax.Array:
    """[T B] int32, the numbers that this device's samples [T,B] have among those of all devices.

    A sample's number, and so what is drawn by it, does not depend on how environments are split over devices.
    """
    first, everyone = 0, envs
    if axis is not None:
        first, everyone = jax.lax.axis_index(axis) * envs, jax.lax.psum(envs, axis)
    return (jnp.arange(steps)[:, None] * everyone + first + jnp.arange(envs)).reshape(-1)


def share(x: jax.Array, weight: jax.Array | None, axis: str | None) -> jax.Array:
    """This device's share [] of the mean of x [n] over all devices' elements, or of those that `weight` [n] counts.

    The shares of all devices add up to the mean, and so do their gradients. 0 where nothing counts.
    """
    if weight is None:
        return jnp.sum(x) / total(jnp.float32(x.size), axis)
    count = total(jnp.sum(weight), axis)
    return jnp.sum(weight * x) / jnp.maximum(count, 1.0)


def moments(x: jax.Array, weight: jax.Array, axis: str | None) -> tuple[jax.Array, jax.Array, jax.Array]:
    """(count, mean, sum of squared deviations from it), [] each, of the elements of x that `weight` counts, all devices.

    Two passes: a mean forty times the spread costs the spread no digits.
    """
    count = total(jnp.sum(weight), axis)
    mean = total(jnp.sum(weight * x), axis) / jnp.maximum(count, 1.0)
    return count, mean, total(jnp.sum(weight * (x - mean) ** 2), axis)


def mean_and_deviation(x: jax.Array, weight: jax.Array, axis: str | None) -> tuple[jax.Array, jax.Array]:
    """(mean, unbiased standard deviation), [] each, of the elements of x that `weight` counts, all devices."""
    count, mean, squares = moments(x, weight, axis)
    return mean, jnp.sqrt(squares / jnp.maximum(count - 1.0, 1.0))
