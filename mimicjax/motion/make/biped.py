"""What makers need to know of a robot that walks on two flat feet, whatever joints its legs have."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import mujoco
import numpy as np

from mimicjax.errors import UserError
from mimicjax.robot import mjcf
from mimicjax.types import Robot

LEG = ("hip_pitch", "hip_roll", "hip_yaw", "knee", "ankle_pitch", "ankle_roll")
ARM = ("shoulder_pitch", "shoulder_roll", "elbow")
WAIST = ("waist_yaw", "waist_roll", "waist_pitch")
SIDES = ("left", "right")

# Angles [F] or one, rad, by the names in WAIST and <side>_ + ARM: positive pitch leans the torso forward and swings an arm
# back, positive roll turns about x, an elbow of 0 is bent at a right angle and one of pi/2 straight.
Posture = Mapping[str, "np.ndarray | float"]


class Biped(NamedTuple):
    """A robot with two legs; index 0 is left, 1 is right. Lengths in m."""

    robot: Robot
    model: mujoco.MjModel  # no contacts, limits, friction or passive forces: only the robot's inertia
    hips: np.ndarray  # [2,3] centre of the hip, in the root's frame, all joints zero
    foot_bodies: np.ndarray  # [2] body ids of the model
    leg_length: float  # hip to ankle pitch axis, straight
    ankle: np.ndarray  # [3] centre of the ankle pitch axis, in the foot body's frame
    sole: float  # height of the foot body's origin above the ground, sole flat
    heel: np.ndarray  # [3] rearmost rounding centre of the sole, in the foot body's frame
    toe: np.ndarray  # [3] foremost
    # of the legs, the G1's being 1: plans are made for that size, and scaled (similar.py)
    size: float
    point: float  # rad that the ankles let the toes point down
    waist: bool  # whether it has one: without, the torso is the pelvis
    # (biped, root_pos [F,3], root_quat [F,4], foot_pos [F,2,3], foot_quat [F,2,4], posture) -> qpos [F,nq]
    place: Callable[..., np.ndarray]


def inertia_only(robot: Robot) -> tuple[mujoco.MjModel, mujoco.MjData]:
    """The robot's model without forces of its own, and its bodies where all joints are zero and the root is at 0."""
    model = mjcf.model(robot.xml)
    off = mujoco.mjtDisableBit
    model.opt.disableflags |= off.mjDSBL_CONSTRAINT | off.mjDSBL_SPRING | off.mjDSBL_DAMPER | off.mjDSBL_ACTUATION
    data = mujoco.MjData(model)
    data.qpos[:] = model.qpos0
    data.qpos[:7] = [0, 0, 0, 1, 0, 0, 0]
    mujoco.mj_kinematics(model, data)
    return model, data


def sole_points(robot: Robot, foot: str) -> tuple[float, np.ndarray]:
    """Height of a foot body's origin above its sole (m), and the rounding centres [P,3] of the sole in its frame.

    Raises UserError if the foot has no shape that touches the ground.
    """
    of_foot = robot.ground_body == robot.body_names.index(foot)
    if not of_foot.any():
        raise UserError(f"robot {robot.name}: its foot {foot} has no shape that touches the ground")
    points = robot.ground_points[of_foot].astype(np.float64)
    low = robot.ground_radius[of_foot] - points[:, 2]
    return float(low.max()), points[low > low.max() - 1e-6]
