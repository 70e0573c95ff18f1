"""Getting up: episodes that begin on the ground, and failures that end none before there was time to get up; for one environment.

A robot is down from the start of an episode on the ground (or from a failure in mid-episode, if settings say so) until it has
been as the reference is for a while, or until its grace is over. While it is down, neither a failure nor the end of the clip
ends its episode. Which environments begin on the ground is drawn once, as with pushes: so they have the same share of the
samples whether episodes on the ground last long and the others end soon, as at first, or not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from mimicjax import rotation, statistics
from mimicjax.config.settings import GetupSettings
from mimicjax.env.observations import away, turn
from mimicjax.env.view import Scope, View
from mimicjax.errors import UserError
from mimicjax.statistics import Statistics
from mimicjax.types import FAILED, Array, Fallen, Pose

GROUNDED, DRAW = 0x67657475, 0x67657476  # folded into keys: which environments begin on the ground, and in which state
EDGE = 1e-4  # s by which sums of control steps may miss a time
GRAVITY = 9.81  # m/s^2
UP = (0.0, 0.0, 1.0)

Place = tuple[Array, Array]  # qpos, qvel of the robot


class Recovery(NamedTuple):
    """EnvState.getup: what an environment remembers."""

    grounded: Array  # [] float32, 1 where episodes begin on the ground
    down: Array  # [] bool
    waited: Array  # [] s since it went down
    held: Array  # [] s for which it has been up again without a break
    level: Array  # [] share of the force that helps up


class Getup(NamedTuple):
    """Functions of one environment, but for `statistics`."""

    init: Callable[[Array], Recovery]  # (random key of the environment) -> state of its first episode
    renew: Callable[[Recovery], Recovery]  # (state as an episode ends) -> that of the next one
    # (random key of the episode, state, reference, qpos, qvel of the robot) -> where the episode begins instead
    start: Callable[[Array, Recovery, Pose, Array, Array], Place]
    # (state, view after a control step, whether a failure holds) -> (state, whether the failure ends the episode)
    advance: Callable[[Recovery, View, Array], tuple[Recovery, Array]]
    lift: Callable[[Recovery, Array, Array], Array]  # (state, height of the lifted body m, the reference's) -> force N
    lifts: bool  # whether there is such a force
    statistics: Callable[[Recovery, Recovery, Array], Statistics]  # (states [B] before and after a step, done [B])


def tilt(robot: Pose, clip: Pose) -> Array:
    """[] rad between the directions in which two roots feel gravity: headings do not count."""
    cosine = jnp.sum(_gravity(robot) * _gravity(clip))
    return jnp.arccos(jnp.clip(cosine, -1.0, 1.0))


def _gravity(pose: Pose) -> Array:
    return rotation.rotate(rotation.conjugate(pose.root_quat), jnp.asarray(UP))


def body_distance(robot: Pose, clip: Pose) -> Array:
    """[] m, mean over bodies of the distance from the reference's about root and heading."""
    about = lambda pose: turn(away(pose.root_quat), pose.body_pos - pose.root_pos)  # noqa: E731
    return jnp.mean(jnp.linalg.norm(about(robot) - about(clip), axis=-1))


def is_up(settings: GetupSettings) -> Callable[[Pose, Pose], Array]:
    """Whether a robot is as the reference is, but for its place over the ground and its heading."""

    def up(robot: Pose, clip: Pose) -> Array:
        high = jnp.abs(robot.root_pos[2] - clip.root_pos[2]) <= settings.height
        near = settings.bodies is None or body_distance(robot, clip) <= settings.bodies
        return high & (tilt(robot, clip) <= settings.tilt) & near

    return up


def make(scope: Scope, fallen: Fallen | None, share: float) -> Getup | None:
    """The functions for a robot; None where nothing begins on the ground and a fall ends an episode.

    fallen: from engine.fallen, needed if `share`, of the environments whose episodes begin on the ground, is above 0.
    Raises UserError for help at a body of a robot that names no wrench bodies.
    """
    settings, dt = scope.settings.getup, scope.dt
    if not share and not settings.falls:
        return None
    if settings.lift and not len(scope.robot.wrench_bodies):
        raise UserError(
            f"env.getup.lift is {settings.lift:g}, and robot {scope.robot.name} names no wrench_bodies to lift it by"
        )

    def init(key: Array) -> Recovery:
        grounded = jax.random.uniform(jax.random.fold_in(key, GROUNDED)) < share
        zero = jnp.float32(0)
        return Recovery(grounded.astype(jnp.float32), grounded, zero, zero, jnp.float32(1))

    def renew(state: Recovery) -> Recovery:
        zero = jnp.float32(0)
        return state._replace(down=state.grounded > 0.0, waited=zero, held=zero)

    largest = settings.lift * scope.robot.mass * GRAVITY
    tall = float(scope.robot.start_qpos[2])

    def lift(state: Recovery, height: Array, wanted: Array) -> Array:
        missing = jnp.clip((wanted - height) / tall, 0.0, 1.0)
        return jnp.where(state.down, largest * state.level * missing, 0.0)

    return Getup(
        init=init,
        renew=renew,
        start=_start(scope, fallen),
        advance=_advance(settings, dt),
        lift=lift,
        lifts=settings.lift > 0.0,
        statistics=lambda before, after, done: _statistics(dt, before, after, done),
    )


def _start(scope: Scope, fallen: Fallen | None) -> Callable[[Array, Recovery, Pose, Array, Array], Place]:
    """Under the reference's root, turned anyhow about the vertical."""

    def start(key: Array, state: Recovery, reference: Pose, qpos: Array, qvel: Array) -> Place:
        if fallen is None:
            return qpos, qvel
        row, heading = jax.random.uniform(jax.random.fold_in(key, DRAW), (2,))
        number = jnp.minimum((row * len(fallen.qpos)).astype(jnp.int32), len(fallen.qpos) - 1)
        lying, speed = jnp.asarray(fallen.qpos)[number], jnp.asarray(fallen.qvel)[number]
        turned = rotation.about(jnp.asarray(UP), 2.0 * jnp.pi * heading)
        place = lying[:3].at[:2].set(reference.root_pos[:2])
        lying = jnp.concatenate([place, rotation.multiply(turned, lying[3:7]), lying[7:]])
        # of a free joint's velocities MuJoCo has the first three in the world, the others in the body
        speed = jnp.concatenate([rotation.rotate(turned, speed[:3]), speed[3:]])
        return jnp.where(state.down, lying, qpos), jnp.where(state.down, speed, qvel)

    return start


def _advance(settings: GetupSettings, dt: float) -> Callable[[Recovery, View, Array], tuple[Recovery, Array]]:
    up = is_up(settings)

    def advance(state: Recovery, view: View, failed: Array) -> tuple[Recovery, Array]:
        waited = jnp.where(state.down, state.waited + dt, 0.0)
        held = jnp.where(state.down & up(view.pose, view.reference) & ~failed, state.held + dt, 0.0)
        risen = state.down & (held > 0.0) & (held >= settings.hold - EDGE)
        late = state.down & ~risen & (waited >= settings.grace - EDGE)
        fell = ~state.down & failed
        level = state.level + settings.lift_step * (late.astype(jnp.float32) - risen.astype(jnp.float32))
        after = Recovery(
            grounded=state.grounded,
            down=(state.down & ~risen) | (fell if settings.falls else False),
            waited=waited,
            held=held,
            level=jnp.clip(level, 0.0, 1.0),
        )
        return after, late | (jnp.asarray(False) if settings.falls else fell)

    return advance


def _statistics(dt: float, before: Recovery, after: Recovery, done: Array) -> Statistics:
    """Of the control step that just ended, over environments [B]."""
    risen = before.down & ~after.down
    late = before.down & after.down & (done == FAILED)
    return {
        "Getup_Down": statistics.mean(before.down),
        "Getup_Success": statistics.mean(risen, risen | late),  # of those that got up or ran out of time
        "Getup_Time": statistics.mean(before.waited + dt, risen),  # s, of those that got up
        "Getup_Lift": statistics.mean(after.level, after.grounded),
    }
