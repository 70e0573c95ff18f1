"""What makers need to know of a robot that walks on two flat feet, measured on its MuJoCo model."""

from __future__ import annotations

from typing import NamedTuple

import mujoco
import numpy as np

from mimicjax.errors import UserError
from mimicjax.types import BALL, Robot

LEG = ("hip_pitch", "hip_roll", "hip_yaw", "knee", "ankle_pitch", "ankle_roll")
ARM = ("shoulder_pitch", "shoulder_roll", "elbow")
WAIST = ("waist_yaw_joint", "waist_roll_joint", "waist_pitch_joint")
SIDES = ("left", "right")
NEEDED = (*WAIST, *(f"{side}_{part}_joint" for side in SIDES for part in (*LEG, *ARM)))


class Biped(NamedTuple):
    """A robot with two legs of six hinges; index 0 is left, 1 is right. Lengths in m."""

    robot: Robot
    model: mujoco.MjModel  # no contacts, limits, friction or passive forces: only the robot's inertia
    hips: np.ndarray  # [2,3] centre of the hip, in the root's frame, all joints zero
    leg_dofs: np.ndarray  # [2,6] in the order of LEG
    foot_bodies: np.ndarray  # [2] body ids of the model
    leg_length: float  # hip to ankle pitch axis, straight
    ankle: np.ndarray  # [3] centre of the ankle pitch axis, in the foot body's frame
    sole: float  # height of the foot body's origin above the ground, sole flat
    heel: np.ndarray  # [3] rearmost rounding centre of the sole, in the foot body's frame
    toe: np.ndarray  # [3] foremost

    def dof(self, name: str) -> int:
        return self.robot.dof_names.index(name)


def measure(robot: Robot) -> Biped:
    """Measures a robot; UserError if it lacks a joint that made motions drive."""
    missing = [name for name in NEEDED if name not in robot.dof_names]
    if missing or np.any(robot.joint_kinds == BALL):
        why = f"it has no joint {', '.join(missing[:3])}" if missing else "it has ball joints"
        raise UserError(f"robot {robot.name}: makers need a biped with the hinge joints of the G1; {why}")
    model = mujoco.MjModel.from_xml_path(str(robot.xml))
    off = mujoco.mjtDisableBit
    model.opt.disableflags |= off.mjDSBL_CONSTRAINT | off.mjDSBL_SPRING | off.mjDSBL_DAMPER | off.mjDSBL_ACTUATION
    data = mujoco.MjData(model)
    data.qpos[:] = 0.0
    data.qpos[3] = 1.0
    mujoco.mj_kinematics(model, data)
    feet = [model.joint(f"{side}_ankle_roll_joint").bodyid[0] for side in SIDES]
    rolls, pitches = ([data.joint(f"{side}_{part}_joint").xanchor for side in SIDES] for part in LEG[1::-1])
    hips = np.array([[*roll[:2], pitch[2]] for roll, pitch in zip(rolls, pitches, strict=True)])
    legs = np.array([[robot.dof_names.index(f"{side}_{part}_joint") for part in LEG] for side in SIDES])
    of_foot = robot.ground_body == robot.body_names.index(model.body(feet[0]).name)
    if not of_foot.any():
        raise UserError(f"robot {robot.name}: its foot {model.body(feet[0]).name} has no shape that touches the ground")
    points = robot.ground_points[of_foot].astype(np.float64)
    low = robot.ground_radius[of_foot] - points[:, 2]
    points = points[low > low.max() - 1e-6]
    ankle, pitch = data.xpos[feet[0]], data.joint("left_ankle_pitch_joint").xanchor
    return Biped(
        robot=robot,
        model=model,
        hips=hips,
        leg_dofs=legs,
        foot_bodies=np.array(feet),
        leg_length=float(hips[0, 2] - pitch[2]),
        ankle=pitch - ankle,
        sole=float(low.max()),
        heel=points[points[:, 0].argmin()],
        toe=points[points[:, 0].argmax()],
    )
