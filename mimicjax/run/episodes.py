"""Whole episodes with mode actions, for tests while training and for evaluation: one compiled program, results per episode."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from mimicjax.env.env import Env, Motion
from mimicjax.learn import actor_critic
from mimicjax.learn.actor_critic import ActorCritic
from mimicjax.run import rollout
from mimicjax.settings import LearnSettings
from mimicjax.types import RUNNING, Array, Engine, EnvState


class Episodes(NamedTuple):
    """What happened in E episodes, each from its start to its first end."""

    length: Array  # [E] int32, control steps
    total: Array  # [E], sum of rewards
    done: Array  # [E] int8, how it ended
    errors: dict[str, Array]  # name -> [E], mean over the episode's steps of the tracking errors
    worst: dict[str, Array]  # name -> [E], the largest over the episode's steps


class _Progress(NamedTuple):
    env: EnvState
    obs: Any
    alive: Array
    results: Episodes


def make(env: Env, engine: Engine, settings: LearnSettings) -> Callable[..., Episodes]:
    """The function (agent, motion, keys [E], clip [E], start [E]) -> Episodes; it may be compiled. Stops when all have ended."""

    def run(agent: ActorCritic, motion: Motion, keys: jax.Array, clip: jax.Array, start: jax.Array) -> Episodes:
        state, obs = rollout.begin(env, engine, motion, keys, clip, start)
        shape = jax.eval_shape(lambda s, a: rollout.control_step(env, engine, motion, s, a)[1].diagnostics, state,
                               jax.eval_shape(lambda o: actor_critic.mode(agent, settings, o), obs))  # fmt: skip
        zeros = {k: jnp.zeros(v.shape) for k, v in shape.items() if k.endswith("_Err")}
        count = len(clip)
        empty = Episodes(jnp.zeros(count, jnp.int32), jnp.zeros(count), jnp.zeros(count, jnp.int8), zeros, zeros)

        def one(carry: _Progress) -> _Progress:
            action = actor_critic.mode(agent, settings, carry.obs)
            state, step = rollout.control_step(env, engine, motion, carry.env, action)
            alive, old = carry.alive, carry.results
            found = {k: jnp.where(alive, step.diagnostics[k], 0.0) for k in zeros}
            results = Episodes(
                old.length + alive, old.total + jnp.where(alive, step.reward, 0.0),
                jnp.where(alive, step.done, old.done), {k: old.errors[k] + v for k, v in found.items()},
                {k: jnp.maximum(old.worst[k], v) for k, v in found.items()},
            )  # fmt: skip
            return _Progress(state, step.obs, alive & (step.done == RUNNING), results)

        begun = _Progress(state, obs, jnp.ones(count, bool), empty)
        results = jax.lax.while_loop(lambda carry: jnp.any(carry.alive), one, begun).results
        errors = {k: v / jnp.maximum(results.length, 1) for k, v in results.errors.items()}
        return results._replace(errors=errors)

    return run
