"""Whole episodes with mode actions, for tests while training and for evaluation: one compiled program."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from mimicjax.config.settings import LearnSettings
from mimicjax.env.env import Env
from mimicjax.learn import actor_critic
from mimicjax.learn.actor_critic import ActorCritic
from mimicjax.motion.reference import Motion
from mimicjax.run import rollout
from mimicjax.types import RUNNING, Array, Engine, EnvState, Episodes, Step


class Recording(NamedTuple):
    """One episode, step by step; row 0 is its start, rows after `length` belong to other episodes."""

    qpos: Array  # [T+1,nq] of the scene
    reference: Array  # [T+1,nq] with the robot as in the clip at the same moment
    length: Array  # [] int32, control steps
    done: Array  # [] int8, how it ended


class _Progress(NamedTuple):
    env: EnvState
    obs: Any
    alive: Array
    results: Episodes


Measure = Callable[[Motion, rollout.Moment], dict[str, Array]]  # name -> [E]


def mode_step(
    env: Env, engine: Engine, settings: LearnSettings, agent: ActorCritic, motion: Motion, state: EnvState, obs: Any
) -> tuple[rollout.Moment, EnvState, Step]:
    """One control step of all environments with the policy's mode actions; those that end begin anew."""
    return rollout.watched_step(env, engine, motion, state, actor_critic.mode(agent, settings, obs))


def make(env: Env, engine: Engine, settings: LearnSettings, measure: Measure | None = None) -> Callable[..., Episodes]:
    """The function (agent, motion, keys [E], clip [E], start [E]) -> Episodes; it may be compiled.

    Stops when all have ended. measure: what else to follow at every step; joins the tracking errors.
    """

    def advance(
        agent: ActorCritic, motion: Motion, state: EnvState, obs: Any
    ) -> tuple[EnvState, Step, dict[str, Array]]:
        moment, state, step = mode_step(env, engine, settings, agent, motion, state, obs)
        errors = {name: values for name, values in step.diagnostics.items() if name.endswith("_Err")}
        return state, step, errors | (measure(motion, moment) if measure else {})

    def run(agent: ActorCritic, motion: Motion, keys: jax.Array, clip: jax.Array, start: jax.Array) -> Episodes:
        state, obs = rollout.begin(env, engine, motion, keys, clip, start)
        shape = jax.eval_shape(lambda s, o: advance(agent, motion, s, o)[2], state, obs)
        zeros = {name: jnp.zeros(values.shape) for name, values in shape.items()}
        count = len(clip)
        empty = Episodes(
            length=jnp.zeros(count, jnp.int32),
            total=jnp.zeros(count),
            done=jnp.zeros(count, jnp.int8),
            errors=zeros,
            worst=zeros,
        )

        def step_all(carry: _Progress) -> _Progress:
            state, step, errors = advance(agent, motion, carry.env, carry.obs)
            alive, old = carry.alive, carry.results
            errors = {name: jnp.where(alive, values, 0.0) for name, values in errors.items()}
            results = Episodes(
                length=old.length + alive,
                total=old.total + jnp.where(alive, step.reward, 0.0),
                done=jnp.where(alive, step.done, old.done),
                errors={name: old.errors[name] + values for name, values in errors.items()},
                worst={name: jnp.maximum(old.worst[name], values) for name, values in errors.items()},
            )
            return _Progress(state, step.obs, alive & (step.done == RUNNING), results)

        first = _Progress(state, obs, jnp.ones(count, bool), empty)
        results = jax.lax.while_loop(lambda carry: jnp.any(carry.alive), step_all, first).results
        errors = {name: sums / jnp.maximum(results.length, 1) for name, sums in results.errors.items()}
        return results._replace(errors=errors)

    return run


def record(
    env: Env, engine: Engine, settings: LearnSettings, reference: Callable[[Motion, Array, Array], Array]
) -> Callable[..., Recording]:
    """The function (agent, motion, key, clip, start) -> Recording of one episode with mode actions; it may be compiled.

    reference: (motion, clip [B], time [B]) -> qpos [B,nq] of the scene with the robot as in the clip.
    """

    def run(agent: ActorCritic, motion: Motion, key: jax.Array, clip: jax.Array, start: jax.Array) -> Recording:
        state, obs = rollout.begin(env, engine, motion, key[None], clip[None], start[None])
        first = state.physics.qpos[0], reference(motion, clip[None], start[None])[0]

        def step_once(carry: tuple[EnvState, Any], _: None):
            moment, state, step = mode_step(env, engine, settings, agent, motion, *carry)
            rows = moment.physics.qpos[0], reference(motion, moment.clip, moment.time)[0]
            return (state, step.obs), (*rows, step.done[0])

        _, (qpos, other, done) = jax.lax.scan(step_once, (state, obs), None, length=env.episode_steps)
        last = jnp.argmax(done != RUNNING)  # every episode ends: its time is up in the last row
        qpos, other = jnp.concatenate([first[0][None], qpos]), jnp.concatenate([first[1][None], other])
        return Recording(qpos, other, (last + 1).astype(jnp.int32), done[last])

    return run
