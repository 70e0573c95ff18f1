"""The environment: control steps of motion imitation, as pure functions over a batch.

Everything here is written for one environment; `make` is the only place that maps it over the batch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mimicjax.config.settings import EnvSettings, RandomizeSettings
from mimicjax.env import observations, randomisation, rewards, terminations
from mimicjax.env.disturbances import Disturbances
from mimicjax.env.observations import View
from mimicjax.env.randomisation import Randomisation
from mimicjax.motion import library
from mimicjax.motion.reference import Motion, clips_of, poses_at
from mimicjax.robot import actuation, kinematics
from mimicjax.types import (
    FAILED,
    RUNNING,
    SUCCEEDED,
    TIME_UP,
    WRAP,
    Array,
    EnvState,
    Layout,
    Physics,
    Pose,
    Robot,
    Step,
)

RETRY = 0x7E7247  # folded into an episode's random key: whether it starts where the failed one before did


class Start(NamedTuple):
    """Where episodes begin: written into the physics of the environments of `mask`."""

    mask: Array  # [B] bool
    qpos: Array  # [B,nq], of the whole scene: objects are at their start
    qvel: Array  # [B,nv]


class Env(NamedTuple):
    """Functions over a batch; B is whatever the arguments have."""

    place: Callable  # (motion, keys [B], clip [B], start [B]) -> (EnvState without physics, obs, Start)
    draw: Callable  # (motion, keys [B]) -> (clip [B], start [B]), as at a reset
    before: Callable  # (motion, state, action [B,A]) -> (state, ctrl, wrench [B,W,6]), as the engine takes them
    after: Callable  # (motion, state with the new physics) -> (state, Step, Start of the environments that ended)
    dt: float  # s, a control step
    episode_steps: int  # control steps of an episode that does not end early


class _One(NamedTuple):
    """The env's parts for one environment, put together once."""

    robot: Robot
    layout: Layout
    settings: EnvSettings
    dt: float
    episode_steps: int
    observe: observations.Term
    difference: Callable[[Pose], jax.Array]
    reward: Callable
    failed: Callable
    target: Callable
    disturb: Disturbances | None
    random: Randomisation


def _reference(one: _One, motion: Motion, clip: jax.Array, time: jax.Array) -> tuple[Pose, Pose, jax.Array]:
    """Reference at `time`, at the coming target steps [S,...], and the phase."""
    ahead = jnp.asarray([0, *one.settings.observations.target_steps], jnp.float32)
    clips = jnp.broadcast_to(clip, ahead.shape)
    poses = poses_at(one.robot, motion, clips, time + one.dt * ahead)
    phase = library.phase(clips_of(motion), clip, time)
    return jax.tree.map(lambda x: x[0], poses), jax.tree.map(lambda x: x[1:], poses), phase


def _obs(one: _One, view: View, push: Any, noise: Any, key: jax.Array) -> dict[str, jax.Array]:
    """What the critic sees, as it is; what the actor makes of it, through the robot's sensors; and whether it is pushed."""
    seen, measured = one.observe(view), one.random.measured(noise, view.pose)
    own = seen if measured is view.pose else one.observe(view._replace(pose=measured))
    full = jnp.concatenate([seen, one.disturb.observe(push)]) if one.disturb else seen
    pushed = push.pushed if one.disturb else jnp.float32(0)
    return {"actor": one.random.sense(noise, key, own), "critic": full, "pushed": pushed}


def _draw(one: _One, motion: Motion, key: jax.Array) -> tuple[jax.Array, jax.Array]:
    clip, start = library.sample(clips_of(motion), key)
    return clip, start if one.settings.random_start else jnp.zeros_like(start)


def _draw_again(one: _One, motion: Motion, state: EnvState, key: jax.Array, done: jax.Array):
    """Clip and start of the next episode.

    Starts that fail soon give few samples, the fewer the better the others go, and so are never learned: they are tried
    more often.
    """
    clip, start = _draw(one, motion, key)
    if one.settings.retry_start == 0.0:
        return clip, start
    again = (done == FAILED) & (jax.random.uniform(jax.random.fold_in(key, RETRY)) < one.settings.retry_start)
    return jnp.where(again, state.clip, clip), jnp.where(again, state.start, start)


def _begin(one: _One, motion: Motion, clip: jax.Array, start: jax.Array, key: jax.Array):
    """What terms see, physics and noise of an episode that begins on the reference, or near it."""
    reference, targets, phase = _reference(one, motion, clip, start)
    pose, qpos, qvel = one.random.start(key, reference, *kinematics.qpos_of(one.robot, reference))
    return View(pose, reference, targets, phase), *one.layout.with_robot(qpos, qvel), one.random.draw(key, pose)


def _place(one: _One, motion: Motion, key: jax.Array, clip: jax.Array, start: jax.Array):
    view, qpos, qvel, noise = _begin(one, motion, clip, start, key)
    push = one.disturb.init(key, view.pose) if one.disturb else ()
    physics = Physics(qpos, qvel, jnp.zeros(one.layout.nv), jnp.asarray(False))
    variant = one.random.model(key, jnp.int32(0), True)
    state = EnvState(physics, key, jnp.int32(0), clip, start, jnp.float32(0), variant, push, noise)
    return state, _obs(one, view, push, noise, key), Start(jnp.asarray(True), qpos, qvel)


def _before(one: _One, motion: Motion, state: EnvState, action: jax.Array) -> tuple[EnvState, jax.Array, jax.Array]:
    time = state.start + one.dt * (state.step + 1).astype(jnp.float32)
    ahead = poses_at(one.robot, motion, state.clip, time)
    noise, action = one.random.smooth(state.noise, action, state.step)
    noise, ctrl = one.random.drive(noise, state.key, one.target(action, ahead))
    state = state._replace(noise=noise)
    if one.disturb is None:
        return state, ctrl, jnp.zeros((len(one.layout.wrench_bodies), 6))
    return state._replace(physics=one.disturb.push(state.physics, state.push)), ctrl, state.push.wrench


def _done(one: _One, motion: Motion, state: EnvState, time: jax.Array, pose: Pose, reference: Pose) -> jax.Array:
    """Done code; a later rule overrides an earlier one: time up, end of a clip that does not loop, failure."""
    clips = clips_of(motion)
    ended = (clips.loop[state.clip] != WRAP) & (time >= clips.duration[state.clip])
    done = jnp.where(state.step >= one.episode_steps, TIME_UP, RUNNING)
    done = jnp.where(ended, SUCCEEDED, done)
    return jnp.where(one.failed(pose, reference) | state.physics.unstable, FAILED, done).astype(jnp.int8)


def _sound(one: _One, physics: Physics) -> Physics:
    """Physics that is not finite is unstable and as at the scene's start: no term, normaliser or gradient meets a NaN."""
    fine = jnp.all(jnp.isfinite(physics.qpos)) & jnp.all(jnp.isfinite(physics.qvel))
    return physics._replace(
        qpos=jnp.where(fine, physics.qpos, one.layout.start_qpos), qvel=jnp.where(fine, physics.qvel, 0.0),
        unstable=physics.unstable | ~fine,
    )  # fmt: skip


def _pushes(one: _One, state: EnvState, pose: Pose, begin_pose: Pose, done: jax.Array) -> tuple[Any, Any, dict]:
    """Disturbances if the episode goes on, if it begins anew, and what they did in the step that ended."""
    if one.disturb is None:
        return (), (), {}
    return *one.disturb.advance(state.push, pose, begin_pose, done), one.disturb.diagnostics(state.push, done)


def _after(one: _One, motion: Motion, state: EnvState):
    state = state._replace(step=state.step + 1, physics=_sound(one, state.physics))
    time = state.start + one.dt * state.step.astype(jnp.float32)
    pose = kinematics.pose_of(one.robot, *one.layout.of_robot(state.physics.qpos, state.physics.qvel))
    reference, targets, phase = _reference(one, motion, state.clip, time)
    reward, terms = one.reward(pose, reference)
    reward = jnp.where(state.physics.unstable, 0.0, reward)
    done = _done(one, motion, state, time, pose, reference)
    total = state.reward_sum + reward

    key, fresh = jax.random.split(state.key)
    clip, start = _draw_again(one, motion, state, fresh, done)
    begin_view, qpos, qvel, begin_noise = _begin(one, motion, clip, start, fresh)
    over = done != RUNNING
    push, begin_push, felt = _pushes(one, state, pose, begin_view.pose, done)
    last_obs = _obs(one, View(pose, reference, targets, phase), push, state.noise, state.key)
    begin_obs = _obs(one, begin_view, begin_push, begin_noise, fresh)
    diagnostics = {
        **{f"reward_{name}": value for name, value in terms.items()},
        **terminations.tracking_errors(pose, reference),
        "episode_length": state.step, "episode_return": total, "unstable": state.physics.unstable, **felt,
    }  # fmt: skip
    disc = one.difference(pose), one.difference(reference)
    obs, push, noise = jax.tree.map(
        lambda a, b: jnp.where(over, a, b), (begin_obs, begin_push, begin_noise), (last_obs, push, state.noise)
    )
    variant = jnp.where(over, one.random.model(fresh, state.variant, False), state.variant)
    step = Step(obs, last_obs, reward, done, *disc, diagnostics)
    state = EnvState(
        state.physics, key, jnp.where(over, 0, state.step), jnp.where(over, clip, state.clip),
        jnp.where(over, start, state.start), jnp.where(over, 0.0, total), variant, push, noise,
    )  # fmt: skip
    return state, step, Start(over, qpos, qvel)


def make(
    robot: Robot,
    layout: Layout,
    settings: EnvSettings,
    control_freq: int,
    disturb: Disturbances | None = None,
    randomize: RandomizeSettings | None = None,
    substeps: int = 1,
) -> Env:
    """Build the environment for a robot in a scene of this layout. Raises UserError for what does not fit the robot.

    disturb: from disturbances.make, None for none. randomize: None for no randomisation. substeps: physics steps of a
    control step, the unit of its delays.
    """
    dt = 1.0 / control_freq
    one = _One(
        robot, layout, settings, dt, max(1, int(np.ceil(settings.episode_length * control_freq - 1e-6))),
        observations.make(robot, settings.observations), observations.difference(robot, settings.observations),
        rewards.make(robot, settings),
        terminations.make(robot, settings.terminations, settings.observations, layout.ground),
        actuation.make(robot, settings.action), disturb,
        randomisation.make(
            robot, randomize or RandomizeSettings(), observations.layout(robot, settings.observations), substeps
        ),
    )  # fmt: skip

    def mapped(function: Callable) -> Callable:
        return lambda motion, *rest: jax.vmap(lambda *args: function(one, motion, *args))(*rest)

    return Env(mapped(_place), mapped(_draw), mapped(_before), mapped(_after), dt, one.episode_steps)
