"""Motions that physics allows: the root moves such that the ground pushes where a foot is.

The ground's push acts at one point (the zero moment point, ZMP: Vukobratovic and Borovac 2004). Inverse dynamics of
the whole robot says where; the root's sway is corrected by the error, filtered by the linear inverted pendulum
(Kajita et al. 2003), whose periodic solution is exact in Fourier space. Motions begin as they end, so all are periodic.
"""

from __future__ import annotations

from typing import NamedTuple

import mujoco
import numpy as np

from mimicjax.motion.make.biped import Biped, Posture
from mimicjax.motion.make.curves import rotate

STRETCH = 0.99  # longest leg used, share of the straight one: the knee stays bent by 16 degrees
SWEEPS = 8


class MotionPlan(NamedTuple):
    """One period of a motion of a biped, F frames; frame F would be frame 0 plus `travel`."""

    fps: float
    root_pos: np.ndarray  # [F,3] m, x and y a first guess, z up to a constant
    root_quat: np.ndarray  # [F,4]
    foot_pos: np.ndarray  # [F,2,3] m, of the foot bodies' frames, left and right
    foot_quat: np.ndarray  # [F,2,4]
    posture: Posture  # of waist and arms
    support: np.ndarray  # [F,2] m, where the ground should push, if it always does
    travel: np.ndarray  # [3] m per period
    # [F,3] m, z up to a constant: how the centre of mass moves, for motions with flight; then support is not used
    com: np.ndarray | None = None


def solve(biped: Biped, plan: MotionPlan) -> np.ndarray:
    """The motion [F,nq] in MuJoCo's order (m, quaternions, rad): feet as planned, balanced on `support`.

    Where the plan says how the centre of mass moves, the root moves such that it does.
    """
    root = lower(biped, plan, plan.root_pos)
    for _ in range(SWEEPS):
        if plan.com is not None:
            root = lower(biped, plan, root + plan.com - centres(biped.model, _qpos(biped, plan, root)))
            continue
        qpos = _qpos(biped, plan, root)
        push, height = pushes(biped.model, qpos, plan.fps, plan.travel)
        shift = _sway(plan.support - push[:, :2], height, plan.fps)
        root = lower(biped, plan, root + np.pad(shift, ((0, 0), (0, 1))))
    return _qpos(biped, plan, root)


def lower(biped: Biped, plan: MotionPlan, root_pos: np.ndarray) -> np.ndarray:
    """root_pos [F,3] m moved up or down as a whole, so that the legs are as straight as STRETCH allows and no more."""
    room, longest = [], STRETCH * biped.leg_length
    for leg in range(2):
        ankle = plan.foot_pos[:, leg] + rotate(plan.foot_quat[:, leg], biped.ankle)
        gap = ankle - root_pos - rotate(plan.root_quat, biped.hips[leg])
        flat = np.minimum(np.linalg.norm(gap[:, :2], axis=1), longest)
        room.append(gap[:, 2] + np.sqrt(longest**2 - flat**2))
    return root_pos + [0.0, 0.0, np.min(room)]


def pushes(model: mujoco.MjModel, qpos: np.ndarray, fps: float, travel: np.ndarray) -> tuple[np.ndarray, float]:
    """What the ground does to the robot, [F,6]: point x and y (m), force (N), moment about the vertical there (N m).

    Also the centre of mass's mean height above the ground (m). qpos [F,nq] is one period; z of the ground is 0.
    """
    data = mujoco.MjData(model)
    count = len(qpos)
    result, heights = np.zeros((count, 6)), np.zeros(count)
    speeds = np.zeros((count, model.nv))  # between a frame and the next
    following = np.roll(qpos, -1, axis=0)
    following[-1, :3] += travel
    for frame in range(count):
        mujoco.mj_differentiatePos(model, speeds[frame], 1.0 / fps, qpos[frame], following[frame])
    before = np.roll(speeds, 1, axis=0)
    for frame in range(count):
        data.qpos[:] = qpos[frame]
        data.qvel[:] = 0.5 * (speeds[frame] + before[frame])
        data.qacc[:] = fps * (speeds[frame] - before[frame])
        mujoco.mj_inverse(model, data)
        force = data.qfrc_inverse[:3]
        moment = data.xmat[1].reshape(3, 3) @ data.qfrc_inverse[3:6]
        x, y, z = data.qpos[:3]
        away = np.array([-moment[1] - z * force[0], moment[0] - z * force[1]]) / force[2]
        yaw = moment[2] - away[0] * force[1] + away[1] * force[0]
        result[frame] = [x + away[0], y + away[1], *force, yaw]
        heights[frame] = data.subtree_com[1, 2]
    return result, float(heights.mean())


def centres(model: mujoco.MjModel, qpos: np.ndarray) -> np.ndarray:
    """The centre of mass [F,3] m in the world of the motion qpos [F,nq]."""
    data, result = mujoco.MjData(model), np.zeros((len(qpos), 3))
    for frame in range(len(qpos)):
        data.qpos[:] = qpos[frame]
        mujoco.mj_kinematics(model, data)
        mujoco.mj_comPos(model, data)
        result[frame] = data.subtree_com[1]
    return result


def _qpos(biped: Biped, plan: MotionPlan, root_pos: np.ndarray) -> np.ndarray:
    return biped.place(biped, root_pos, plan.root_quat, plan.foot_pos, plan.foot_quat, plan.posture)


def _sway(push: np.ndarray, height: float, fps: float) -> np.ndarray:
    """How a point mass at `height` m moves, [F,2] m, if the ground pushes at `push` [F,2] m: c - (h/g) c'' = p."""
    omega = 2.0 * np.pi * fps * np.fft.rfftfreq(len(push))
    spectrum = np.fft.rfft(push, axis=0) / (1.0 + height / 9.81 * omega[:, None] ** 2)
    return np.fft.irfft(spectrum, n=len(push), axis=0)
