"""A control step of one environment, what it gives the learner, and the resets of those that ended; `advance_all` and `after`
map it over the batch."""

from __future__ import annotations

from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp

from mimicjax.env import episode, follow, resets, terminations, wait
from mimicjax.env.episode import EnvParts
from mimicjax.env.getup import Getup
from mimicjax.env.view import View
from mimicjax.motion.reference import Motion, clips_of, poses_at
from mimicjax.robot import kinematics
from mimicjax.types import FAILED, RUNNING, SUCCEEDED, TIME_UP, WRAP, Array, EnvState, Physics, Pose, Step


class Start(NamedTuple):
    """Where episodes begin: written into the physics of the environments of `mask`."""

    mask: Array  # [B] bool
    qpos: Array  # [B,nq]
    qvel: Array  # [B,nv]


class _Advanced(NamedTuple):
    """What one environment's control step came to, before any reset."""

    state: EnvState  # if the episode goes on
    obs: dict[str, Array]
    reward: Array
    done: Array
    views: dict[str, Array]
    terms: dict[str, Array]
    errors: dict[str, Array]  # of tracking, and the figures of the task
    key: Array  # of the next episode


def place(
    parts: EnvParts, motion: Motion, key: Array, clip: Array, start: Array
) -> tuple[EnvState, dict[str, Array], Start]:
    """The begin of an episode at a place of a clip: state without physics of the engine's, observation blocks, start."""
    recovery = parts.getup.init(key) if parts.getup else ()
    begun = episode.begin(parts, motion, clip, start, key, recovery)
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
        getup=recovery,
        **episode.reference_at_start(parts),
    )
    obs = episode.observe(parts, begun.view._replace(push=push), begun.noise, key)
    return state, obs, Start(jnp.asarray(True), begun.qpos, begun.qvel)


def before(parts: EnvParts, motion: Motion, state: EnvState, action: Array) -> tuple[EnvState, Array, Array]:
    """What the engine's step takes: joint targets [nu] and wrenches [W,6] for an action [A]."""
    time = state.clip_time(parts.scope.dt, 1)
    ahead = poses_at(parts.scope.robot, motion, state.clip, time)  # in its place: only its joints are asked for
    ahead = wait.standing(ahead, state.wait)
    noise, action = parts.random.smooth(state.noise, action, state.step)
    noise, ctrl = parts.random.drive(noise, state.key, parts.target(action, ahead))
    state = state._replace(noise=noise)
    wrench = state.push.wrench if parts.disturb else jnp.zeros((len(parts.scope.layout.wrench_bodies), 6))
    if parts.getup and parts.getup.lifts:
        wrench = wrench.at[0, 2].add(_lift(parts, parts.getup, state, ahead))
    if parts.disturb is None:
        return state, ctrl, wrench
    return state._replace(physics=parts.disturb.push(state.physics, state.push)), ctrl, wrench


def _lift(parts: EnvParts, getup: Getup, state: EnvState, reference: Pose) -> Array:
    """N upwards at the first wrench body, of a robot that is helped to get up."""
    robot, layout, body = parts.scope.robot, parts.scope.layout, int(parts.scope.robot.wrench_bodies[0])
    pose = kinematics.pose_of(robot, *layout.of_robot(state.physics.qpos, state.physics.qvel))
    return getup.lift(state.getup, pose.body_pos[body, 2], reference.body_pos[body, 2])


def _done(
    parts: EnvParts, motion: Motion, state: EnvState, time: Array, view: View, failed: Array, recovery: Any
) -> Array:
    """Done code; a later rule overrides an earlier one: time up, end of a clip that does not loop, the task's, failure.

    A robot on the ground is not done with the clip before it got up. recovery: after the control step.
    """
    clips = clips_of(motion)
    done = jnp.where(state.step >= parts.episode_steps, TIME_UP, RUNNING)
    if parts.scope.settings.end_with_clip:
        ended = (clips.loop[state.clip] != WRAP) & (time >= clips.duration[state.clip])
        ended = ended & ~recovery.down if parts.getup else ended
        done = jnp.where(ended, SUCCEEDED, done)
    if parts.task and parts.task.done:
        code = parts.task.done(view)
        done = jnp.where(code == RUNNING, done, code)
    return jnp.where(failed | state.physics.unstable, FAILED, done).astype(jnp.int8)


def _sound(parts: EnvParts, physics: Physics) -> Physics:
    """Physics that is not finite is unstable and as at the scene's start: no term, normaliser or gradient meets a NaN."""
    fine = jnp.all(jnp.isfinite(physics.qpos)) & jnp.all(jnp.isfinite(physics.qvel))
    return physics._replace(
        qpos=jnp.where(fine, physics.qpos, parts.scope.layout.start_qpos),
        qvel=jnp.where(fine, physics.qvel, 0.0),
        unstable=physics.unstable | ~fine,
    )


def _view(parts: EnvParts, motion: Motion, state: EnvState, time: Array) -> tuple[View, Any]:
    """What terms see after a control step, with task and pushes as they were in it; and EnvState.follow after it."""
    physics = state.physics
    pose = kinematics.pose_of(parts.scope.robot, *parts.scope.layout.of_robot(physics.qpos, physics.qvel))
    reference, targets, phase = episode.reference_at(parts, motion, state.clip, time)
    reference, displaced = wait.standing(reference, state.wait), state.follow
    if parts.follow:
        displaced = parts.follow.advance(state.follow, pose, reference)
        reference, targets = (follow.moved(each, displaced) for each in (reference, targets))
    view = View(
        pose=pose,
        reference=reference,
        targets=targets,
        phase=phase,
        history=episode.with_now(state.history, pose),
        objects=episode.objects_in(parts, physics.qpos, physics.qvel),
        task=state.task,
        push=state.push,
    )
    return view, displaced


def _advance(parts: EnvParts, motion: Motion, state: EnvState) -> _Advanced:
    """What came of a control step whose physics is in `state`, if the episode goes on."""
    state = state._replace(step=state.step + 1, physics=_sound(parts, state.physics))
    time = state.clip_time(parts.scope.dt)
    view, displaced = _view(parts, motion, state, time)
    reward, terms = parts.reward(view)
    if parts.task:
        terms = {**terms, "task": parts.task.reward(view)}
        reward = reward + terms["task"]
    chex.assert_shape([reward, *terms.values()], ())
    reward = jnp.where(state.physics.unstable, 0.0, reward)
    failed, recovery = parts.failed(view), state.getup
    if parts.getup:
        recovery, failed = parts.getup.advance(state.getup, view, failed)
    done = _done(parts, motion, state, time, view, failed, recovery)
    views = {name: sight.see(view) for name, sight in parts.sights.items()}
    errors = terminations.tracking_errors(view.pose, view.reference)
    if parts.task:
        errors |= {name: figure.of(view) for name, figure in parts.task.figures.items()}

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
        getup=recovery,
        follow=displaced,
        wait=wait.after(state.wait, parts.scope.settings.follow.wait, view.pose, view.reference),
    )
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
    recovery = parts.getup.renew(state.getup) if parts.getup else ()
    begun = episode.begin(parts, motion, clip, start, key, recovery)
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
        getup=recovery,
        **episode.reference_at_start(parts),
    )
    obs = episode.observe(parts, begun.view._replace(push=push), begun.noise, key)
    return _Fresh(fresh, obs, begun.qpos, begun.qvel)


def _step(parts: EnvParts, previous: EnvState, advanced: _Advanced) -> Step:
    """Over the batch: what the control step gives the learner, as if no episode had ended."""
    stats = parts.disturb.statistics(previous.push, advanced.done) if parts.disturb else {}
    if parts.getup:
        stats |= parts.getup.statistics(previous.getup, advanced.state.getup, advanced.done)
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
        statistics=stats,
    )


def advance_all(parts: EnvParts, motion: Motion, state: EnvState) -> tuple[EnvState, Step]:
    """Over the batch: the control step of every environment, in which every episode goes on."""
    advanced = jax.vmap(lambda each: _advance(parts, motion, each))(state)
    return advanced.state, _step(parts, state, advanced)


def after(parts: EnvParts, motion: Motion, state: EnvState) -> tuple[EnvState, Step, Start]:
    """Over the batch: the control step of every environment, then the resets of those that ended."""
    advanced = jax.vmap(lambda each: _advance(parts, motion, each))(state)
    stepped, over = advanced.state, advanced.done != RUNNING
    fresh = resets.renew(
        over,
        _Ended(stepped, advanced.done, advanced.key),
        _Fresh(stepped._replace(physics=(), key=()), advanced.obs, stepped.physics.qpos, stepped.physics.qvel),
        jax.vmap(lambda ended: _renew(parts, motion, ended)),
    )
    step = _step(parts, state, advanced)._replace(obs=fresh.obs)
    begun = fresh.state._replace(physics=stepped.physics, key=stepped.key)
    return begun, step, Start(over, fresh.qpos, fresh.qvel)
