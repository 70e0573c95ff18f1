"""Bipeds with legs of six hinges, as the G1 and the K1 are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from mimicjax.errors import UserError
from mimicjax.motion.make.biped import ARM, LEG, SIDES, WAIST, Biped, Posture, inertia_only, sole_points
from mimicjax.motion.make.ik import place_feet
from mimicjax.types import BALL, Robot

PLANS_LEG = 0.6366  # m, the G1's legs from hip to ankle, for which plans are written


class JointDrive(NamedTuple):
    """A joint that stands for a part of a posture: its angle (rad) is offset + factor times the part's."""

    joint: str
    factor: float = 1.0
    offset: float = 0.0


UNITREE = {
    part: JointDrive(f"{part}_joint")
    for part in (*WAIST, *(f"{side}_{part}" for side in SIDES for part in (*LEG, *ARM)))
}
# no waist; at zero the arms point sideways and straight, and the elbow's axis is the trunk's z
BOOSTER = {
    f"{side}_{part}": JointDrive(f"{side}_{part}".title()) for side in SIDES for part in LEG if part != "knee"
} | {
    "left_knee": JointDrive("Left_Knee_Pitch"),
    "right_knee": JointDrive("Right_Knee_Pitch"),
    "left_shoulder_pitch": JointDrive("ALeft_Shoulder_Pitch"),
    "right_shoulder_pitch": JointDrive("ARight_Shoulder_Pitch"),
    "left_shoulder_roll": JointDrive("Left_Shoulder_Roll", 1.0, -0.5 * np.pi),
    "right_shoulder_roll": JointDrive("Right_Shoulder_Roll", 1.0, 0.5 * np.pi),
    "left_elbow": JointDrive("Left_Elbow_Yaw", 1.0, -0.5 * np.pi),
    "right_elbow": JointDrive("Right_Elbow_Yaw", -1.0, 0.5 * np.pi),
}


def drives(robot: Robot) -> Mapping[str, JointDrive]:
    """Part of a posture or of a leg -> the joint that moves it. Raises UserError for a robot that lacks one."""
    for known in (UNITREE, BOOSTER):
        missing = [drive.joint for drive in known.values() if drive.joint not in robot.dof_names]
        if not missing and not np.any(robot.joint_kinds == BALL):
            return known
    missing = [drive.joint for drive in UNITREE.values() if drive.joint not in robot.dof_names]
    why = f"it has no joint {', '.join(missing[:3])}" if missing else "it has ball joints"
    raise UserError(
        f"robot {robot.name}: makers need a biped with the hinge joints of the G1 or the K1, or the ball joints of the "
        f"humanoid; {why}"
    )


def measure(robot: Robot) -> Biped:
    """Measures a robot; UserError if it lacks a joint that made motions drive."""
    joints = drives(robot)
    model, data = inertia_only(robot)
    anchors = {part: data.joint(drive.joint).xanchor.copy() for part, drive in joints.items()}
    feet = [model.joint(joints[f"{side}_ankle_roll"].joint).bodyid[0] for side in SIDES]
    hips = np.array([[*anchors[f"{side}_hip_roll"][:2], anchors[f"{side}_hip_pitch"][2]] for side in SIDES])
    sole, points = sole_points(robot, model.body(feet[0]).name)
    pitch = anchors["left_ankle_pitch"]
    ends = (points[np.abs(points[:, 0] - x) < 1e-6].mean(axis=0) for x in (points[:, 0].min(), points[:, 0].max()))
    heel, toe = ends
    leg_length = float(hips[0, 2] - pitch[2])
    return Biped(
        robot=robot,
        model=model,
        hips=hips,
        foot_bodies=np.array(feet),
        leg_length=leg_length,
        ankle=pitch - data.xpos[feet[0]],
        sole=sole,
        heel=heel,
        toe=toe,
        size=round(leg_length / PLANS_LEG, 2),
        point=float(robot.dof_range[robot.dof_names.index(joints["left_ankle_pitch"].joint), 1]),
        waist=all(part in joints for part in WAIST),
        place=place,
    )


def place(biped: Biped, root_pos: np.ndarray, root_quat: np.ndarray, foot_pos: np.ndarray, foot_quat: np.ndarray,
          posture: Posture) -> np.ndarray:  # fmt: skip
    """qpos [F,nq]: the posture's angles, and legs such that the feet are where they should be (Biped.place)."""
    names, joints = biped.robot.dof_names, drives(biped.robot)
    dofs = np.zeros((len(root_pos), len(names)))
    for part, angle in posture.items():
        if part in joints:  # without a waist the torso moves as the pelvis
            joint, factor, offset = joints[part]
            dofs[:, names.index(joint)] = offset + factor * np.asarray(angle)
    legs = np.array([[names.index(joints[f"{side}_{part}"].joint) for part in LEG] for side in SIDES])
    dofs = place_feet(biped, legs, root_pos, root_quat, foot_pos, foot_quat, dofs)
    return np.concatenate([root_pos, root_quat, dofs], axis=1)
