"""Losses over a minibatch: of policies, of what penalises them, of values and discriminators (MimicKit 4.4, 4.6, 4.7)."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from mimicjax import statistics
from mimicjax.learn import gaussian, latent, parallel
from mimicjax.learn.sockets import Minibatch
from mimicjax.statistics import Statistics


def ppo(batch: Minibatch) -> tuple[jax.Array, Statistics]:
    """PPO's clipped loss over samples with a sampled action; Clip_Frac, Imp_Ratio, and KL by Schulman's low-variance estimate."""
    gap, clip = batch.log_prob - batch.old_log_prob, batch.settings.ppo_clip_ratio
    ratio = jnp.exp(gap)
    advantage = jnp.clip(batch.advantage, -batch.settings.norm_adv_clip, batch.settings.norm_adv_clip)
    gain = jnp.minimum(advantage * ratio, advantage * jnp.clip(ratio, 1.0 - clip, 1.0 + clip))
    stats: Statistics = {
        "Clip_Frac": statistics.mean(jnp.abs(ratio - 1.0) > clip, batch.sampled),
        "Imp_Ratio": statistics.mean(ratio, batch.sampled),
        "KL": statistics.mean(ratio - 1.0 - gap, batch.sampled),
    }
    return -parallel.share(gain, batch.sampled, batch.axis), stats


def awr(batch: Minibatch) -> tuple[jax.Array, Statistics]:
    """Advantage-weighted regression: -mean(w log-probability), w = min(exp(advantage / awr_temp), a_weight_clip).

    Over samples with a sampled action; Peng et al. 2019, MimicKit 4.9.
    """
    settings, gap = batch.settings, batch.log_prob - batch.old_log_prob
    weight = jnp.minimum(jnp.exp(batch.advantage / settings.awr_temp), settings.a_weight_clip)
    stats: Statistics = {
        "A_Weight_Mean": statistics.mean(weight, batch.sampled),
        "A_Weight_Max": statistics.largest(weight * batch.sampled),
        "KL": statistics.mean(jnp.exp(gap) - 1.0 - gap, batch.sampled),
    }
    return -parallel.share(weight * batch.log_prob, batch.sampled, batch.axis), stats


def lipschitz(batch: Minibatch) -> tuple[jax.Array, Statistics]:
    """LCP: lcp_weight times the mean squared gradient of the action's log-probability by the normalised observation.

    Over all samples; Chen et al. 2024, MimicKit 4.9. Samples do not depend on each other, so the gradient of the sum is each
    sample's own.
    """

    def total(blocks: dict[str, jax.Array]) -> jax.Array:
        distribution = batch.policy.distribution(batch.agent, blocks, batch.memory, batch.pushed)
        return jnp.sum(gaussian.log_prob(distribution, batch.action))

    slopes = jax.grad(total)(batch.blocks)
    square = sum(jnp.sum(slope**2, axis=-1) for slope in slopes.values())
    square = jnp.asarray(square)
    penalty = batch.settings.lcp_weight * parallel.share(square, None, batch.axis)
    return penalty, {"Lcp_Loss": statistics.mean(square)}


def diversity(batch: Minibatch) -> tuple[jax.Array, Statistics]:
    """ASE: other latents should act otherwise, the more the farther they are: diversity_weight (diversity_tar - ratio)^2.

    ratio: mean squared difference of the means, over half of one minus the latents' cosine (MimicKit 4.8).
    """
    settings, z = batch.settings, batch.memory.z
    other = jax.vmap(lambda key: latent.draw(key, z.shape[-1]))(jax.random.split(batch.key, len(z)))
    memory = batch.memory._replace(z=other)
    mean = batch.policy.distribution(batch.agent, batch.blocks, memory, batch.pushed).mean
    apart = jnp.mean((mean - batch.distribution.mean) ** 2, axis=-1)
    ratio = apart / (0.5 - 0.5 * jnp.sum(z * other, axis=-1) + 1e-5)
    errors = (settings.diversity_tar - ratio) ** 2
    penalty = settings.diversity_weight * parallel.share(errors, None, batch.axis)
    return penalty, {"Diversity_Loss": statistics.mean(errors)}


def action_bound(batch: Minibatch) -> tuple[jax.Array, Statistics]:
    """How far means leave [-1, 1]: summed squares, over samples with a sampled action."""
    mean = batch.distribution.mean
    outside = jnp.sum(jnp.minimum(mean + 1.0, 0.0) ** 2 + jnp.maximum(mean - 1.0, 0.0) ** 2, axis=-1)
    penalty = batch.settings.action_bound_weight * parallel.share(outside, batch.sampled, batch.axis)
    return penalty, {"Action_Bound_Loss": statistics.mean(outside, batch.sampled)}


def action_reg(batch: Minibatch) -> tuple[jax.Array, Statistics]:
    """Summed squares of the means, over samples with a sampled action; nothing without its weight."""
    weight = batch.settings.action_reg_weight
    if not weight:
        return jnp.float32(0), {}
    size = jnp.sum(batch.distribution.mean**2, axis=-1)
    stats: Statistics = {"Action_Reg_Loss": statistics.mean(size, batch.sampled)}
    return weight * parallel.share(size, batch.sampled, batch.axis), stats


def entropy_bonus(batch: Minibatch) -> tuple[jax.Array, Statistics]:
    """Minus the weighted entropy; nothing without its weight."""
    weight = batch.settings.action_entropy_weight
    if not weight:
        return jnp.float32(0), {}
    entropy = jnp.broadcast_to(gaussian.entropy(batch.distribution), batch.sampled.shape)
    stats: Statistics = {"Action_Entropy": statistics.mean(entropy, batch.sampled)}
    return -weight * parallel.share(entropy, batch.sampled, batch.axis), stats


def disc_reward(logit: jax.Array, scale: float) -> jax.Array:
    """-scale ln max(1 - sigmoid(logit), 1e-4), with sigmoid = probability of being real."""
    return -scale * jnp.log(jnp.maximum(1.0 - jax.nn.sigmoid(logit), 1e-4))


def discriminator(
    logit: Callable[[jax.Array], jax.Array], negative: jax.Array, counts: jax.Array, positive: jax.Array,
    last_weights: jax.Array, grad_penalty: float, logit_reg: float, axis: str | None,
) -> tuple[jax.Array, Statistics]:  # fmt: skip
    """This device's share of a discriminator's loss, and statistics.

    negative [n,O] (those that `counts` [n] counts) and positive [p,O] are normalised; `logit` maps [O] to a scalar.
    1/2 [BCE(negatives, 0) + BCE(positives, 1)] + logit_reg |last weights|^2
    + grad_penalty 1/2 [mean |d logit/dx|^2 at positives + at negatives]
    """
    with_grad = jax.vmap(jax.value_and_grad(logit))
    (neg, neg_grad), (pos, pos_grad) = with_grad(negative), with_grad(positive)
    bce = 0.5 * (parallel.share(jax.nn.softplus(neg), counts, axis) + parallel.share(jax.nn.softplus(-pos), None, axis))
    slopes = [jnp.sum(grad**2, axis=-1) for grad in (neg_grad, pos_grad)]
    penalty = 0.5 * (parallel.share(slopes[0], counts, axis) + parallel.share(slopes[1], None, axis))
    weights = jnp.sum(last_weights**2)
    loss = bce + grad_penalty * penalty + logit_reg * weights / parallel.total(1.0, axis)
    stats: Statistics = {
        "Disc_Loss": statistics.share(loss, axis), "Disc_Grad_Penalty": statistics.share(penalty, axis),
        "Disc_Logit_Loss": statistics.mean(weights),
        "Disc_Pos_Acc": statistics.mean(pos > 0), "Disc_Neg_Acc": statistics.mean(neg < 0, counts),
        "Disc_Pos_Logit": statistics.mean(pos), "Disc_Neg_Logit": statistics.mean(neg, counts),
    }  # fmt: skip
    return loss, stats
