"""Inverse kinematics of two six-hinge legs: damped least squares with MuJoCo's Jacobians, warm started."""

from __future__ import annotations

import mujoco
import numpy as np

from mimicjax.errors import UserError
from mimicjax.motion.make.biped import LEG, SIDES, Biped

DAMPING, ITERATIONS, TOLERANCE, MISS = 1e-4, 60, 1e-11, 1e-5
GUESS = {"hip_pitch": -0.3, "knee": 0.6, "ankle_pitch": -0.3}  # rad, bends the knees the way they bend


def place_feet(biped: Biped, leg_dofs: np.ndarray, root_pos: np.ndarray, root_quat: np.ndarray, foot_pos: np.ndarray,
               foot_quat: np.ndarray, dofs: np.ndarray) -> np.ndarray:  # fmt: skip
    """Joint angles [F,D] rad: `dofs` with the legs set so that the foot bodies are where they should be.

    leg_dofs [2,6] are the columns of the legs, left and right, in the order of LEG.
    root_pos [F,3] m, root_quat [F,4]; foot_pos [F,2,3] m and foot_quat [F,2,4] of the foot bodies' frames; dofs [F,D].
    Raises UserError if a foot cannot be reached.
    """
    data = mujoco.MjData(biped.model)
    legs = leg_dofs.ravel()
    angles = np.tile([GUESS.get(part, 0.0) for part in LEG], 2)
    result = dofs.copy()
    for frame in range(len(dofs)):
        data.qpos[:3], data.qpos[3:7], data.qpos[7:] = root_pos[frame], root_quat[frame], dofs[frame]
        data.qpos[7 + legs] = angles
        miss = _reach(biped, leg_dofs, data, foot_pos[frame], foot_quat[frame])
        if miss.max() > MISS:
            side = SIDES[int(miss.argmax())]
            raise UserError(
                f"robot {biped.robot.name}: its {side} leg misses the foot by {1000 * miss.max():.1f} mm "
                f"in frame {frame}; ask for less speed, height or depth"
            )
        angles = data.qpos[7 + legs].copy()
        result[frame, legs] = angles
    return result


def _reach(
    biped: Biped, leg_dofs: np.ndarray, data: mujoco.MjData, foot_pos: np.ndarray, foot_quat: np.ndarray
) -> np.ndarray:
    """Moves the legs in data.qpos; what remains of the error, [2] m or rad."""
    model = biped.model
    jacobian, error, spin = np.zeros((6, model.nv)), np.zeros((2, 6)), np.zeros(4)
    for _ in range(ITERATIONS):
        mujoco.mj_kinematics(model, data)
        mujoco.mj_comPos(model, data)
        for leg, body in enumerate(biped.foot_bodies):
            error[leg, :3] = foot_pos[leg] - data.xpos[body]
            mujoco.mju_negQuat(spin, data.xquat[body])
            mujoco.mju_mulQuat(spin, foot_quat[leg], spin.copy())
            mujoco.mju_quat2Vel(error[leg, 3:], spin, 1.0)
        if np.abs(error).max() < TOLERANCE:
            break
        for leg, body in enumerate(biped.foot_bodies):
            mujoco.mj_jacBody(model, data, jacobian[:3], jacobian[3:], body)
            columns = jacobian[:, 6 + leg_dofs[leg]]
            square = columns @ columns.T + DAMPING**2 * np.eye(6)
            step = columns.T @ np.linalg.solve(square, error[leg])
            data.qpos[7 + leg_dofs[leg]] += np.clip(step, -0.3, 0.3)
    return np.abs(error).max(axis=1)
