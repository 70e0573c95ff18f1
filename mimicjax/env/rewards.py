"""Reward terms: weight x exp(-scale x error), summed (DeepMimic with MimicKit's errors, reference 3.2).

Each is a maker of an error, a function of a `View` to a number [], and a line in ERRORS.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from mimicjax import rotation
from mimicjax.config.settings import EnvSettings
from mimicjax.env.observations import away, turn
from mimicjax.env.view import Scope, View, tracks_root
from mimicjax.errors import UserError, pick
from mimicjax.robot import kinematics
from mimicjax.types import Pose

Error = Callable[[View], jax.Array]


def _axes(scope: Scope) -> Callable[[Pose, jax.Array], jax.Array]:
    """Vectors [...,3] in world axes, or where the root is not tracked in those of the pose's own heading."""
    if tracks_root(scope.settings):
        return lambda pose, vectors: vectors
    return lambda pose, vectors: turn(away(pose.root_quat), vectors)


def pose(scope: Scope) -> Error:
    """Sum over joints of weight x squared angle, rad^2."""
    weights = jnp.asarray(scope.robot.joint_error_weights, jnp.float32)
    return lambda view: jnp.sum(weights * rotation.angle(view.pose.joint_quat, view.reference.joint_quat) ** 2)


def vel(scope: Scope) -> Error:
    """Sum over degrees of freedom of joint weight x squared velocity difference, (rad/s)^2."""
    robot = scope.robot
    weights = jnp.asarray(np.asarray(robot.joint_error_weights)[robot.dof_joint], jnp.float32)
    return lambda view: jnp.sum(weights * (view.pose.dof_vel - view.reference.dof_vel) ** 2)


def root_pose(scope: Scope) -> Error:
    """Squared distance + 0.1 x squared angle of the root; xy only if the root is tracked, z only if heights are seen."""
    track = tracks_root(scope.settings)
    parts = jnp.asarray([track, track, scope.settings.observations.root_height], jnp.float32)

    def error(view: View) -> jax.Array:
        robot, clip = view.pose, view.reference
        quats = robot.root_quat, clip.root_quat
        if not track:
            quats = rotation.multiply(away(quats[0]), quats[0]), rotation.multiply(away(quats[1]), quats[1])
        return jnp.sum(parts * (clip.root_pos - robot.root_pos) ** 2) + 0.1 * rotation.angle(*quats) ** 2

    return error


def root_vel(scope: Scope) -> Error:
    """Squared difference of velocity + 0.1 x of angular velocity of the root."""
    seen = _axes(scope)

    def error(view: View) -> jax.Array:
        robot, clip = view.pose, view.reference
        linear = seen(clip, clip.root_vel) - seen(robot, robot.root_vel)
        angular = seen(clip, clip.root_ang_vel) - seen(robot, robot.root_ang_vel)
        return jnp.sum(linear**2) + 0.1 * jnp.sum(angular**2)

    return error


def key_pos(scope: Scope) -> Error:
    """Sum over key bodies of the squared distance about the root, m^2."""
    seen, keys = _axes(scope), scope.robot.key_bodies

    def error(view: View) -> jax.Array:
        robot, clip = (seen(p, p.body_pos[keys] - p.root_pos) for p in (view.pose, view.reference))
        return jnp.sum((robot - clip) ** 2)

    return error


def root_pos(scope: Scope) -> Error:
    """Squared distance of the root, m^2."""
    return lambda view: jnp.sum((view.reference.root_pos - view.pose.root_pos) ** 2)


def getup(scope: Scope) -> Error:
    """How far from upright at the reference's height: 0 there, 1 to 3 on the ground; no joint angle or place counts.

    ((root's height - reference's) / h)^2 + the same of the body that is highest in the start pose + |g - reference's g|^2 / 4,
    where h are the heights in the start pose and g is the unit vector of gravity in the root's own axes.
    """
    robot = scope.robot
    with jax.ensure_compile_time_eval():
        start = kinematics.pose_of(robot, jnp.asarray(robot.start_qpos, jnp.float32), jnp.zeros(robot.nv))
        heights = np.asarray(start.body_pos[:, 2])
    bodies = np.asarray([0, int(np.argmax(heights))])
    scale = 1.0 / heights[bodies]

    def gravity(pose: Pose) -> jax.Array:
        return rotation.rotate(rotation.conjugate(pose.root_quat), jnp.asarray([0.0, 0.0, -1.0]))

    def error(view: View) -> jax.Array:
        lower = scale * (view.pose.body_pos[bodies, 2] - view.reference.body_pos[bodies, 2])
        return jnp.sum(lower**2) + 0.25 * jnp.sum((gravity(view.pose) - gravity(view.reference)) ** 2)

    return error


ERRORS: dict[str, Callable[[Scope], Error]] = {
    "pose": pose, "vel": vel, "root_pose": root_pose, "root_vel": root_vel, "key_pos": key_pos, "root_pos": root_pos,
    "getup": getup,
}  # fmt: skip


def any_of(settings: EnvSettings) -> bool:
    """Whether the environment has a reward, of terms or of a task, beside those that are learned: else returns say nothing."""
    return settings.task is not None or any(term.weight for term in settings.rewards.values())


def make(scope: Scope) -> Callable[[View], tuple[jax.Array, dict[str, jax.Array]]]:
    """The function of a view to (reward, each term's exp(-scale x error)). Raises UserError for an unknown term.

    Gated, a robot that lies in the pose of the clip is not paid for it: all terms count by the value of `getup`.
    """
    terms, gated = scope.settings.rewards, scope.settings.getup.gated
    if gated and "getup" not in terms:
        raise UserError(
            "env.getup.gated is true, and env.rewards has no term getup whose value others are multiplied by"
        )
    errors = {name: pick(ERRORS, name, "env.rewards", "term")(scope) for name in terms}

    def reward(view: View) -> tuple[jax.Array, dict[str, jax.Array]]:
        values = {name: jnp.exp(-term.scale * errors[name](view)) for name, term in terms.items()}
        if gated:
            values = {name: value if name == "getup" else value * values["getup"] for name, value in values.items()}
        return sum((terms[name].weight * value for name, value in values.items()), jnp.float32(0)), values

    return reward
