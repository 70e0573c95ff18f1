"""Disturbances of one environment: the wrench of the coming control step, and the jump of the root's velocity.

Both are planned at the end of the previous control step, so that the critic can see what is coming; `env.before` only
hands the plan over. Times are counted from the beginning of the coming control step. A push that begins or ends within
it acts with the share of its impulse that falls into it, whatever its duration. See docs/disturbances.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mimicjax import rotation, statistics
from mimicjax.config.push import CurriculumSettings, PushSettings
from mimicjax.env import push_profiles
from mimicjax.env.push_profiles import Profile, Pulse
from mimicjax.env.view import Part, Scope, Term, View
from mimicjax.robot import symmetry
from mimicjax.statistics import Mean, Statistics
from mimicjax.types import FAILED, RUNNING, Array, Layout, Physics, Pose, Reflection, Robot

STREAM = 0x70757368  # folded into the environment's key: pushes have random numbers of their own
GRAVITY = 9.81  # m/s^2, of payloads
EPISODE = 1e9  # s, longer than any
EDGE = 1e-6  # s, what a push may be cut by at its end
TRIAL = 1.0  # s after the onset of a push that the robot should survive
BODY = "Push_Body_"  # prefix of a statistic for every body
CRITIC_SCALE = (100.0,) * 3 + (20.0,) * 3  # N and N m that the critic sees as 1


class Timer(NamedTuple):
    """How far one profile is: the push that is on or comes next; times from the beginning of the coming control step."""

    key: Array  # random key of the profile, never changes
    draws: Array  # [] int32, pushes drawn so far
    until: Array  # [] s, to the onset; negative once it is over
    pulse: Pulse  # the push that is on or comes next
    level: Array  # [] share of the magnitudes, by the curriculum


class PushState(NamedTuple):
    """What the disturbances of one environment remember, and their plan for the coming control step."""

    steps: Array  # [] int32, control steps since training began
    pushed: Array  # [] 0 in an environment that is never pushed, else 1
    since: Array  # [] s, since the onset that is on trial; -1 if none is
    timers: dict[str, Timer]  # by profile
    wrench: Array  # [W,6] N and N m, world frame, at the centres of mass: mean over the control step
    velocity: Array  # [6] m/s and rad/s, world frame: added to the root's at the control step's beginning
    onset: Array  # [] bool, a push begins


class Disturbances(NamedTuple):
    """Functions for one environment, but for `statistics`."""

    init: Callable[[Array, Pose], PushState]  # (random key of the environment, pose at the beginning)
    advance: Callable[[PushState, Pose, Array], PushState]  # (state, pose, done) -> state if the episode goes on
    renew: Callable[[PushState, Pose], PushState]  # (state after `advance`, pose of the new episode) -> state
    push: Callable[[Physics, PushState], Physics]  # the root's velocity, as the plan says
    term: Term | None  # what the critic sees; None if nothing
    statistics: Callable[[PushState, Array], Statistics]  # (states [B] before `advance`, done [B]) of all together


class _Setup(NamedTuple):
    robot: Robot
    layout: Layout
    profiles: tuple[Profile, ...]
    dt: float  # s
    envs: int  # of all devices
    quiet: float  # share of environments that are never pushed


def make(
    scope: Scope, profiles: Mapping[str, PushSettings], num_envs: int, observe: bool, quiet: float = 0.0
) -> Disturbances | None:
    """The disturbances of these profiles; None without any.

    scope: its layout's wrench bodies hold all that profiles name. num_envs: of all devices, by which samples are counted.
    observe: whether the critic sees the wrenches. quiet: share of environments that are never pushed. Raises UserError for
    what does not fit.
    """
    checked = [push_profiles.check(scope.robot, scope.layout, name, settings) for name, settings in profiles.items()]
    if not checked:
        return None
    setup = _Setup(scope.robot, scope.layout, tuple(checked), scope.dt, num_envs, quiet)
    return Disturbances(
        init=partial(_init, setup),
        advance=partial(_advance, setup),
        renew=partial(_renew, setup),
        push=partial(_push, setup),
        term=_term(setup) if observe else None,
        statistics=partial(_statistics, setup),
    )


def _term(setup: _Setup) -> Term:
    """The coming wrenches [W,6], the level of every profile [P] and whether the environment is pushed at all.

    Without the last two, the critic would expect pushes in quiet environments, where none come.
    """
    bodies, levels = setup.layout.wrench_bodies, len(setup.profiles) + 1

    def wrenches(robot: Robot) -> Reflection:
        partner = symmetry.among(robot, bodies, "bodies that are pushed or its wrench_bodies")
        return symmetry.vectors(partner, np.concatenate([symmetry.PLACE, symmetry.TURN]))

    def see(view: View) -> Array:
        state = view.push
        seen = [*(timer.level for timer in state.timers.values()), jnp.float32(1)]
        wrench = state.wrench / jnp.asarray(CRITIC_SCALE, jnp.float32)
        return jnp.concatenate([wrench.reshape(-1), state.pushed * jnp.stack(seen)])

    parts = (
        Part("wrenches", 6 * len(bodies), wrenches),
        Part("push_levels", levels, lambda robot: symmetry.same(levels)),
    )
    return Term(parts, see)


def _init(setup: _Setup, key: jax.Array, pose: Pose) -> PushState:
    timers = {}
    for profile in setup.profiles:
        stream = jax.random.fold_in(jax.random.fold_in(key, STREAM), profile.code)
        interval, pulse = _draw(profile, stream, jnp.int32(0))
        level = jnp.float32(1.0 if profile.settings.curriculum.by == "none" else profile.settings.curriculum.begin)
        timers[profile.name] = _first(profile, Timer(stream, jnp.int32(1), interval, pulse, level))
    state = PushState(
        steps=jnp.int32(0),
        pushed=(jax.random.uniform(jax.random.fold_in(key, STREAM)) >= setup.quiet).astype(jnp.float32),
        since=jnp.float32(-1.0),
        timers=timers,
        wrench=jnp.zeros((len(setup.layout.wrench_bodies), 6)),
        velocity=jnp.zeros(6),
        onset=jnp.asarray(False),
    )
    return _plan(setup, state, pose)


def _advance(setup: _Setup, state: PushState, pose: Pose, done: jax.Array) -> PushState:
    steps = state.steps + 1
    tried, survived = _tried(setup, state, done)
    timers = {}
    for profile in setup.profiles:
        timer = state.timers[profile.name]
        samples = steps * float(setup.envs)
        timer = timer._replace(level=_level(profile.settings.curriculum, timer.level, done, survived, samples))
        interval, pulse = _draw(profile, timer.key, timer.draws)
        until = timer.until - setup.dt
        end = until + timer.pulse.length
        ended = (until < 0.0) & (end <= EDGE)
        pulse = pulse._replace(payload=timer.pulse.payload)  # redrawn at resets only
        following = timer._replace(draws=timer.draws + 1, until=jnp.maximum(end + interval, 0.0), pulse=pulse)
        current = timer._replace(until=until)
        timers[profile.name] = jax.tree.map(lambda a, b, ended=ended: jnp.where(ended, a, b), following, current)
    since = jnp.where((done != RUNNING) | tried, -1.0, _since(setup, state))
    return _plan(setup, state._replace(steps=steps, since=since, timers=timers), pose)


def _renew(setup: _Setup, state: PushState, pose: Pose) -> PushState:
    timers = {}
    for profile in setup.profiles:
        timer = state.timers[profile.name]
        interval, pulse = _draw(profile, timer.key, timer.draws)
        fresh = timer._replace(draws=timer.draws + 1, until=interval, pulse=pulse)
        timers[profile.name] = _first(profile, fresh)
    return _plan(setup, state._replace(timers=timers), pose)


def _draw(profile: Profile, key: jax.Array, number: jax.Array) -> tuple[jax.Array, Pulse]:
    return push_profiles.draw(profile, jax.random.fold_in(key, number))


def _first(profile: Profile, timer: Timer) -> Timer:
    """The timer at the beginning of an episode; what is sustained begins with it."""
    if not profile.settings.sustained:
        return timer
    return timer._replace(until=jnp.float32(0.0), pulse=timer.pulse._replace(length=jnp.float32(EPISODE)))


def _level(
    settings: CurriculumSettings, level: jax.Array, done: jax.Array, survived: jax.Array, samples: jax.Array
) -> jax.Array:
    """The curriculum's share of the magnitudes from now on.

    level: the share so far. survived: whether the trial of a push ended well in this step. samples: of the training so far.
    """
    if settings.by == "samples":
        return settings.begin + (1.0 - settings.begin) * jnp.minimum(samples / settings.samples, 1.0)
    if settings.by == "success":
        # an episode holds many pushes and ends at the first one too strong: if only whole episodes counted, the level
        # would hardly rise
        moved = jnp.where(done == FAILED, level - settings.fall, level + settings.rise)
        return jnp.where((done == RUNNING) & ~survived, level, jnp.clip(moved, settings.begin, 1.0))
    return level


def _plan(setup: _Setup, state: PushState, pose: Pose) -> PushState:
    """What acts in the coming control step; pose: at its beginning."""
    wrench, velocity = jnp.zeros((len(setup.layout.wrench_bodies), 6)), jnp.zeros(6)
    onset = jnp.asarray(False)
    for profile in setup.profiles:
        timer = state.timers[profile.name]
        begins = timer.pulse.live & (timer.until >= 0.0) & (timer.until < setup.dt)
        if profile.wrenches:
            share = jnp.where(timer.pulse.live, _share(profile.settings, timer, setup.dt), 0.0)
            wrench = wrench + share * timer.level * _wrench(profile, timer.pulse, pose, len(wrench))
        if profile.settings.payload[1] > 0:
            wrench = wrench.at[profile.slots, 2].add(-GRAVITY * timer.level * timer.pulse.payload)
        if profile.moves_root:
            velocity = velocity + jnp.where(begins, timer.level, 0.0) * timer.pulse.velocity
        if profile.wrenches or profile.moves_root:
            onset = onset | begins
    onset = onset & (state.pushed > 0.0)
    return state._replace(wrench=state.pushed * wrench, velocity=state.pushed * velocity, onset=onset)


def _share(settings: PushSettings, timer: Timer, dt: float) -> jax.Array:
    """Mean force over the coming control step as a share of the push's peak, however little of the step it covers."""
    length = jnp.maximum(timer.pulse.length, EDGE)
    begin = jnp.clip(-timer.until, 0.0, length)
    end = jnp.clip(dt - timer.until, 0.0, length)
    if settings.sustained:
        return jnp.float32(1.0)
    if settings.shape == "half_sine":
        return length / (np.pi * dt) * (jnp.cos(np.pi * begin / length) - jnp.cos(np.pi * end / length))
    return (end - begin) / dt


def _wrench(profile: Profile, pulse: Pulse, pose: Pose, slots: int) -> jax.Array:
    """Wrenches [W,6] of a push at its peak, world frame, at the centres of mass."""
    s, force, torque = profile.settings, pulse.force, pulse.torque
    if s.frame == "body" or any(s.offset):
        quat = pose.body_quat[jnp.asarray(profile.bodies)[pulse.place]]
        if s.frame == "body":
            force, torque = rotation.rotate(quat, force), rotation.rotate(quat, torque)
        if any(s.offset):
            torque = torque + rotation.cross(rotation.rotate(quat, pulse.offset), force)
    rows = jnp.concatenate([force, torque], axis=-1)
    if s.together:
        return jnp.zeros((slots, 6)).at[profile.slots].set(rows)
    return jnp.where((jnp.arange(slots) == jnp.asarray(profile.slots)[pulse.place[0]])[:, None], rows, 0.0)


def _push(setup: _Setup, physics: Physics, state: PushState) -> Physics:
    """Adds the planned jump to the root's velocity; MuJoCo has a free joint's angular velocity in the body's frame."""
    if not any(profile.moves_root for profile in setup.profiles):
        return physics
    place, first = setup.layout.robot_qpos.start, setup.layout.robot_qvel.start
    quat = rotation.normalize(physics.qpos[place + 3 : place + 7])
    jump = jnp.concatenate([state.velocity[:3], rotation.rotate(rotation.conjugate(quat), state.velocity[3:])])
    return physics._replace(qvel=physics.qvel.at[first : first + 6].add(jump))


def _since(setup: _Setup, state: PushState) -> jax.Array:
    """s since the onset on trial, at the end of the step; a push during another's trial does not start one of its own."""
    running = (state.since >= 0.0) | state.onset
    return jnp.where(running, jnp.maximum(state.since, 0.0) + setup.dt, -1.0)


def _tried(setup: _Setup, state: PushState, done: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(whether a trial ends in the step, whether it was survived). Episodes that end otherwise give no result."""
    since = _since(setup, state)
    lost = (since >= 0.0) & (done == FAILED)
    survived = (since >= TRIAL - 0.5 * setup.dt) & ~lost
    return lost | survived, survived


def _statistics(setup: _Setup, state: PushState, done: jax.Array) -> Statistics:
    """Of the control step that just ended, over environments [B]."""
    force, torque = (jnp.linalg.norm(state.wrench[..., part], axis=-1) for part in (slice(3), slice(3, 6)))
    acts = (force > 0.0) | (torque > 0.0)
    active, strongest = jnp.any(acts, axis=-1), jnp.max(force, axis=-1, initial=0.0)
    impulse = jnp.sum(force, axis=-1) * setup.dt
    tried, survived = jax.vmap(partial(_tried, setup))(state, done)
    stats: Statistics = {
        "Push_Count": statistics.total(state.onset),
        "Push_Active": statistics.mean(active),
        "Push_Force": statistics.mean(strongest, active),
        "Push_Force_Max": statistics.largest(strongest),
        "Push_Torque_Max": statistics.largest(jnp.max(torque, axis=-1, initial=0.0)),
        "Push_Speed_Max": statistics.largest(jnp.linalg.norm(state.velocity[..., :3], axis=-1)),
        "Push_Impulse": Mean(jnp.sum(impulse), jnp.sum(state.onset, dtype=jnp.float32)),  # of a push
        "Push_Survival": statistics.mean(survived, tried),
    }
    for name, timer in state.timers.items():  # of environments that are not quiet
        stats[f"Push_Level_{name}"] = statistics.mean(timer.level, state.pushed)
    for slot in sorted({slot for profile in setup.profiles for slot in _acting(profile)}):
        name = setup.robot.body_names[setup.layout.wrench_bodies[slot]]
        stats[f"{BODY}{name}"] = statistics.mean(acts[..., slot])
    return stats


def _acting(profile: Profile) -> list[int]:
    return [int(slot) for slot in profile.slots] if profile.wrenches or profile.settings.payload[1] > 0 else []
