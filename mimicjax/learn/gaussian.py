"""The Gaussian actor-critic: means and values by two networks over normalised observations, no memory (MimicKit 4.1)."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from mimicjax.config.settings import LearnSettings
from mimicjax.learn import networks
from mimicjax.learn.sockets import Agent, Blocks, Gaussian, Mirror, Policy, Spec
from mimicjax.types import Array

LOG_2PI = 1.8378770664093453


def log_prob(distribution: Gaussian, action: Array) -> Array:
    """Log-density [...] of actions [...,A]."""
    mean, log_std = distribution
    z = (action - mean) * jnp.exp(-log_std)
    return -0.5 * jnp.sum(z**2, axis=-1) - jnp.sum(log_std, axis=-1) - 0.5 * action.shape[-1] * LOG_2PI


def entropy(distribution: Gaussian) -> Array:
    """Entropy, nats: [], or [...] where the spread differs from sample to sample."""
    log_std = distribution.log_std
    return jnp.sum(log_std, axis=-1) + 0.5 * log_std.shape[-1] * (1.0 + LOG_2PI)


def log_std(settings: LearnSettings, agent: Agent) -> Array:
    """Log of the standard deviation where nothing pushes: [A] if it is trained, else []."""
    std = settings.std
    if std.mode == "trained":
        return agent.actor["log_std"]
    if std.mode == "fixed":
        return jnp.log(jnp.float32(std.begin))
    return (1.0 - agent.progress) * jnp.log(std.begin) + agent.progress * jnp.log(std.end)


def _spread(settings: LearnSettings, agent: Agent, pushed: Array, actions: int) -> Array:
    """Log of the standard deviation [A], or [...,A] where pushed environments have another.

    The noise of what an action was worth is as large as what is at stake, and what it teaches is as small as the action's own
    noise: where falls are at stake, policies go on learning with large noise only (docs/architecture.md).
    """
    std, base = settings.std, jnp.broadcast_to(log_std(settings, agent), (actions,))
    if std.mode != "annealed" or std.end_pushed is None:
        return base
    return base + (pushed * agent.progress * jnp.log(std.end_pushed / std.end))[..., None]


def _see(blocks: Blocks, names: tuple[str, ...]) -> Array:
    return jnp.concatenate([blocks[name] for name in names], axis=-1)


def _reflect(mirror: Mirror, blocks: Blocks, names: tuple[str, ...]) -> dict[str, Array]:
    return {name: networks.reflect(mirror.blocks[name], blocks[name]) for name in names}


def make(settings: LearnSettings, spec: Spec) -> Policy:
    """The policy for observations and actions of these sizes.

    With a mirror, mean and value are those of the network and of what it does in the mirror, taken back: equal by
    construction. Two small products: as one stacked product they take a third longer on a CPU.
    """
    actor = networks.MLP(tuple(settings.actor_hidden), spec.actions, settings.actor_init_output_scale)
    critic = networks.MLP(tuple(settings.critic_hidden), 1)
    mirror = spec.mirror

    def init(key: Array) -> tuple[Any, Any]:
        actor_key, critic_key = jax.random.split(key)
        width = {part: sum(spec.blocks[name] for name in getattr(spec, part)) for part in ("actor", "critic")}
        params: dict[str, Any] = {"net": actor.init(actor_key, jnp.zeros(width["actor"]))}
        if settings.std.mode == "trained":
            params["log_std"] = jnp.full(spec.actions, jnp.log(settings.std.begin), jnp.float32)
        return params, critic.init(critic_key, jnp.zeros(width["critic"]))

    def distribution(agent: Agent, blocks: Blocks, memory: Any, pushed: Array) -> Gaussian:
        mean = networks.apply(actor, agent.actor["net"], _see(blocks, spec.actor))
        if mirror:
            image = networks.apply(actor, agent.actor["net"], _see(_reflect(mirror, blocks, spec.actor), spec.actor))
            mean = 0.5 * (mean + networks.reflect(mirror.action, image))
        return Gaussian(mean, _spread(settings, agent, pushed, spec.actions))

    def value(agent: Agent, blocks: Blocks, memory: Any) -> Array:
        estimate = networks.apply(critic, agent.critic, _see(blocks, spec.critic))
        if mirror:
            image = networks.apply(critic, agent.critic, _see(_reflect(mirror, blocks, spec.critic), spec.critic))
            estimate = 0.5 * (estimate + image)
        return estimate[..., 0]

    return Policy(init, lambda keys: (), lambda keys, memory, done: (), distribution, value)
