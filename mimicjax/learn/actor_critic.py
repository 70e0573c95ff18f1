"""The updates of actor and critic in an iteration, whatever the policy and its losses are (MimicKit 4.1, 4.4)."""

from __future__ import annotations

from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp

from mimicjax import statistics
from mimicjax.config.settings import LearnSettings
from mimicjax.learn import acting, gaussian, minibatch, networks, normalizers, optimizers, parallel, returns
from mimicjax.learn.minibatch import Fitted
from mimicjax.learn.sockets import Agent, Algorithm, Minibatch, Policy, Spec
from mimicjax.statistics import Statistics
from mimicjax.types import Array, Rollout


class Samples(NamedTuple):
    """An iteration's samples [n,...] with their targets; observations as the environment gave them."""

    obs: dict[str, Array]  # block -> [n,size]
    memory: Any
    pushed: Array
    action: Array
    log_prob: Array
    sampled: Array  # float32
    advantage: Array  # normalised
    target: Array
    number: Array  # int32, which of all devices' samples it is


def init(key: Array, settings: LearnSettings, spec: Spec, policy: Policy) -> Agent:
    """Actor and critic before any training."""
    actor, critic = policy.init(key)
    return Agent(
        actor=actor,
        critic=critic,
        actor_opt=optimizers.make(settings.actor).init(actor),
        critic_opt=optimizers.make(settings.critic).init(critic),
        norm={name: normalizers.moments(size) for name, size in spec.blocks.items()},
        progress=jnp.float32(0),
        frozen=policy.frozen(),
    )


def _values(policy: Policy, agent: Agent, obs: dict[str, Array], memory: Any) -> Array:
    """The critic's estimates [T,B] of a rollout's observations."""
    return networks.by_rows(lambda rows: acting.value(policy, agent, *rows), (obs, memory))


def targets(
    policy: Policy, agent: Agent, settings: LearnSettings, rollout: Rollout, reward: Array, axis: str | None
) -> tuple[Samples, Statistics]:
    """TD(lambda) targets and normalised advantages of a rollout [T,B], flattened to samples [T B], and their statistics."""
    chex.assert_equal_shape([reward, rollout.done, rollout.end_value])
    value = _values(policy, agent, rollout.obs, rollout.memory)
    if jax.tree.leaves(rollout.memory):  # the next observation is judged by the memory that was acted with
        ahead = jax.tree.map(lambda rows, last: jnp.concatenate([rows[1:], last[None]]), rollout.obs, rollout.last_obs)
        following = _values(policy, agent, ahead, rollout.memory)
    else:
        last = acting.value(policy, agent, rollout.last_obs, ())
        following = jnp.concatenate([value[1:], last[None]])
    after = returns.values_after(rollout.done, following, rollout.end_value)
    target = returns.td_lambda(reward, after, rollout.done, settings.discount, settings.td_lambda)
    advantage, mean, deviation = returns.normalize_advantages(
        target - value, rollout.sampled, jnp.inf, axis, settings.norm_adv_own
    )
    samples = Samples(
        obs=rollout.obs,
        memory=rollout.memory,
        pushed=jnp.broadcast_to(rollout.pushed, reward.shape),
        action=rollout.action,
        log_prob=rollout.log_prob,
        sampled=rollout.sampled.astype(jnp.float32),
        advantage=advantage,
        target=target,
        number=parallel.numbers(reward.shape[0], reward.shape[1], axis).reshape(reward.shape),
    )
    stats: Statistics = {"Adv_Mean": statistics.once(mean, axis), "Adv_Std": statistics.once(deviation, axis)}
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), samples), stats


def update_critic(
    key: Array, policy: Policy, agent: Agent, settings: LearnSettings, samples: Samples, envs: int, axis: str | None
) -> tuple[Agent, Statistics]:
    """The critic's gradient steps of an iteration, and Critic_Loss."""

    def objective(params: Any, rows: Array, key: Array) -> tuple[Array, Statistics]:
        obs, memory = jax.tree.map(lambda x: x[rows], (samples.obs, samples.memory))
        estimate = acting.value(policy, agent._replace(critic=params), obs, memory)
        errors = (samples.target[rows] - estimate) ** 2
        return parallel.share(errors, None, axis), {"Critic_Loss": statistics.mean(errors)}

    start = Fitted(agent.critic, agent.critic_opt)
    fitted, stats = minibatch.fit(key, objective, start, settings.critic, len(samples.target), envs, axis)
    return agent._replace(critic=fitted.params, critic_opt=fitted.opt), stats


def update_actor(
    key: Array, policy: Policy, algorithm: Algorithm, agent: Agent, settings: LearnSettings, samples: Samples, envs: int,
    axis: str | None,
) -> tuple[Agent, Statistics]:  # fmt: skip
    """The actor's gradient steps of an iteration, then its rate's adaptation to the KL, and the losses' statistics."""

    def objective(params: Any, rows: Array, key: Array) -> tuple[Array, Statistics]:
        batch = _minibatch(policy, agent._replace(actor=params), settings, samples, rows, key, axis)
        parts = [loss(batch) for loss in (algorithm.policy_loss, *algorithm.penalties)]
        loss = sum((share for share, _ in parts), jnp.float32(0))
        stats = {name: stat for _, part in parts for name, stat in part.items()}
        return loss, {"Actor_Loss": statistics.share(loss, axis), **stats}

    start = Fitted(agent.actor, agent.actor_opt)
    fitted, stats = minibatch.fit(key, objective, start, settings.actor, len(samples.target), envs, axis)
    opt = fitted.opt
    if settings.target_kl > 0 and stats:
        total, count = parallel.total(tuple(stats["KL"]), axis)
        opt = _adapt(settings, opt, total / jnp.maximum(count, 1.0))
    return agent._replace(actor=fitted.params, actor_opt=opt), stats


def _minibatch(
    policy: Policy, agent: Agent, settings: LearnSettings, samples: Samples, rows: Array, key: Array, axis: str | None
) -> Minibatch:
    picked = jax.tree.map(lambda x: x[rows], samples._replace(target=()))
    blocks = acting.prepare(agent, picked.obs)
    distribution = policy.distribution(agent, blocks, picked.memory, picked.pushed)
    chex.assert_equal_shape([distribution.mean, picked.action])
    return Minibatch(
        settings=settings,
        policy=policy,
        agent=agent,
        blocks=blocks,
        memory=picked.memory,
        pushed=picked.pushed,
        action=picked.action,
        old_log_prob=picked.log_prob,
        advantage=picked.advantage,
        sampled=picked.sampled,
        distribution=distribution,
        log_prob=gaussian.log_prob(distribution, picked.action),
        keys=jax.vmap(lambda number: jax.random.fold_in(key, number))(picked.number),
        axis=axis,
    )


def _adapt(settings: LearnSettings, opt: Any, kl: Array) -> Any:
    """The actor's optimiser with a lower rate where the KL was above its target, or a higher one where it was below."""
    rate = opt.hyperparams["learning_rate"]
    factor = jnp.where(kl > 1.5 * settings.target_kl, 1 / 1.5, jnp.where(kl < settings.target_kl / 1.5, 1.5, 1.0))
    rate = jnp.clip(rate * factor, settings.learning_rate_min, settings.learning_rate_max)
    return opt._replace(hyperparams={**opt.hyperparams, "learning_rate": rate})


def anneal(agent: Agent, settings: LearnSettings, failed: Array, axis: str | None) -> Agent:
    """Move the annealed standard deviation on if failures, `failed` [T,B] bool, were rare in this iteration.

    Success, not time, drives it: high noise until the robot stays up, then less for precision, at any speed of learning.
    """
    if settings.std.mode != "annealed":
        return agent
    samples, failures = parallel.total((jnp.float32(failed.size), jnp.sum(failed, dtype=jnp.float32)), axis)
    rare = failures * settings.std.success_length < samples
    step = jnp.where(rare, samples / settings.std.anneal_samples, 0.0)
    return agent._replace(progress=jnp.minimum(agent.progress + step, 1.0).astype(jnp.float32))


def update_normalizers(agent: Agent, spec: Spec, rollout: Rollout, active: Array, axis: str | None) -> Agent:
    """Merge the rollout's observations, if `active`."""
    norm = {name: normalizers.update(agent.norm[name], block, active, axis) for name, block in rollout.obs.items()}
    if spec.mirror:
        norm = {name: normalizers.symmetric(state, spec.mirror.blocks[name]) for name, state in norm.items()}
    return agent._replace(norm=norm)
