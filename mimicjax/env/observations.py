"""Observations: each a maker of a `Term`, and a line in TERMS (MimicKit 3.1-3.2)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from mimicjax import rotation
from mimicjax.env.view import Part, Scope, Term, View, join
from mimicjax.errors import UserError, pick
from mimicjax.robot import symmetry
from mimicjax.types import Pose, Reflection, Robot


def turn(quat: jax.Array, vectors: jax.Array) -> jax.Array:
    """Rotate all vectors [...,3] by one quaternion [4]."""
    return rotation.rotate(jnp.broadcast_to(quat, (*vectors.shape[:-1], 4)), vectors)


def away(root_quat: jax.Array) -> jax.Array:
    """The rotation that takes the heading of a root to zero."""
    return rotation.conjugate(rotation.heading_quat(root_quat))


def _scalars(count: int) -> Callable[[Robot], Reflection]:
    return lambda robot: symmetry.same(count)


def _place(robot: Robot) -> Reflection:
    return symmetry.vectors([0], symmetry.PLACE)


def _spin(robot: Robot) -> Reflection:
    return symmetry.vectors([0], symmetry.TURN)


def _six(robot: Robot) -> Reflection:
    return symmetry.vectors([0], np.tile(symmetry.PLACE, 2))


def _key_bodies(robot: Robot) -> Reflection:
    return symmetry.vectors(symmetry.among(robot, robot.key_bodies, "key_bodies"), symmetry.PLACE)


def _joint_rotations(robot: Robot) -> Reflection:
    return symmetry.vectors(symmetry.bodies(robot)[1:] - 1, np.tile(symmetry.PLACE, 2))


def _joints(scope: Scope, name: str) -> tuple[Part, Callable[[Pose], jax.Array]]:
    """Joints as coordinates, or as the first two columns of their rotations."""
    robot = scope.robot
    if scope.settings.observations.joints == "angle":
        return Part(name, robot.num_dofs, symmetry.dofs), lambda pose: pose.dof_pos
    return Part(name, 6 * robot.num_joints, _joint_rotations), lambda pose: rotation.six(pose.joint_quat).reshape(-1)


def character(scope: Scope) -> Term:
    """The robot itself: height, root rotation and velocities, joints, joint velocities, key bodies about the root."""
    robot, settings = scope.robot, scope.settings.observations
    local, height, speed = settings.frame != "global", int(settings.root_height), 3 * int(settings.root_velocity)
    joints, of_joints = _joints(scope, "joint_angles")
    parts = (
        Part("root_height", height, _scalars(height)),
        Part("root_rotation", 6, _six),
        Part("root_velocity", speed, _place),
        Part("root_angular_velocity", 3, _spin),
        joints,
        Part("joint_velocities", robot.num_dofs, symmetry.dofs),
        Part("key_bodies", 3 * len(robot.key_bodies), _key_bodies),
    )

    def see(view: View) -> jax.Array:
        pose = view.pose
        keys = pose.body_pos[robot.key_bodies] - pose.root_pos
        quat, vel, spin = pose.root_quat, pose.root_vel, pose.root_ang_vel
        if local:
            back = away(quat)
            quat = rotation.multiply(back, quat)
            vel, spin, keys = rotation.rotate(back, vel), rotation.rotate(back, spin), turn(back, keys)
        columns = [pose.root_pos[2 : 2 + height], rotation.six(quat), vel[:speed], spin, of_joints(pose), pose.dof_vel]
        return jnp.concatenate([*columns, keys.reshape(-1)])

    return Term(parts, see)


def _no_image(robot: Robot) -> Reflection:
    raise UserError(
        "learn.symmetry: given env.observations.terms with phase, which has no mirror image; target has one"
    )


def phase(scope: Scope) -> Term:
    """The clip's phase, with sines then cosines of its octaves."""
    encoding = scope.settings.observations.phase_encoding
    octaves = 2.0 * jnp.pi * 2.0 ** jnp.arange(encoding)

    def see(view: View) -> jax.Array:
        angles = octaves * view.phase
        return jnp.concatenate([view.phase[None], jnp.sin(angles), jnp.cos(angles)])

    return Term((Part("phase", 1 + 2 * encoding, _no_image),), see)


def target(scope: Scope) -> Term:
    """Reference poses at the coming steps, seen from the simulated root (global, robot) or from the first of them (heading)."""
    robot, settings = scope.robot, scope.settings.observations
    local, height = settings.frame != "global", int(settings.root_height)
    joints, of_joints = _joints(scope, "target_joints")
    parts = (
        Part("target_position", 2 + height, lambda robot: symmetry.vectors([0], symmetry.PLACE[: 2 + height])),
        Part("target_rotation", 6, _six),
        joints,
        Part("target_bodies", 3 * len(robot.key_bodies), _key_bodies),
    )

    def of_step(pose: Pose, origin: jax.Array, back: jax.Array) -> jax.Array:
        place = pose.root_pos - origin
        keys = pose.body_pos[robot.key_bodies] - pose.root_pos
        quat = pose.root_quat
        if local:
            place, keys, quat = rotation.rotate(back, place), turn(back, keys), rotation.multiply(back, quat)
        columns = [place[:2], pose.root_pos[2 : 2 + height], rotation.six(quat), of_joints(pose), keys.reshape(-1)]
        return jnp.concatenate(columns)

    def see(view: View) -> jax.Array:
        targets, seer = view.targets, view.pose
        if settings.frame == "heading":
            seer = jax.tree.map(lambda rows: rows[0], targets)
        return jax.vmap(partial(of_step, origin=seer.root_pos, back=away(seer.root_quat)))(targets).reshape(-1)

    return Term(parts * len(settings.target_steps), see)


def past(scope: Scope) -> Term:
    """What the robot's own sensors told in the control steps before, the oldest first: root rotation and velocities, joints,
    joint velocities. Where axes are not the world's, all are turned by the heading of now, so that turns are seen."""
    robot, settings, speed = (
        scope.robot,
        scope.settings.observations,
        3 * int(scope.settings.observations.root_velocity),
    )
    joints, of_joints = _joints(scope, "joint_angles")
    # named as those of now: a sensor's noise is the same in both
    parts = (
        Part("root_rotation", 6, _six),
        Part("root_velocity", speed, _place),
        Part("root_angular_velocity", 3, _spin),
        joints,
        Part("joint_velocities", robot.num_dofs, symmetry.dofs),
    )

    def of_step(pose: Pose, back: jax.Array) -> jax.Array:
        quat, vel, spin = pose.root_quat, pose.root_vel, pose.root_ang_vel
        if settings.frame != "global":
            quat, vel, spin = rotation.multiply(back, quat), rotation.rotate(back, vel), rotation.rotate(back, spin)
        return jnp.concatenate([rotation.six(quat), vel[:speed], spin, of_joints(pose), pose.dof_vel])

    def see(view: View) -> jax.Array:
        rows = jax.tree.map(lambda x: x[-settings.past_steps - 1 : -1], view.history)  # the last is now
        return jax.vmap(partial(of_step, back=away(view.pose.root_quat)))(rows).reshape(-1)

    return Term(parts * settings.past_steps, see, history=settings.past_steps + 1)


TERMS: dict[str, Callable[[Scope], Term]] = {"character": character, "past": past, "phase": phase, "target": target}


def make(scope: Scope) -> Term:
    """All configured terms as one. Raises UserError for an unknown name."""
    names = scope.settings.observations.terms
    return join([pick(TERMS, name, "env.observations.terms", "term")(scope) for name in names])


def part_names(scope: Scope) -> list[str]:
    """Names of the parts of all terms there are, configured or not: what sensors can have noise of."""
    return list(dict.fromkeys(part.name for make_term in TERMS.values() for part in make_term(scope).parts))


def reflection(robot: Robot, parts: tuple[Part, ...]) -> Reflection:
    """Of what these parts hold. Raises UserError for a robot without symmetry, and for a part without mirror image."""
    return symmetry.join([part.mirror(robot) for part in parts if part.size])
