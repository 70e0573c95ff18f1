"""Return targets and advantages (MimicKit 4.4)."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from mimicjax.learn import parallel
from mimicjax.types import FAILED, RUNNING, SUCCEEDED


def end_values(done: jax.Array, value: jax.Array) -> jax.Array:
    """Value after a step: failed and succeeded ends are worth 0, time up and running the critic's estimate."""
    return jnp.where((done == FAILED) | (done == SUCCEEDED), 0.0, value)


def td_lambda(reward: jax.Array, value: jax.Array, done: jax.Array, discount: float, lam: float) -> jax.Array:
    """TD(lambda) targets [T,B]; `value` [T,B] is that of the state after the step, already 0 at real ends.

    G_t = r_t + discount ((1 - l_t) V'_t + l_t G_{t+1}), l_t = lam where the episode runs on, G after the last step = V'.
    """

    def back(later: jax.Array, step: tuple[jax.Array, jax.Array, jax.Array]):
        r, v, d = step
        carry = lam * (d == RUNNING)
        target = r + discount * ((1.0 - carry) * v + carry * later)
        return target, target

    _, targets = jax.lax.scan(back, value[-1], (reward, value, done), reverse=True)
    return targets


def normalize_advantages(advantage: jax.Array, random: jax.Array, clip: float, axis: str | None = None) -> jax.Array:
    """Advantages to mean 0, unbiased standard deviation 1 over the samples with a random action, clipped to +-clip."""
    weight = random.astype(jnp.float32)
    count = jnp.maximum(jnp.sum(weight), 2.0)
    mean = parallel.mean(jnp.sum(weight * advantage) / count, axis)
    variance = parallel.mean(jnp.sum(weight * (advantage - mean) ** 2) / (count - 1.0), axis)
    return jnp.clip((advantage - mean) / jnp.maximum(jnp.sqrt(variance), 1e-5), -clip, clip)
