"""From normalised policy actions to joint position targets."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from mimicjax import rotation
from mimicjax.config.settings import ActionSettings
from mimicjax.errors import UserError
from mimicjax.robot import kinematics
from mimicjax.types import BALL, Pose, Robot

HINGE_MARGIN, BALL_MARGIN = 1.4, 1.2  # how far targets may pass the joint limits, as a factor (MimicKit)


def bounds(robot: Robot, zero_center: bool) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest joint targets [D], rad (MimicKit section 2.1). Raises UserError for a joint without range."""
    low, high = np.empty(robot.num_dofs), np.empty(robot.num_dofs)
    for dof, joint in enumerate(robot.dof_joint):
        lower, upper = robot.dof_range[dof]
        if robot.joint_kinds[joint] == BALL:
            ball_range = robot.dof_range[robot.dof_joint == joint]
            middle, half = 0.0, BALL_MARGIN * np.abs(ball_range).max()
        else:
            middle = 0.0 if zero_center else 0.5 * (lower + upper)
            half = HINGE_MARGIN * max(abs(upper - middle), abs(lower - middle))
        if not (np.isfinite(half) and 0 < half < 1e8):
            raise UserError(
                f"{robot.xml}: joint {robot.dof_names[dof]} has range [{lower}, {upper}]; finite limits are needed"
            )
        low[dof], high[dof] = middle - half, middle + half
    return low.astype(np.float32), high.astype(np.float32)


def offsets(robot: Robot, settings: ActionSettings) -> np.ndarray:
    """How far an output of 1 moves a target, [D] rad; in the unit `effort`, `scale` of what has the servo give its limit."""
    if settings.unit == "effort":
        return (settings.scale * robot.torque_limit / robot.kp).astype(np.float32)
    return np.full(robot.num_dofs, settings.scale, np.float32)


def make(robot: Robot, settings: ActionSettings):
    """The function (action [D], ahead: Pose one control step ahead) -> joint position targets [D], rad.

    Targets of a ball joint are the exponential map of a rotation. An offset from the reference or the start pose turns
    the joint on from there, about the axes of its child: rotations are multiplied, as sums of exponential maps are
    rotations about other axes.
    """
    low, high = bounds(robot, settings.zero_center)
    lag = np.asarray(robot.kd / robot.kp, np.float32)  # s, how far a PD joint trails a moving target
    scale = offsets(robot, settings)

    def absolute(action: jax.Array, ahead: Pose) -> jax.Array:
        return jnp.clip(0.5 * (high + low) + 0.5 * (high - low) * action, low, high)

    balls = robot.joint_kinds[robot.dof_joint] == BALL
    rest = kinematics.pose_of(robot, jnp.asarray(robot.start_qpos), jnp.zeros(robot.nv))

    def offset(base: Pose, lead: jax.Array, action: jax.Array) -> jax.Array:
        turn = jnp.asarray(scale * action)
        target = base.dof_pos + lead + turn
        if balls.any():
            turned = rotation.multiply(base.joint_quat, kinematics.dof_quats(robot, lead))
            turned = rotation.multiply(turned, kinematics.dof_quats(robot, turn))
            target = jnp.where(balls, kinematics.joint_angles(robot, turned), target)
        return jnp.clip(target, low, high)

    def reference(action: jax.Array, ahead: Pose) -> jax.Array:
        return offset(ahead, jnp.asarray(settings.velocity_lead * lag * ahead.dof_vel), action)

    def start(action: jax.Array, ahead: Pose) -> jax.Array:
        return offset(rest, jnp.zeros(robot.num_dofs), action)

    return {"absolute": absolute, "reference": reference, "start": start}[settings.mode]
