"""Rolling out: control steps of environments and engine together, for training and for tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp

from mimicjax import statistics
from mimicjax.env.env import Env
from mimicjax.learn import acting
from mimicjax.learn.sockets import Agent, Policy
from mimicjax.motion.reference import Motion
from mimicjax.statistics import Statistics
from mimicjax.types import FAILED, RUNNING, TIME_UP, Array, Engine, EnvState, Physics, Rollout, Step


class Moment(NamedTuple):
    """Where B environments are after a control step, before those that ended begin anew."""

    physics: Physics
    clip: Array  # [B] int32
    time: Array  # [B] s, in the clip


class Actors(NamedTuple):
    """B environments that a policy acts in, between two control steps."""

    env: EnvState
    obs: dict[str, Array]  # block -> [B,size]
    memory: Any  # [B,...], the policy's


Place = Callable[[Motion, Array, Array], Array]  # (motion, clip [B], time [B] s) -> [B] int32


def begin(
    env: Env, engine: Engine, motion: Motion, keys: jax.Array, clip: jax.Array, start: jax.Array
) -> tuple[EnvState, dict[str, Array]]:
    """Environments [B] at the given clips and times -> (state, obs)."""
    state, obs, where = env.place(motion, keys, clip, start)
    return state._replace(physics=engine.init(where.qpos, where.qvel)), obs


def watched_step(
    env: Env, engine: Engine, motion: Motion, state: EnvState, action: jax.Array
) -> tuple[Moment, EnvState, Step]:
    """One control step of all environments; those that end begin anew, after `Moment` has seen them."""
    state, ctrl, wrench = env.before(motion, state, action)
    chex.assert_equal_shape_prefix([ctrl, wrench, state.physics.qpos], 1)
    state = state._replace(physics=engine.step(state.physics, ctrl, wrench, state.variant))
    moment = Moment(state.physics, state.clip, state.clip_time(env.dt, 1))
    state, step, begun = env.after(motion, state)
    chex.assert_shape([step.reward, step.done, step.unstable], (len(action),))
    return moment, state._replace(physics=engine.write(state.physics, begun.mask, begun.qpos, begun.qvel)), step


def control_step(env: Env, engine: Engine, motion: Motion, state: EnvState, action: jax.Array) -> tuple[EnvState, Step]:
    """One control step of all environments; those that end begin anew."""
    return watched_step(env, engine, motion, state, action)[1:]


def collect(
    env: Env, engine: Engine, motion: Motion, policy: Policy, agent: Agent, actors: Actors, explore: Array, steps: int,
    place: Place | None = None,
) -> tuple[Actors, Rollout, Statistics]:  # fmt: skip
    """`steps` control steps with actions that are sampled with probability `explore` [].

    place: notes in which bin of the clips each step ended.
    """
    pushed = env.pushed(actors.env)

    def advance(actors: Actors, _: None):
        keys = jax.vmap(lambda key: jax.random.split(key, 3))(actors.env.key)
        decision = acting.act(policy, agent, actors.obs, actors.memory, keys[:, 1], explore, pushed)
        begun = actors.env._replace(key=keys[:, 0])
        moment, state, step = watched_step(env, engine, motion, begun, decision.command)
        row = Rollout(
            obs=actors.obs,
            last_obs={},
            memory=actors.memory,
            pushed=(),
            action=decision.action,
            log_prob=decision.log_prob,
            sampled=decision.sampled & ~step.unstable,
            valid=~step.unstable,
            reward=step.reward,
            done=step.done,
            end_value=_end_value(policy, agent, step, actors.memory),
            views=step.views,
            place=place(motion, moment.clip, moment.time) if place else (),
        )
        memory = policy.remember(keys[:, 2], actors.memory, step.done)
        return Actors(state, step.obs, memory), (row, _statistics(step))

    actors, (rollout, stats) = jax.lax.scan(advance, actors, None, length=steps)
    return actors, rollout._replace(last_obs=actors.obs, pushed=pushed), statistics.along(stats)


def _end_value(policy: Policy, agent: Agent, step: Step, memory: Any) -> Array:
    """The critic's estimate [B] of where time was up. Few steps have such an end, and the others need no second look."""
    ended = step.done == TIME_UP
    estimate = lambda: acting.value(policy, agent, step.last_obs, memory)  # noqa: E731
    return jnp.where(ended, jax.lax.cond(jnp.any(ended), estimate, lambda: jnp.zeros(ended.shape)), 0.0)


def _statistics(step: Step) -> Statistics:
    """Of one control step over the environments."""
    over = step.done != RUNNING
    errors = {name: step.errors[name] for name in ("Root_Pos_Err", "Body_Pos_Err") if name in step.errors}
    return {
        "episodes": statistics.total(over),
        "Train_Return": statistics.mean(step.episode_return, over),
        "Train_Episode_Length": statistics.mean(step.episode_length, over),
        "unstable": statistics.total(step.unstable),
        "reward_mean": statistics.mean(step.reward),
        "failure_rate": statistics.mean(step.done == FAILED),
        **{name: statistics.mean(value) for name, value in errors.items()},
        **{f"reward_{name}": statistics.mean(value) for name, value in step.terms.items()},
        **step.statistics,
    }
