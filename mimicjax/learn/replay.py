"""A ring of past discriminator samples, as MimicKit fills it."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp


class Replay(NamedTuple):
    """Capacity C; with C = 0 nothing is kept."""

    rows: jax.Array  # [C,O]
    count: jax.Array  # [] int32, samples stored
    cursor: jax.Array  # [] int32, where the next one goes


def make(capacity: int, size: int) -> Replay:
    """An empty ring."""
    return Replay(jnp.zeros((capacity, size)), jnp.int32(0), jnp.int32(0))


def push(replay: Replay, key: jax.Array, batch: jax.Array, when_full: int) -> Replay:
    """Store a batch [n,O]: all of it while the ring is not full, then `when_full` random rows of it."""
    capacity, n = len(replay.rows), len(batch)
    take = jnp.where(replay.count >= capacity, min(n, when_full), n)
    rows = batch[jax.random.permutation(key, n)]
    order = jnp.arange(n)
    place = jnp.where(order < take, (replay.cursor + order) % capacity, capacity)
    return Replay(
        replay.rows.at[place].set(rows, mode="drop"),
        jnp.minimum(replay.count + take, capacity).astype(jnp.int32),
        ((replay.cursor + take) % capacity).astype(jnp.int32),
    )


def sample(replay: Replay, key: jax.Array, n: int) -> jax.Array:
    """n rows [n,O], uniform over what is stored."""
    return replay.rows[jax.random.randint(key, (n,), 0, jnp.maximum(replay.count, 1))]
