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
    command: Array  # [B,D] normalised, what the environment is told: the action, if nothing lies between
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

    noise, sampled = jax.vmap(lambda key: _draw(key, mean.shape[-1], explore))(keys)
    action = jnp.where(sampled[:, None], mean + jnp.exp(log_std) * noise, mean)
    command = policy.command(agent, obs, action)
    return Decision(action, command, gaussian.log_prob(distribution, action), sampled)


def _draw(key: Array, actions: int, explore: Array) -> tuple[Array, Array]:
    """Standard normal noise [A], and True with probability `explore`.

    All from one call for uniform numbers: each call takes a fifth of a second to compile, at every start of a host engine.
    """
    least = jnp.nextafter(jnp.float32(-1), jnp.float32(0))  # erf_inv(-1) is infinite
    numbers = jax.random.uniform(key, (actions + 1,), minval=least, maxval=1.0)
    return jnp.sqrt(2.0) * jax.lax.erf_inv(numbers[:-1]), 0.5 * (1.0 + numbers[-1]) < explore


def mode(policy: Policy, agent: Agent, obs: Blocks, memory: Any) -> Array:
    """What the environment is told [...,D], normalised, when the policy takes its mean action."""
    action = policy.distribution(agent, prepare(agent, obs), memory, jnp.float32(0)).mean
    return policy.command(agent, obs, action)


def value(policy: Policy, agent: Agent, obs: Blocks, memory: Any) -> Array:
    """The critic's estimate [...] of observation blocks [...,size]."""
    return policy.value(agent, prepare(agent, obs), memory)
