"""Whole episodes with mode actions, for tests while training and for evaluation: one compiled program."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from mimicjax.env.env import Env
from mimicjax.learn import acting
from mimicjax.learn.sockets import Agent, Policy
from mimicjax.motion.reference import Motion
from mimicjax.run import rollout
from mimicjax.run.rollout import Actors
from mimicjax.types import RUNNING, Array, Engine, Episodes, Step

MEMORY = 0x6D656D6F  # folded into environments' keys: what policies draw for their memory


class Recording(NamedTuple):
    """One episode, step by step; row 0 is its start, rows after `length` belong to other episodes."""

    qpos: Array  # [T+1,nq] of the scene
    reference: Array  # [T+1,nq] with the robot as in the clip at the same moment
    length: Array  # [] int32, control steps
    done: Array  # [] int8, how it ended
    task: Any  # [T+1,...] the task's state; () without


class Player(NamedTuple):
    """A policy in an environment on an engine; its functions take mode actions and may be compiled."""

    env: Env
    engine: Engine
    policy: Policy

    def begin(self, motion: Motion, keys: Array, clip: Array, start: Array) -> Actors:
        """Environments [B], with a key [B] for each, at the given clips [B] and times [B] s."""
        state, obs = rollout.begin(self.env, self.engine, motion, keys, clip, start)
        return Actors(state, obs, self.policy.begin(keys))

    def action(self, agent: Agent, actors: Actors) -> Array:
        """[B,A] normalised."""
        return acting.mode(self.policy, agent, actors.obs, actors.memory)

    def remember(self, actors: Actors, done: Array) -> Any:
        """The policy's memory of the next step."""
        keys = jax.vmap(lambda key: jax.random.fold_in(key, MEMORY))(actors.env.key)
        return self.policy.remember(keys, actors.memory, done)

    def step(self, agent: Agent, motion: Motion, actors: Actors) -> tuple[rollout.Moment, Actors, Step]:
        """One control step of all environments; those that end begin anew."""
        return self.apply(motion, actors, self.action(agent, actors))

    def apply(self, motion: Motion, actors: Actors, action: Array) -> tuple[rollout.Moment, Actors, Step]:
        """The same with actions [B,A] from elsewhere."""
        moment, state, step = rollout.watched_step(self.env, self.engine, motion, actors.env, action)
        return moment, Actors(state, step.obs, self.remember(actors, step.done)), step


class _Progress(NamedTuple):
    actors: Actors
    action: Array  # [E,A] of the step before
    alive: Array
    results: Episodes


Measure = Callable[[Motion, rollout.Moment], dict[str, Array]]  # name -> [E]


def make(player: Player, measure: Measure | None = None) -> Callable[..., Episodes]:
    """The function (agent, motion, keys [E], clip [E], start [E]) -> Episodes; it may be compiled.

    Stops when all have ended. measure: what else to follow at every step; joins the tracking errors, with the rate of actions.
    """

    def advance(
        agent: Agent, motion: Motion, actors: Actors, before: Array | None
    ) -> tuple[Actors, Array, Step, dict[str, Array]]:
        action = player.action(agent, actors)
        moment, actors, step = player.apply(motion, actors, action)
        if measure is None:
            return actors, action, step, step.errors
        rate = jnp.mean(jnp.abs(action - (action if before is None else before)), axis=-1) / player.env.dt
        return actors, action, step, step.errors | measure(motion, moment) | {"Action_Rate": rate}

    def run(agent: Agent, motion: Motion, keys: jax.Array, clip: jax.Array, start: jax.Array) -> Episodes:
        actors = player.begin(motion, keys, clip, start)
        action, _, shape = jax.eval_shape(lambda each: advance(agent, motion, each, None)[1:], actors)
        zeros = {name: jnp.zeros(values.shape) for name, values in shape.items()}
        count = len(clip)
        empty = Episodes(
            length=jnp.zeros(count, jnp.int32),
            total=jnp.zeros(count),
            done=jnp.zeros(count, jnp.int8),
            errors=zeros,
            worst=zeros,
            last=zeros,
        )

        def step_all(carry: _Progress) -> _Progress:
            alive, old = carry.alive, carry.results
            actors, action, step, errors = advance(agent, motion, carry.actors, carry.action)
            if "Action_Rate" in errors:  # nothing came before the first action
                errors["Action_Rate"] = jnp.where(old.length > 0, errors["Action_Rate"], 0.0)
            errors = {name: jnp.where(alive, values, 0.0) for name, values in errors.items()}
            results = Episodes(
                length=old.length + alive,
                total=old.total + jnp.where(alive, step.reward, 0.0),
                done=jnp.where(alive, step.done, old.done),
                errors={name: old.errors[name] + values for name, values in errors.items()},
                worst={name: jnp.maximum(old.worst[name], values) for name, values in errors.items()},
                last={name: jnp.where(alive, values, old.last[name]) for name, values in errors.items()},
            )
            return _Progress(actors, action, alive & (step.done == RUNNING), results)

        first = _Progress(actors, jnp.zeros(action.shape), jnp.ones(count, bool), empty)
        results = jax.lax.while_loop(lambda carry: jnp.any(carry.alive), step_all, first).results
        errors = {name: sums / jnp.maximum(results.length, 1) for name, sums in results.errors.items()}
        return results._replace(errors=errors)

    return run


def record(player: Player, reference: Callable[[Motion, Array, Array], Array]) -> Callable[..., Recording]:
    """The function (agent, motion, key, clip, start) -> Recording of one episode with mode actions; it may be compiled.

    reference: (motion, clip [B], time [B]) -> qpos [B,nq] of the scene with the robot as in the clip.
    """

    def run(agent: Agent, motion: Motion, key: jax.Array, clip: jax.Array, start: jax.Array) -> Recording:
        actors = player.begin(motion, key[None], clip[None], start[None])
        first = actors.env.physics.qpos[0], reference(motion, clip[None], start[None])[0], _first(actors.env.task)

        def step_once(actors: Actors, _: None):
            moment, actors, step = player.step(agent, motion, actors)
            rows = moment.physics.qpos[0], reference(motion, moment.clip, moment.time)[0], _first(actors.env.task)
            return actors, (*rows, step.done[0])

        _, (*rows, done) = jax.lax.scan(step_once, actors, None, length=player.env.episode_steps)
        last = jnp.argmax(done != RUNNING)  # every episode ends: its time is up in the last row
        qpos, other, task = jax.tree.map(lambda x, xs: jnp.concatenate([x[None], xs]), first, tuple(rows))
        return Recording(qpos, other, (last + 1).astype(jnp.int32), done[last], task)

    return run


def _first(tree: Any) -> Any:
    return jax.tree.map(lambda x: x[0], tree)
