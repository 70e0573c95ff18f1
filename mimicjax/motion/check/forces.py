"""Which torques a motion needs, by inverse dynamics, with the best pushes of the ground that its contacts allow.

MuJoCo gives the generalised forces of the motion without contacts. The root has no motor, so its six must come from the
ground: pushes within friction cones at the points that are near it are chosen by non-negative least squares such that
the root's residual is least and joints are little loaded.
"""

from __future__ import annotations

import mujoco
import numpy as np
from scipy.optimize import nnls

from mimicjax.types import Robot

GRAVITY = 9.81
FRICTION = 0.8  # of the ground, for the cones: rubber soles on a floor
TOUCH = 0.02  # m above the clip's ground: what is nearer may be pushed
ARM = 0.3  # m: a missing moment of the weight times this counts as much as a missing force of the weight
FIRM = 10.0  # how much more a missing share of the weight counts than a joint's share of its limit
MOST = 5  # points of a body that are pushed: the outermost and the lowest


def needed(
    robot: Robot, model: mujoco.MjModel, qpos: np.ndarray, speed: np.ndarray, acceleration: np.ndarray,
    points: np.ndarray, touching: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """(load [S], joint [S], missing [S]) as in measure.Measures, for states [S,nq], [S,nv], [S,nv].

    points [S,P,3] m in the world (robot.ground_body); touching [S,P] bool: those that the ground may push.
    """
    ids = np.array([model.body(robot.body_names[body]).id for body in robot.ground_body])
    limit = np.where(robot.torque_limit > 0.0, robot.torque_limit, np.inf).astype(float)
    weight = robot.mass * GRAVITY
    scale = np.concatenate([np.full(3, FIRM / weight), np.full(3, FIRM / (weight * ARM)), 1.0 / limit])
    free = _inverse(model, qpos, speed, acceleration)
    data = mujoco.MjData(model)
    load, joint, missing = (np.zeros(len(qpos)) for _ in range(3))
    for frame in range(len(qpos)):
        near = _outermost(points[frame], robot.ground_body, touching[frame])
        rest = free[frame, : 6 + robot.num_dofs] * scale
        if len(near):
            data.qpos[: robot.nq] = qpos[frame]
            mujoco.mj_kinematics(model, data)
            mujoco.mj_comPos(model, data)
            pushes = _pushes(model, data, points[frame, near], ids[near])[: len(scale)] * scale[:, None]
            rest = rest - pushes @ nnls(pushes, rest)[0]
        share = np.abs(rest[6:])
        load[frame], joint[frame] = share.max(), share.argmax()
        missing[frame] = np.linalg.norm(rest[:6]) / FIRM
    return load, joint.astype(int), missing


def _inverse(model: mujoco.MjModel, qpos: np.ndarray, speed: np.ndarray, acceleration: np.ndarray) -> np.ndarray:
    """Generalised forces [S,nv] of the motion if nothing touches anything, and no spring or motor acts."""
    off, data = mujoco.mjtDisableBit, mujoco.MjData(model)
    flags = model.opt.disableflags
    model.opt.disableflags = (
        flags | off.mjDSBL_CONSTRAINT | off.mjDSBL_SPRING | off.mjDSBL_DAMPER | off.mjDSBL_ACTUATION
    )
    result = np.zeros((len(qpos), model.nv))
    for row, place, velocity, change in zip(result, qpos, speed, acceleration, strict=True):
        data.qpos[: len(place)], data.qvel[:], data.qacc[:] = place, velocity, change
        mujoco.mj_inverse(model, data)
        row[:] = data.qfrc_inverse
    model.opt.disableflags = flags
    return result


def _outermost(points: np.ndarray, bodies: np.ndarray, touching: np.ndarray) -> np.ndarray:
    """Indices of the points [P,3] that touch [P], of each body the lowest and those farthest to four sides."""
    low = np.flatnonzero(touching)
    chosen: list[int] = []
    for body in np.unique(bodies[low]):
        mine = low[bodies[low] == body]
        x, y, z = points[mine].T
        ends = (x.argmin(), x.argmax(), y.argmin(), y.argmax(), z.argmin()) if len(mine) > MOST else range(len(mine))
        chosen += sorted({int(mine[i]) for i in ends})
    return np.array(chosen, int)


def _pushes(model: mujoco.MjModel, data: mujoco.MjData, points: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Generalised forces [nv, 4 K] of unit pushes along the edges of the friction cones at K points [K,3] of bodies."""
    edges = np.array([[FRICTION, 0, 1], [-FRICTION, 0, 1], [0, FRICTION, 1], [0, -FRICTION, 1]], float)
    jacobian = np.zeros((3, model.nv))
    columns = []
    for point, body in zip(points, ids, strict=True):
        mujoco.mj_jac(model, data, jacobian, None, point, body)
        columns.append(jacobian.T @ edges.T)
    return np.concatenate(columns, axis=1)
