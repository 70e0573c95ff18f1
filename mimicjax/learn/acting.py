"""What a policy does with observations as the environment gives them: sampled actions, modes, values."""

from __future__ import annotations

from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp

from mimicjax.learn import gaussian, normalizers
from mimicjax.learn.sockets import Agent, Blocks, Policy
from mimicjax.types import Array


class Decision(NamedTuple):
    """What a policy does in B environments."""

    action: Array  # [B,A] normalised
    log_prob: Array  # [B] of the action
    sampled: Array  # [B] bool, sampled, else the mode


def prepare(agent: Agent, obs: Blocks) -> dict[str, Array]:
    """Observation blocks [...,size], normalised."""
    return {name: normalizers.normalize(agent.norm[name], block) for name, block in obs.items()}


def act(policy: Policy, agent: Agent, obs: Blocks, memory: Any, keys: Array, explore: Array, pushed: Array) -> Decision:
    """Actions in B environments, a key [B] for each: sampled with probability `explore` [], else the mode.

    pushed: [B] float32, 1 where the environment may be pushed.
    """
    distribution = policy.distribution(agent, prepare(agent, obs), memory, pushed)
    mean, log_std = distribution
    chex.assert_shape(mean, (len(keys), None))

    def draw(key: Array) -> tuple[Array, Array]:
        noise, choice = jax.random.split(key)
        return jax.random.normal(noise, mean.shape[-1:]), jax.random.uniform(choice) < explore

    noise, sampled = jax.vmap(draw)(keys)
    action = jnp.where(sampled[:, None], mean + jnp.exp(log_std) * noise, mean)
    return Decision(action, gaussian.log_prob(distribution, action), sampled)


def mode(policy: Policy, agent: Agent, obs: Blocks, memory: Any) -> Array:
    """The policy's mean action [...,A], normalised."""
    return policy.distribution(agent, prepare(agent, obs), memory, jnp.float32(0)).mean


def value(policy: Policy, agent: Agent, obs: Blocks, memory: Any) -> Array:
    """The critic's estimate [...] of observation blocks [...,size]."""
    return policy.value(agent, prepare(agent, obs), memory)
