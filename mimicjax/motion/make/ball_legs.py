"""Bipeds with a ball at hip and ankle and a hinge at the knee, as the humanoid is: their legs have a closed form.

Such a leg has seven degrees of freedom, one more than a foot needs: the knee bends in the plane of leg and foot.
"""

from __future__ import annotations

import mujoco
import numpy as np

from mimicjax.errors import UserError
from mimicjax.motion.make.biped import SIDES, WAIST, Biped, Posture, inertia_only, sole_points
from mimicjax.motion.make.curves import multiply, quats, rotate
from mimicjax.types import BALL, HINGE, Robot

KINDS = {"hip": BALL, "knee": HINGE, "ankle": BALL, "shoulder": BALL, "elbow": HINGE}
NEEDED = {"abdomen": BALL} | {f"{side}_{part}": kind for side in SIDES for part, kind in KINDS.items()}


def fits(robot: Robot) -> bool:
    """Whether a robot has the joints that `place` drives, legs along -z and arms along y of frames that are not turned."""
    kinds = dict(zip(robot.joint_names, robot.joint_kinds, strict=True))
    if any(kinds.get(name) != kind for name, kind in NEEDED.items()):
        return False
    knees = [robot.joint_names.index(f"{side}_knee") for side in SIDES]
    elbows = [robot.joint_names.index(f"{side}_elbow") for side in SIDES]
    bodies = [joint + 1 for joint in knees + elbows]
    return bool(
        np.all(robot.joint_axis[knees] == [0, 1, 0])
        and np.all(robot.joint_axis[elbows] == [0, 0, 1])
        and np.all(robot.body_pos[bodies[:2], :2] == 0)
        and np.all(np.abs(robot.body_quat[1:, 0]) == 1)
    )


def measure(robot: Robot) -> Biped:
    """Measures a robot that `fits`. Raises UserError if its left foot has no shape that touches the ground."""
    model, data = inertia_only(robot)
    feet = [int(model.joint(f"{side}_ankle").bodyid[0]) for side in SIDES]
    hips = np.array([data.joint(f"{side}_hip").xanchor for side in SIDES])
    sole, points = sole_points(robot, model.body(feet[0]).name)
    middle = points[:, 1].mean()
    return Biped(
        robot=robot,
        model=model,
        hips=hips,
        foot_bodies=np.array(feet),
        leg_length=float(hips[0, 2] - data.xpos[feet[0], 2]),
        ankle=np.zeros(3),
        sole=sole,
        heel=np.array([points[:, 0].min(), middle, points[:, 2].min()]),
        toe=np.array([points[:, 0].max(), middle, points[:, 2].min()]),
        size=1.0,  # its clips are made with the plans' own lengths and speeds
        point=float(robot.dof_range[robot.dof_names.index("left_ankle_y"), 1]),
        waist=True,
        place=place,
    )


def place(biped: Biped, root_pos: np.ndarray, root_quat: np.ndarray, foot_pos: np.ndarray, foot_quat: np.ndarray,
          posture: Posture) -> np.ndarray:  # fmt: skip
    """qpos [F,nq]: the posture's angles, and legs such that the feet are where they should be (Biped.place).

    Raises UserError if a foot cannot be reached.
    """
    model, count = biped.model, len(root_pos)
    angle = {part: np.broadcast_to(value, count) for part, value in posture.items()}
    zero = np.zeros(count)
    yaw, roll, pitch = (angle.get(part, zero) for part in WAIST)
    joints = {"abdomen": quats(yaw, pitch, roll)}
    back = root_quat * [1.0, -1.0, -1.0, -1.0]
    for leg, side in enumerate(SIDES):
        hang = -0.5 * np.pi if side == "left" else 0.5 * np.pi  # at zero the arms point sideways
        joints[f"{side}_shoulder"] = quats(zero, angle[f"{side}_shoulder_pitch"], hang + angle[f"{side}_shoulder_roll"])
        joints[f"{side}_elbow"] = np.sign(hang) * (0.5 * np.pi - angle[f"{side}_elbow"])
        gap = rotate(back, foot_pos[:, leg] - root_pos) - biped.hips[leg]
        joints |= _leg(biped, side, gap, multiply(back, foot_quat[:, leg]))
    qpos = np.tile(model.qpos0, (count, 1))
    qpos[:, :3], qpos[:, 3:7] = root_pos, root_quat
    for name, values in joints.items():
        at = model.joint(name).qposadr[0]
        qpos[:, at : at + (4 if values.ndim == 2 else 1)] = values.reshape(count, -1)
    return qpos


def _leg(biped: Biped, side: str, gap: np.ndarray, foot: np.ndarray) -> dict[str, np.ndarray]:
    """Joints of a leg: gap [F,3] m from hip to ankle and rotation [F,4] of the foot, both in the root's frame."""
    model, zero = biped.model, np.zeros(len(gap))
    thigh, shin = (abs(float(model.body(f"{side}_{part}").pos[2])) for part in ("shin", "foot"))
    reach = np.linalg.norm(gap, axis=1)
    if reach.max() >= thigh + shin:
        raise UserError(
            f"robot {biped.robot.name}: its {side} leg misses the foot by {1000 * (reach.max() - thigh - shin):.1f} mm "
            f"in frame {int(reach.argmax())}; ask for less speed, height or depth"
        )
    at_hip = np.arccos((thigh**2 + reach**2 - shin**2) / (2.0 * thigh * reach))
    at_knee = np.pi - np.arccos((thigh**2 + shin**2 - reach**2) / (2.0 * thigh * shin))
    up = -gap / reach[:, None]
    ahead = rotate(foot, np.array([1.0, 0.0, 0.0])) * [1.0, 1.0, 0.0]
    ahead -= np.sum(ahead * up, axis=1, keepdims=True) * up
    ahead /= np.linalg.norm(ahead, axis=1, keepdims=True)
    turned = np.zeros((len(gap), 4))
    for quat, axes in zip(turned, np.stack([ahead, np.cross(up, ahead), up], axis=-1), strict=True):
        mujoco.mju_mat2Quat(quat, axes.ravel())
    hip = multiply(turned, quats(zero, -at_hip, zero))
    of_shin = multiply(hip, quats(zero, at_knee, zero))
    ankle = multiply(of_shin * [1.0, -1.0, -1.0, -1.0], foot)
    return {f"{side}_hip": hip, f"{side}_knee": at_knee, f"{side}_ankle": ankle}
