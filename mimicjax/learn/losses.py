"""Policy, value and discriminator losses over a minibatch (MimicKit 4.4, 4.6, 4.7)."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp


def _mean_over(weight: jax.Array, x: jax.Array) -> jax.Array:
    return jnp.sum(weight * x) / jnp.maximum(jnp.sum(weight), 1.0)


def ppo(log_prob: jax.Array, old: jax.Array, advantage: jax.Array, random: jax.Array, clip: float):
    """PPO's clipped loss over the samples [b] with a random action -> (loss, {Clip_Frac, Imp_Ratio, KL})."""
    weight = random.astype(jnp.float32)
    gap = log_prob - old
    ratio = jnp.exp(gap)
    gain = jnp.minimum(advantage * ratio, advantage * jnp.clip(ratio, 1.0 - clip, 1.0 + clip))
    info = {
        "Clip_Frac": _mean_over(weight, (jnp.abs(ratio - 1.0) > clip).astype(jnp.float32)),
        "Imp_Ratio": _mean_over(weight, ratio),
        "KL": _mean_over(weight, ratio - 1.0 - gap),  # Schulman's low-variance estimate
    }
    return -_mean_over(weight, gain), info


def action_bound(mean: jax.Array) -> jax.Array:
    """How far means [b,A] leave [-1, 1]: mean over b of the summed squares."""
    outside = jnp.minimum(mean + 1.0, 0.0) ** 2 + jnp.maximum(mean - 1.0, 0.0) ** 2
    return jnp.mean(jnp.sum(outside, axis=-1))


def value(prediction: jax.Array, target: jax.Array) -> jax.Array:
    """Mean squared error of the critic [b]."""
    return jnp.mean((target - prediction) ** 2)


def disc_reward(logit: jax.Array, scale: float) -> jax.Array:
    """-scale ln max(1 - sigmoid(logit), 1e-4), with sigmoid = probability of being real."""
    return -scale * jnp.log(jnp.maximum(1.0 - jax.nn.sigmoid(logit), 1e-4))


def discriminator(
    logit: Callable[[jax.Array], jax.Array], negative: jax.Array, positive: jax.Array,
    last_weights: jax.Array, grad_penalty: float, logit_reg: float,
):  # fmt: skip
    """Loss of a discriminator on negatives [b,O] and positives [p,O], both normalised -> (loss, statistics).

    1/2 [BCE(negatives, 0) + BCE(positives, 1)] + logit_reg |last weights|^2
    + grad_penalty 1/2 [mean |d logit/dx|^2 at positives + at negatives]. `logit` maps [O] to a scalar.
    """
    with_grad = jax.vmap(jax.value_and_grad(logit))
    neg, neg_grad = with_grad(negative)
    pos, pos_grad = with_grad(positive)
    bce = 0.5 * (jnp.mean(jax.nn.softplus(neg)) + jnp.mean(jax.nn.softplus(-pos)))
    penalty = 0.5 * (jnp.mean(jnp.sum(pos_grad**2, axis=-1)) + jnp.mean(jnp.sum(neg_grad**2, axis=-1)))
    weights = jnp.sum(last_weights**2)
    info = {
        "Disc_Grad_Penalty": penalty, "Disc_Logit_Loss": weights,
        "Disc_Pos_Acc": jnp.mean((pos > 0).astype(jnp.float32)), "Disc_Neg_Acc": jnp.mean((neg < 0).astype(jnp.float32)),
        "Disc_Pos_Logit": jnp.mean(pos), "Disc_Neg_Logit": jnp.mean(neg),
    }  # fmt: skip
    return bce + logit_reg * weights + grad_penalty * penalty, info
