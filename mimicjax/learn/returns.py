"""Return targets and advantages (MimicKit 4.4)."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from mimicjax.learn import parallel
from mimicjax.types import RUNNING, TIME_UP

OWN_LOW = 0.03  # least spread of an environment, of the batch's


def values_after(done: jax.Array, following: jax.Array, at_end: jax.Array) -> jax.Array:
    """Value of what follows a step [...]: while an episode runs that of the next observation, after its time is up that of
    where it ended (`at_end`), and 0 after a failure or success."""
    return jnp.where(done == RUNNING, following, jnp.where(done == TIME_UP, at_end, 0.0))


def td_lambda(reward: jax.Array, after: jax.Array, done: jax.Array, discount: float, lam: float) -> jax.Array:
    """TD(lambda) targets [T,B]; `after` [T,B] is the value of what follows a step (values_after).

    G_t = r_t + discount ((1 - l_t) V'_t + l_t G_{t+1}), l_t = lam where the episode runs on, G after the last step = V'.
    """

    def back(later: jax.Array, step: tuple[jax.Array, jax.Array, jax.Array]):
        r, v, d = step
        carry = lam * (d == RUNNING)
        target = r + discount * ((1.0 - carry) * v + carry * later)
        return target, target

    _, targets = jax.lax.scan(back, after[-1], (reward, after, done), reverse=True)
    return targets


def normalize_advantages(
    advantage: jax.Array, sampled: jax.Array, clip: float, axis: str | None = None, own: float = 0.0
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """(advantages [T,B] to mean 0 and unbiased standard deviation 1, clipped to +-clip; the mean; the deviation before).

    Mean and deviation are those of all devices' samples with a sampled action, `sampled` [T,B]. own: with it the spread is, in
    logarithms, mixed from the batch's (share 1 - own) and that of the environment's T samples (share own), so that few
    samples with much at stake do not silence the others.
    """
    weight = sampled.astype(jnp.float32)
    mean, deviation = parallel.mean_and_deviation(advantage, weight, axis)
    spread = jnp.maximum(deviation, 1e-5)
    if own > 0.0:
        square = weight * (advantage - mean) ** 2
        of_env = jnp.sqrt(jnp.sum(square, axis=0) / jnp.maximum(jnp.sum(weight, axis=0), 1.0))
        spread = spread * jnp.clip(of_env / spread, OWN_LOW, 1.0 / OWN_LOW) ** own
    return jnp.clip((advantage - mean) / spread, -clip, clip), mean, deviation
