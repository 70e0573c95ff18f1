"""A ring of past discriminator samples, as MimicKit fills it, that does not depend on the number of devices.

The ring lies over the environments: its i-th sample is in slot i // B of environment i % B. So when environments are split
over devices, or over others when a run goes on, what is stored is at the front of each device's part, and the counts, which
are those of all devices, need no change.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp


class Replay(NamedTuple):
    """S slots for each of the B environments of this device; with S = 0 nothing is kept."""

    rows: jax.Array  # [B,S,O]
    count: jax.Array  # [] int32, samples stored, over all devices
    cursor: jax.Array  # [] int32, where the next one goes, over all devices


def make(capacity: int, envs: int, size: int) -> Replay:
    """An empty ring for at least `capacity` samples of `envs` environments: a multiple of them."""
    return Replay(jnp.zeros((envs, -(-capacity // envs), size)), jnp.int32(0), jnp.int32(0))


def push(replay: Replay, key: jax.Array, batch: jax.Array, when_full: int, devices: int = 1) -> Replay:
    """Store a batch [n,O]: all of it while the ring is not full, then random rows of it, `when_full` over all devices.

    n is a multiple of B, and the same on each of the `devices`.
    """
    envs, slots = replay.rows.shape[:2]
    capacity, n = envs * slots, len(batch)
    count, cursor = replay.count // devices, replay.cursor // devices
    take = jnp.where(count >= capacity, min(n, -(-when_full // devices)), n)
    rows = batch[jax.random.permutation(key, n)]
    order = jnp.arange(n)
    place = (cursor + order) % capacity
    env = jnp.where(order < take, place % envs, envs)  # beyond the last: dropped
    return Replay(
        replay.rows.at[env, place // envs].set(rows, mode="drop"),
        (devices * jnp.minimum(count + take, capacity)).astype(jnp.int32),
        (devices * ((cursor + take) % capacity)).astype(jnp.int32),
    )


def sample(replay: Replay, key: jax.Array, n: int, devices: int = 1) -> jax.Array:
    """n rows [n,O], uniform over what is stored on this device."""
    place = jax.random.randint(key, (n,), 0, jnp.maximum(replay.count // devices, 1))
    envs = len(replay.rows)
    return replay.rows[place % envs, place // envs]
