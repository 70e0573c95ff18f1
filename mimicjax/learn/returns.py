"""Return targets and advantages (MimicKit 4.4)."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from mimicjax.learn import parallel
from mimicjax.types import FAILED, RUNNING, SUCCEEDED

OWN_LOW = 0.03  # least spread of an environment, of the batch's


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


def normalize_advantages(
    advantage: jax.Array, random: jax.Array, clip: float, axis: str | None = None, own: float = 0.0
) -> jax.Array:
    """Advantages [T,B] to mean 0, unbiased standard deviation 1 over the samples with a random action, clipped to +-clip.

    own: with it the spread is, in logarithms, mixed from the batch's (share 1 - own) and that of the environment's T
    samples (share own), so that few samples with much at stake do not silence the others.
    """
    weight = random.astype(jnp.float32)
    count = jnp.maximum(jnp.sum(weight), 2.0)
    mean = parallel.mean(jnp.sum(weight * advantage) / count, axis)
    square = weight * (advantage - mean) ** 2
    spread = jnp.maximum(jnp.sqrt(parallel.mean(jnp.sum(square) / (count - 1.0), axis)), 1e-5)
    if own > 0.0:
        mine = jnp.sqrt(jnp.sum(square, axis=0) / jnp.maximum(jnp.sum(weight, axis=0), 1.0))
        spread = spread * jnp.clip(mine / spread, OWN_LOW, 1.0 / OWN_LOW) ** own
    return jnp.clip((advantage - mean) / spread, -clip, clip)
