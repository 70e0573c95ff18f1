"""Observation terms. Each maker returns a function of a `View` of one environment to a flat vector (MimicKit 3.1-3.4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mimicjax import rotation
from mimicjax.config.settings import ObservationSettings
from mimicjax.errors import UserError, pick
from mimicjax.robot import symmetry
from mimicjax.types import Pose, Reflection, Robot


class View(NamedTuple):
    """What terms may look at, for one environment."""

    pose: Pose  # the simulated robot
    reference: Pose  # the clip at the same moment
    targets: Pose  # [S, ...] the clip at the coming control steps
    phase: jax.Array  # phase of the clip in [0, 1]


Term = Callable[[View], jax.Array]


def _turn(quat: jax.Array, vectors: jax.Array) -> jax.Array:
    """Rotate all vectors [...,3] by one quaternion [4]."""
    return rotation.rotate(jnp.broadcast_to(quat, (*vectors.shape[:-1], 4)), vectors)


def _away(root_quat: jax.Array) -> jax.Array:
    """The rotation that takes the heading of a root to zero."""
    return rotation.conjugate(rotation.heading_quat(root_quat))


def _joints(pose: Pose, kind: str) -> jax.Array:
    return pose.dof_pos if kind == "angle" else rotation.six(pose.joint_quat).reshape(-1)


def character(robot: Robot, settings: ObservationSettings) -> Term:
    """The robot itself: height, root rotation and velocities, joints, joint velocities, key bodies about the root."""
    local = settings.frame == "heading"

    def term(view: View) -> jax.Array:
        pose = view.pose
        keys = pose.body_pos[robot.key_bodies] - pose.root_pos
        quat, vel, spin = pose.root_quat, pose.root_vel, pose.root_ang_vel
        if local:
            away = _away(quat)
            quat = rotation.multiply(away, quat)
            vel, spin, keys = rotation.rotate(away, vel), rotation.rotate(away, spin), _turn(away, keys)
        height = [pose.root_pos[2:]] if settings.root_height else []
        parts = [*height, rotation.six(quat), vel, spin, _joints(pose, settings.joints), pose.dof_vel, keys.reshape(-1)]
        return jnp.concatenate(parts)

    return term


def phase(robot: Robot, settings: ObservationSettings) -> Term:
    """The clip's phase, with sines then cosines of its octaves."""
    octaves = 2.0 * jnp.pi * 2.0 ** jnp.arange(settings.phase_encoding)

    def term(view: View) -> jax.Array:
        angles = octaves * view.phase
        return jnp.concatenate([view.phase[None], jnp.sin(angles), jnp.cos(angles)])

    return term


def target(robot: Robot, settings: ObservationSettings) -> Term:
    """Reference poses at the coming steps, seen from the simulated root (global) or from the first of them (heading)."""
    local = settings.frame == "heading"

    def one(pose: Pose, origin: jax.Array, away: jax.Array) -> jax.Array:
        place = pose.root_pos - origin
        keys = pose.body_pos[robot.key_bodies] - pose.root_pos
        quat = pose.root_quat
        if local:
            place, keys, quat = rotation.rotate(away, place), _turn(away, keys), rotation.multiply(away, quat)
        height = pose.root_pos[2:] if settings.root_height else pose.root_pos[:0]
        parts = [place[:2], height, rotation.six(quat), _joints(pose, settings.joints), keys.reshape(-1)]
        return jnp.concatenate(parts)

    def term(view: View) -> jax.Array:
        targets = view.targets
        origin = targets.root_pos[0] if local else view.pose.root_pos
        away = _away(targets.root_quat[0])
        return jax.vmap(lambda pose: one(pose, origin, away))(targets).reshape(-1)

    return term


TERMS = {"character": character, "phase": phase, "target": target}


def make(robot: Robot, settings: ObservationSettings) -> Term:
    """All configured terms, one after the other."""
    terms = [pick(TERMS, name, "env.observations.terms")(robot, settings) for name in settings.terms]
    return lambda view: jnp.concatenate([term(view) for term in terms])


def layout(robot: Robot, settings: ObservationSettings) -> tuple[tuple[str, int], ...]:
    """What the vector of `make` holds, in order: (name of the part, how many numbers)."""
    joints = robot.num_dofs if settings.joints == "angle" else 6 * robot.num_joints
    height, keys = int(settings.root_height), 3 * len(robot.key_bodies)
    parts = {
        "character": [
            ("root_height", height), ("root_rotation", 6), ("root_velocity", 3), ("root_angular_velocity", 3),
            ("joint_angles", joints), ("joint_velocities", robot.num_dofs), ("key_bodies", keys),
        ],
        "phase": [("phase", 1 + 2 * settings.phase_encoding)],
        "target": [
            ("target_position", 2 + height), ("target_rotation", 6), ("target_joints", joints), ("target_bodies", keys),
        ] * len(settings.target_steps),
    }  # fmt: skip
    return tuple(part for name in settings.terms for part in parts[name])


def reflection(robot: Robot, settings: ObservationSettings) -> Reflection:
    """Of what `make` gives. Raises UserError for a robot without symmetry, and for a phase, which has no mirror image."""
    if "phase" in settings.terms:
        raise UserError(
            "learn.symmetry: given env.observations.terms with phase, which has no mirror image; target has one"
        )
    alone, turn = symmetry.vectors([0], symmetry.PLACE), symmetry.vectors([0], symmetry.TURN)
    rotations, joints = np.tile(symmetry.PLACE, 2), symmetry.dofs(robot)
    if settings.joints != "angle":
        angles = symmetry.vectors(symmetry.bodies(robot)[1:] - 1, rotations)
    else:
        angles = joints
    keys = symmetry.vectors(symmetry.among(robot, robot.key_bodies, "key_bodies"), symmetry.PLACE)
    place = symmetry.vectors([0], symmetry.PLACE[: 2 + int(settings.root_height)])
    root = symmetry.vectors([0], rotations)
    parts = {
        "root_height": symmetry.same(1), "root_rotation": root, "root_velocity": alone, "root_angular_velocity": turn,
        "joint_angles": angles, "joint_velocities": joints, "key_bodies": keys,
        "target_position": place, "target_rotation": root, "target_joints": angles, "target_bodies": keys,
    }  # fmt: skip
    return symmetry.join([parts[name] for name, size in layout(robot, settings) if size])


def difference(robot: Robot, settings: ObservationSettings) -> Callable[[Pose], jax.Array]:
    """ADD's discriminator observation of one pose, robot or reference: root, joints, all bodies, velocities (3.4)."""
    local = settings.frame == "heading"

    def term(pose: Pose) -> jax.Array:
        place, quat, vel, spin = pose.root_pos, pose.root_quat, pose.root_vel, pose.root_ang_vel
        bodies = pose.body_pos - pose.root_pos
        if local:
            away = _away(quat)
            place = place * jnp.asarray([0.0, 0.0, 1.0])
            quat, bodies = rotation.multiply(away, quat), _turn(away, bodies)
            vel, spin = rotation.rotate(away, vel), rotation.rotate(away, spin)
        joints = rotation.six(pose.joint_quat).reshape(-1)
        return jnp.concatenate([place, rotation.six(quat), joints, bodies.reshape(-1), vel, spin, pose.dof_vel])

    return term
