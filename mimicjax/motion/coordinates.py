"""A clip in MuJoCo's coordinates and bodies in the world, on the host in double precision."""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp
import mujoco
import numpy as np

from mimicjax.motion._numpy_rotation import exp_to_quat
from mimicjax.robot import mjcf
from mimicjax.robot.kinematics import plane
from mimicjax.types import BALL, FIXED, Clip, Ground, Robot

RATE = 30.0  # frames per second at which clips are searched for contacts: enough for any that lasts


def qpos_of(robot: Robot, clip: Clip) -> np.ndarray:
    """The clip as [F,nq]; its columns are the robot's degrees of freedom (read_clip with robot sees to that)."""
    columns = [clip.root_pos, clip.root_quat]
    for kind, first in zip(robot.joint_kinds, robot.joint_dof, strict=True):
        if kind != FIXED:
            angles = clip.dof_pos[:, first : first + kind]
            columns.append(exp_to_quat(angles) if kind == BALL else angles)
    return np.concatenate(columns, axis=1)


def dof_pos_of(robot: Robot, qpos: np.ndarray) -> np.ndarray:
    """The coordinates [F,D] rad of a clip with MuJoCo's coordinates [F,nq]: angles of hinges, exponential maps of balls.

    The inverse of `qpos_of`.
    """
    columns, at = [], 7
    for kind in robot.joint_kinds[robot.joint_kinds != FIXED]:
        if kind == BALL:
            turn = np.zeros((len(qpos), 3))
            for row, quat in zip(turn, qpos[:, at : at + 4], strict=True):
                mujoco.mju_quat2Vel(row, np.ascontiguousarray(quat, float), 1.0)
            columns.append(turn)
        else:
            columns.append(qpos[:, at : at + 1])
        at += 4 if kind == BALL else 1
    return np.concatenate(columns, axis=1)


def ground_points(robot: Robot, qpos: np.ndarray) -> np.ndarray:
    """The lowest points of what may touch the ground, [F,P,3] m in the world, in the order of robot.ground_body."""
    model = mjcf.model(robot.xml)
    data = mujoco.MjData(model)
    ids = np.array([model.body(robot.body_names[body]).id for body in robot.ground_body])
    result = np.zeros((len(qpos), len(ids), 3))
    for frame in range(len(qpos)):
        data.qpos[: robot.nq] = qpos[frame]
        mujoco.mj_kinematics(model, data)
        result[frame] = data.xpos[ids] + np.einsum("pij,pj->pi", data.xmat[ids].reshape(-1, 3, 3), robot.ground_points)
    result[..., 2] -= robot.ground_radius
    return result


def touching(robot: Robot, clips: Sequence[Clip], height: float, ground: Ground = plane) -> np.ndarray:
    """The bodies [N] bool that may not touch the ground, and that some clip has at most `height` m above it."""
    near = np.zeros(robot.num_bodies, bool)
    for clip in clips:
        every = max(1, round(clip.fps / RATE))
        points = ground_points(robot, qpos_of(robot, clip)[::every])
        lowest = (points[..., 2] - np.asarray(ground(jnp.asarray(points[..., :2])))).min(axis=0, initial=np.inf)
        near[robot.ground_body[lowest <= height]] = True
    near[robot.contact_bodies] = False
    return near
