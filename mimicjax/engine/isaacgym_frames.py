"""States as Isaac Gym's tensors have them, from MuJoCo's coordinates and back. Quaternions there are w last.

The root's velocities are in the world's frame, the linear one at the centre of mass, as PhysX gives it; MuJoCo's linear one
is at the origin of the body and its angular one in the body's frame. Joints of three degrees of freedom have exponential
maps and, like MuJoCo's, velocities in the child's frame.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from mimicjax.engine.scene import Scene
from mimicjax.types import BALL, Robot

W_LAST, W_FIRST = [1, 2, 3, 0], [3, 0, 1, 2]  # from one order of a quaternion to the other


def root_states(scene: Scene, qpos: np.ndarray, qvel: np.ndarray) -> np.ndarray:
    """[R,13] position m, quaternion x y z w, linear m/s and angular velocity rad/s, of qpos [R,nq] and qvel [R,nv]."""
    turn = _rotation(qpos[:, 3:7])
    spin = turn.apply(qvel[:, 3:6])
    speed = qvel[:, :3] + np.cross(spin, turn.apply(_centre(scene)))
    return np.concatenate([qpos[:, :3], turn.as_quat(), speed, spin], axis=1).astype(np.float32)


def dof_states(robot: Robot, qpos: np.ndarray, qvel: np.ndarray) -> np.ndarray:
    """[R,D,2] positions rad and velocities rad/s of the joints, in the robot's order."""
    places, columns = 7, []
    for kind in robot.joint_kinds[robot.joint_kinds > 0]:
        width = 4 if kind == BALL else 1
        values = qpos[:, places : places + width]
        columns.append(_rotation(values).as_rotvec() if kind == BALL else values)
        places += width
    return np.stack([np.concatenate(columns, axis=1), qvel[:, 6:]], axis=-1).astype(np.float32)


def coordinates(scene: Scene, roots: np.ndarray, dofs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """qpos [R,nq], qvel [R,nv] of root states [R,13] and joints' states [R,D,2] in the robot's order.

    What is not a rotation gives NaN.
    """
    fine = np.linalg.norm(roots[:, 3:7], axis=1) > 0.5  # not of NaN either
    quats = np.where(fine[:, None], roots[:, 3:7], [0.0, 0.0, 0.0, 1.0])
    turn = Rotation.from_quat(quats)
    spin = roots[:, 10:13]
    speed = roots[:, 7:10] - np.cross(spin, turn.apply(_centre(scene)))
    columns = [roots[:, :3], turn.as_quat()[:, W_FIRST]]
    robot = scene.robot
    for joint in np.flatnonzero(robot.joint_kinds > 0):
        first, kind = robot.joint_dof[joint], robot.joint_kinds[joint]
        values = dofs[:, first : first + kind, 0]
        if kind == BALL:
            values = Rotation.from_rotvec(np.nan_to_num(values)).as_quat()[:, W_FIRST]
        columns.append(values)
    qpos = np.concatenate(columns, axis=1)
    qpos[~fine | ~np.isfinite(dofs).all(axis=(1, 2))] = np.nan
    return qpos, np.concatenate([speed, turn.inv().apply(spin), dofs[..., 1]], axis=1)


def _rotation(quats: np.ndarray) -> Rotation:
    """Of quaternions [R,4] w first; no rotation where all four are 0, as MuJoCo takes them."""
    none = ~quats.any(axis=1, keepdims=True)
    return Rotation.from_quat(np.where(none, [1.0, 0.0, 0.0, 0.0], quats)[:, W_LAST])


def _centre(scene: Scene) -> np.ndarray:
    """[3] m, the root's centre of mass in its own frame."""
    return scene.model.body_ipos[scene.model.body(scene.robot.body_names[0]).id]
