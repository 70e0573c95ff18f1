"""The environment: control steps of motion imitation, as pure functions over a batch.

Everything is written for one environment; `make` is the only place that maps it over the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from mimicjax.config.settings import RandomizeSettings
from mimicjax.env import discriminator, episode, observations, randomisation, resets, rewards, terminations
from mimicjax.env.disturbances import Disturbances
from mimicjax.env.episode import EnvParts
from mimicjax.env.task import Task
from mimicjax.env.view import Part, Scope, View, join
from mimicjax.motion.reference import Motion, clips_of, poses_at
from mimicjax.robot import actuation, kinematics
from mimicjax.types import FAILED, RUNNING, SUCCEEDED, TIME_UP, WRAP, Array, EnvState, Physics, Step


class Start(NamedTuple):
    """Where episodes begin: written into the physics of the environments of `mask`."""

    mask: Array  # [B] bool
    qpos: Array  # [B,nq]
    qvel: Array  # [B,nv]


class Env(NamedTuple):
    """Functions over a batch; B is whatever the arguments have."""

    # (motion, keys [B], clip [B], start [B] s) -> (state, whose physics the engine makes, observation blocks, start)
    place: Callable[[Motion, Array, Array, Array], tuple[EnvState, dict[str, Array], Start]]
    draw: Callable[[Motion, Array], tuple[Array, Array]]  # (motion, keys [B]) -> (clip [B], start [B] s), as at a reset
    # (motion, state, action [B,A]) -> (state, ctrl, wrench [B,W,6]), as the engine takes them
    before: Callable[[Motion, EnvState, Array], tuple[EnvState, Array, Array]]
    # (motion, state with the new physics) -> (state, step, start of the environments that ended)
    after: Callable[[Motion, EnvState], tuple[EnvState, Step, Start]]
    # the same without resets: (motion, state with the new physics) -> (state in which every episode goes on, step)
    advance: Callable[[Motion, EnvState], tuple[EnvState, Step]]
    pushed: Callable[[EnvState], Array]  # -> [B] float32, 1 in environments that may be pushed
    # (name in discriminator.VIEWS, motion, keys [n]) -> [n,size]: what reward models see of clips drawn as at a reset
    demonstrate: Callable[[str, Motion, Array], Array]
    actor: dict[str, tuple[Part, ...]]  # the observation blocks that the actor sees, in order, and what they hold
    critic: dict[str, tuple[Part, ...]]
    dt: float  # s, a control step
    episode_steps: int  # control steps of an episode that does not end early


class _Advanced(NamedTuple):
    """What one environment's control step came to, before any reset."""

    state: EnvState  # if the episode goes on
    obs: dict[str, Array]
    reward: Array
    done: Array
    views: dict[str, Array]
    terms: dict[str, Array]
    errors: dict[str, Array]
    key: Array  # of the next episode


def _place(parts: EnvParts, motion: Motion, key: Array, clip: Array, start: Array):
    begun = episode.begin(parts, motion, clip, start, key)
    push = parts.disturb.init(key, begun.view.pose) if parts.disturb else ()
    state = EnvState(
        physics=Physics(begun.qpos, begun.qvel, jnp.zeros(parts.scope.layout.nv), jnp.asarray(False)),
        key=key,
        step=jnp.int32(0),
        clip=clip,
        start=start,
        reward_sum=jnp.float32(0),
        variant=parts.random.model(key, jnp.int32(0), True),
        push=push,
        noise=begun.noise,
        history=begun.history,
        task=begun.view.task,
    )
    obs = episode.observe(parts, begun.view._replace(push=push), begun.noise, key)
    return state, obs, Start(jnp.asarray(True), begun.qpos, begun.qvel)


def _before(parts: EnvParts, motion: Motion, state: EnvState, action: Array) -> tuple[EnvState, Array, Array]:
    time = state.start + parts.scope.dt * (state.step + 1).astype(jnp.float32)
    ahead = poses_at(parts.scope.robot, motion, state.clip, time)
    noise, action = parts.random.smooth(state.noise, action, state.step)
    noise, ctrl = parts.random.drive(noise, state.key, parts.target(action, ahead))
    state = state._replace(noise=noise)
    if parts.disturb is None:
        return state, ctrl, jnp.zeros((len(parts.scope.layout.wrench_bodies), 6))
    return state._replace(physics=parts.disturb.push(state.physics, state.push)), ctrl, state.push.wrench


def _done(parts: EnvParts, motion: Motion, state: EnvState, time: Array, view: View) -> Array:
    """Done code; a later rule overrides an earlier one: time up, end of a clip that does not loop, the task's, failure."""
    clips = clips_of(motion)
    done = jnp.where(state.step >= parts.episode_steps, TIME_UP, RUNNING)
    if parts.scope.settings.end_with_clip:
        ended = (clips.loop[state.clip] != WRAP) & (time >= clips.duration[state.clip])
        done = jnp.where(ended, SUCCEEDED, done)
    if parts.task and parts.task.done:
        code = parts.task.done(view)
        done = jnp.where(code == RUNNING, done, code)
    return jnp.where(parts.failed(view) | state.physics.unstable, FAILED, done).astype(jnp.int8)


def _sound(parts: EnvParts, physics: Physics) -> Physics:
    """Physics that is not finite is unstable and as at the scene's start: no term, normaliser or gradient meets a NaN."""
    fine = jnp.all(jnp.isfinite(physics.qpos)) & jnp.all(jnp.isfinite(physics.qvel))
    return physics._replace(
        qpos=jnp.where(fine, physics.qpos, parts.scope.layout.start_qpos),
        qvel=jnp.where(fine, physics.qvel, 0.0),
        unstable=physics.unstable | ~fine,
    )


def _view(parts: EnvParts, motion: Motion, state: EnvState, time: Array) -> View:
    """What terms see after a control step, with task and pushes as they were in it."""
    physics = state.physics
    pose = kinematics.pose_of(parts.scope.robot, *parts.scope.layout.of_robot(physics.qpos, physics.qvel))
    reference, targets, phase = episode.reference_at(parts, motion, state.clip, time)
    return View(
        pose=pose,
        reference=reference,
        targets=targets,
        phase=phase,
        history=episode.with_now(state.history, pose),
        objects=episode.objects_in(parts, physics.qpos, physics.qvel),
        task=state.task,
        push=state.push,
    )


def _advance(parts: EnvParts, motion: Motion, state: EnvState) -> _Advanced:
    """What came of a control step whose physics is in `state`, if the episode goes on."""
    state = state._replace(step=state.step + 1, physics=_sound(parts, state.physics))
    time = state.start + parts.scope.dt * state.step.astype(jnp.float32)
    view = _view(parts, motion, state, time)
    reward, terms = parts.reward(view)
    if parts.task:
        terms = {**terms, "task": parts.task.reward(view)}
        reward = reward + terms["task"]
    chex.assert_shape([reward, *terms.values()], ())
    reward = jnp.where(state.physics.unstable, 0.0, reward)
    done = _done(parts, motion, state, time, view)
    views = {name: sight.see(view) for name, sight in parts.sights.items()}

    key, fresh = jax.random.split(state.key)
    if parts.task:
        view = view._replace(task=parts.task.update(jax.random.fold_in(fresh, episode.TASK + 2), view.task, view))
    if parts.disturb:
        view = view._replace(push=parts.disturb.advance(state.push, view.pose, done))
    obs = episode.observe(parts, view, state.noise, state.key)
    state = state._replace(
        key=key,
        reward_sum=state.reward_sum + reward,
        push=view.push,
        task=view.task,
        history=episode.without_oldest(view.history),
    )
    errors = terminations.tracking_errors(view.pose, view.reference)
    return _Advanced(state, obs, reward, done, views, terms, errors, fresh)


class _Ended(NamedTuple):
    """What a reset needs to know of an environment."""

    state: EnvState
    done: Array
    key: Array  # of the next episode


class _Fresh(NamedTuple):
    """What a reset changes."""

    state: EnvState  # without physics and key, which the engine and nobody change
    obs: dict[str, Array]
    qpos: Array
    qvel: Array


def _renew(parts: EnvParts, motion: Motion, ended: _Ended) -> _Fresh:
    """An environment whose episode ended, at the beginning of its next one."""
    state, key = ended.state, ended.key
    clip, start = episode.draw_again(parts, motion, state, key, ended.done)
    begun = episode.begin(parts, motion, clip, start, key)
    push = parts.disturb.renew(state.push, begun.view.pose) if parts.disturb else ()
    fresh = EnvState(
        physics=(),
        key=(),
        step=jnp.int32(0),
        clip=clip,
        start=start,
        reward_sum=jnp.float32(0),
        variant=parts.random.model(key, state.variant, False),
        push=push,
        noise=begun.noise,
        history=begun.history,
        task=begun.view.task,
    )
    obs = episode.observe(parts, begun.view._replace(push=push), begun.noise, key)
    return _Fresh(fresh, obs, begun.qpos, begun.qvel)


def _step(parts: EnvParts, before: EnvState, advanced: _Advanced) -> Step:
    """Over the batch: what the control step gives the learner, as if no episode had ended."""
    return Step(
        obs=advanced.obs,
        last_obs=advanced.obs,
        reward=advanced.reward,
        done=advanced.done,
        views=advanced.views,
        unstable=advanced.state.physics.unstable,
        terms=advanced.terms,
        errors=advanced.errors,
        episode_length=advanced.state.step,
        episode_return=advanced.state.reward_sum,
        statistics=parts.disturb.statistics(before.push, advanced.done) if parts.disturb else {},
    )


def _advance_all(parts: EnvParts, motion: Motion, state: EnvState) -> tuple[EnvState, Step]:
    advanced = jax.vmap(lambda each: _advance(parts, motion, each))(state)
    return advanced.state, _step(parts, state, advanced)


def _after(parts: EnvParts, motion: Motion, state: EnvState) -> tuple[EnvState, Step, Start]:
    """Over the batch: the control step of every environment, then the resets of those that ended."""
    advanced = jax.vmap(lambda each: _advance(parts, motion, each))(state)
    after, over = advanced.state, advanced.done != RUNNING
    fresh = resets.renew(
        over,
        _Ended(after, advanced.done, advanced.key),
        _Fresh(after._replace(physics=(), key=()), advanced.obs, after.physics.qpos, after.physics.qvel),
        jax.vmap(lambda ended: _renew(parts, motion, ended)),
    )
    step = _step(parts, state, advanced)._replace(obs=fresh.obs)
    begun = fresh.state._replace(physics=after.physics, key=after.key)
    return begun, step, Start(over, fresh.qpos, fresh.qvel)


def _demonstrate(parts: EnvParts, name: str, motion: Motion, key: Array) -> Array:
    """What a reward model sees of a clip: its poses in the place of the robot's."""
    clip, time = episode.draw(parts, motion, key)
    reference, targets, phase = episode.reference_at(parts, motion, clip, time)
    history = episode.with_now(episode.past(parts, motion, clip, time), reference)
    view = View(
        pose=reference, reference=reference, targets=targets, phase=phase, history=history, objects={}, task=(), push=()
    )
    return parts.sights[name].see(view)


def make(
    scope: Scope,
    disturb: Disturbances | None = None,
    randomize: RandomizeSettings | None = None,
    substeps: int = 1,
    views: Collection[str] = (),
    task: Task | None = None,
) -> Env:
    """Build the environment for a robot in a scene. Raises UserError for what does not fit the robot.

    disturb: from disturbances.make, None for none. randomize: None for no randomisation. substeps: physics steps of a
    control step, the unit of its delays. views: names in discriminator.VIEWS, what reward models ask to see of every step.
    """
    settings = scope.settings
    seen = observations.make(scope)
    if task:
        seen = join([seen, task.observation])
    privileged = disturb.term if disturb else None
    sights = {name: discriminator.VIEWS[name](scope) for name in views}
    asked = [seen.history, privileged.history if privileged else 0, *(sight.history for sight in sights.values())]
    parts = EnvParts(
        scope=scope,
        episode_steps=max(1, int(np.ceil(settings.episode_length / scope.dt - 1e-6))),
        seen=seen,
        privileged=privileged,
        sights=sights,
        history=max(asked),
        reward=rewards.make(scope),
        failed=terminations.make(scope),
        target=actuation.make(scope.robot, settings.action),
        disturb=disturb,
        random=randomisation.make(scope, randomize or RandomizeSettings(), seen, substeps),
        task=task,
    )

    def mapped(function: Callable) -> Callable:
        return lambda motion, *rest: jax.vmap(lambda *args: function(parts, motion, *args))(*rest)

    return Env(
        place=mapped(_place),
        draw=mapped(episode.draw),
        before=mapped(_before),
        after=lambda motion, state: _after(parts, motion, state),
        advance=lambda motion, state: _advance_all(parts, motion, state),
        pushed=lambda state: state.push.pushed if disturb else jnp.zeros(state.step.shape),
        demonstrate=lambda name, motion, keys: jax.vmap(lambda key: _demonstrate(parts, name, motion, key))(keys),
        **_blocks(parts),
        dt=scope.dt,
        episode_steps=parts.episode_steps,
    )


def _blocks(parts: EnvParts) -> dict[str, Any]:
    """What actor and critic see, by block."""
    critic = {"critic" if parts.random.imperfect else "actor": parts.seen.parts}
    if parts.privileged:
        critic["privileged"] = parts.privileged.parts
    return {"actor": {"actor": parts.seen.parts}, "critic": critic}
