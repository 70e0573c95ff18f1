"""Reward terms: weight x exp(-scale x error), summed (DeepMimic with MimicKit's errors, reference 3.2)."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from mimicjax import rotation
from mimicjax.config.settings import EnvSettings, ObservationSettings
from mimicjax.errors import pick
from mimicjax.types import Pose, Robot

Error = Callable[[Pose, Pose], jax.Array]  # (pose, reference) -> scalar


def tracks_root(settings: ObservationSettings) -> bool:
    """Whether errors are taken in world axes with the root's place: the policy must see where the reference is."""
    return settings.frame == "global" and "target" in settings.terms


def _own_heading(pose: Pose, vectors: jax.Array) -> jax.Array:
    away = rotation.conjugate(rotation.heading_quat(pose.root_quat))
    return rotation.rotate(jnp.broadcast_to(away, (*vectors.shape[:-1], 4)), vectors)


def pose_error(robot: Robot, settings: ObservationSettings) -> Error:
    """Sum over joints of weight x squared angle, rad^2."""
    weights = jnp.asarray(robot.joint_error_weights, jnp.float32)
    return lambda pose, ref: jnp.sum(weights * rotation.angle(pose.joint_quat, ref.joint_quat) ** 2)


def vel_error(robot: Robot, settings: ObservationSettings) -> Error:
    """Sum over degrees of freedom of joint weight x squared velocity difference, (rad/s)^2."""
    weights = jnp.asarray(np.asarray(robot.joint_error_weights)[robot.dof_joint], jnp.float32)
    return lambda pose, ref: jnp.sum(weights * (pose.dof_vel - ref.dof_vel) ** 2)


def root_pose_error(robot: Robot, settings: ObservationSettings) -> Error:
    """Squared distance + 0.1 x squared angle of the root; xy only if the root is tracked, z only if heights are seen."""
    track = tracks_root(settings)
    parts = jnp.asarray([track, track, settings.root_height], jnp.float32)

    def error(pose: Pose, ref: Pose) -> jax.Array:
        own, its = pose.root_quat, ref.root_quat
        if not track:
            own = rotation.multiply(rotation.conjugate(rotation.heading_quat(own)), own)
            its = rotation.multiply(rotation.conjugate(rotation.heading_quat(its)), its)
        return jnp.sum(parts * (ref.root_pos - pose.root_pos) ** 2) + 0.1 * rotation.angle(own, its) ** 2

    return error


def root_vel_error(robot: Robot, settings: ObservationSettings) -> Error:
    """Squared difference of velocity + 0.1 x of angular velocity of the root."""
    turn = (lambda pose, v: v) if tracks_root(settings) else _own_heading

    def error(pose: Pose, ref: Pose) -> jax.Array:
        linear = turn(ref, ref.root_vel) - turn(pose, pose.root_vel)
        angular = turn(ref, ref.root_ang_vel) - turn(pose, pose.root_ang_vel)
        return jnp.sum(linear**2) + 0.1 * jnp.sum(angular**2)

    return error


def key_pos_error(robot: Robot, settings: ObservationSettings) -> Error:
    """Sum over key bodies of the squared distance about the root, m^2."""
    turn = (lambda pose, v: v) if tracks_root(settings) else _own_heading

    def error(pose: Pose, ref: Pose) -> jax.Array:
        own = turn(pose, pose.body_pos[robot.key_bodies] - pose.root_pos)
        its = turn(ref, ref.body_pos[robot.key_bodies] - ref.root_pos)
        return jnp.sum((own - its) ** 2)

    return error


def root_pos_error(robot: Robot, settings: ObservationSettings) -> Error:
    """Squared distance of the root, m^2."""
    return lambda pose, ref: jnp.sum((ref.root_pos - pose.root_pos) ** 2)


ERRORS = {
    "pose": pose_error, "vel": vel_error, "root_pose": root_pose_error, "root_vel": root_vel_error,
    "key_pos": key_pos_error, "root_pos": root_pos_error,
}  # fmt: skip


def make(robot: Robot, settings: EnvSettings) -> Callable[[Pose, Pose], tuple[jax.Array, dict[str, jax.Array]]]:
    """The function (pose, reference) -> (reward, each term's exp(-scale x error))."""
    makers = {name: pick(ERRORS, name, "env.rewards") for name in settings.rewards}
    terms = {name: (term, makers[name](robot, settings.observations)) for name, term in settings.rewards.items()}

    def reward(pose: Pose, ref: Pose) -> tuple[jax.Array, dict[str, jax.Array]]:
        values = {name: jnp.exp(-term.scale * error(pose, ref)) for name, (term, error) in terms.items()}
        total = sum((terms[name][0].weight * value for name, value in values.items()), jnp.float32(0))
        return total, values

    return reward
