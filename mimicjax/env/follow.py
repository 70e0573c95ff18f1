"""A reference that follows the robot: displaced over the ground, shifted and turned about the vertical, as a rigid body.

A policy that is paid to be where the clip is must run back after every shove. With a displaced reference it goes on from where
it stands. BeyondMimic aligns the reference with the robot afresh at every step; here that is the time constant 0, and a
speed with which the displacement goes back to nothing keeps the place in the world as a slow wish.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from mimicjax import rotation
from mimicjax.config.settings import FollowSettings
from mimicjax.types import Array, Pose

UP = (0.0, 0.0, 1.0)


class Displacement(NamedTuple):
    """A rigid motion over the ground: turned about the world's z axis, then shifted."""

    shift: Array  # [2] m
    yaw: Any  # [] rad in [-pi, pi]; () where the heading is not followed


class Follow(NamedTuple):
    """Functions of one environment."""

    begin: Callable[[], Displacement]  # -> none, as every episode begins
    # (displacement, the robot, the reference in its place after a control step) -> displacement
    advance: Callable[[Displacement, Pose, Pose], Displacement]


def turn(by: Displacement) -> Array | None:
    """The rotation [4] of a displacement; None where there is none."""
    return None if isinstance(by.yaw, tuple) else rotation.about(jnp.asarray(UP), by.yaw)


def moved(pose: Pose, by: Displacement) -> Pose:
    """Poses [...] displaced as rigid bodies: places and rotations in the world with the velocities; joints stay."""
    quat = turn(by)
    shift = jnp.concatenate([by.shift, jnp.zeros(1)])
    if quat is None:
        return pose._replace(root_pos=pose.root_pos + shift, body_pos=pose.body_pos + shift)
    wide = lambda x: jnp.broadcast_to(quat, (*x.shape[:-1], 4))  # noqa: E731
    turned = lambda x: rotation.rotate(wide(x), x)  # noqa: E731
    return pose._replace(
        root_pos=turned(pose.root_pos) + shift,
        root_quat=rotation.multiply(wide(pose.root_quat), pose.root_quat),
        root_vel=turned(pose.root_vel),
        root_ang_vel=turned(pose.root_ang_vel),
        body_pos=turned(pose.body_pos) + shift,
        body_quat=rotation.multiply(wide(pose.body_quat), pose.body_quat),
    )


def to_origin(pose: Pose) -> Displacement:
    """What brings a pose's root over the origin with its heading along x."""
    yaw = -rotation.heading(pose.root_quat)
    shift = rotation.rotate(rotation.about(jnp.asarray(UP), yaw), pose.root_pos)
    return Displacement(-shift[:2], yaw)


def _wrap(angle: Array) -> Array:
    return angle - 2.0 * jnp.pi * jnp.round(angle / (2.0 * jnp.pi))


def _back(vector: Array, by: float) -> Array:
    """A vector [n] shortened by a length, at most to nothing."""
    length = jnp.sqrt(jnp.sum(vector**2))
    return vector * jnp.maximum(0.0, 1.0 - by / jnp.maximum(length, 1e-9))


def make(settings: FollowSettings, dt: float) -> Follow | None:
    """The functions for control steps of dt s; None where the reference stays in its place.

    Of what is missing between the reference's root and the robot's, over the ground and about the vertical, a step makes up
    the share 1 - exp(-dt / time); then place and heading go back by `pull` and `pull_heading`. So behind a robot that stays
    away the reference comes to rest pull x time before it. The turn is the one that brings the reference's root nearest to
    the robot's (the yaw of their relative rotation, as BeyondMimic's), which upright roots have as the difference of headings.
    """
    if settings.time is None:
        return None
    share = 1.0 if settings.time == 0 else float(-np.expm1(-dt / settings.time))

    def begin() -> Displacement:
        return Displacement(jnp.zeros(2), jnp.float32(0) if settings.heading else ())

    def advance(by: Displacement, robot: Pose, reference: Pose) -> Displacement:
        place, yaw = reference.root_pos[:2], by.yaw
        away = moved(reference, by).root_pos[:2]
        if settings.heading:
            relative = rotation.multiply(robot.root_quat, rotation.conjugate(reference.root_quat))
            wanted = rotation.twist(relative, jnp.asarray(UP))
            yaw = _wrap(yaw + share * _wrap(wanted - yaw))
            yaw = _back(yaw[None], dt * settings.pull_heading)[0] if settings.pull_heading else yaw
        # the reference turns about its root, which moves on from where it was
        gone = away + share * (robot.root_pos[:2] - away) - place
        gone = _back(gone, dt * settings.pull) if settings.pull else gone
        turned = moved(reference, Displacement(jnp.zeros(2), yaw)).root_pos[:2]
        return Displacement(place + gone - turned, yaw)

    return Follow(begin, advance)
