"""A clip moved up or down as a whole, until its lowest sole touches the ground."""

from __future__ import annotations

import dataclasses

import mujoco
import numpy as np

from mimicjax.motion.coordinates import qpos_of
from mimicjax.robot import mjcf
from mimicjax.types import Clip, Robot

FRAMES = 600  # at most, that are looked at


def on_the_ground(robot: Robot, clip: Clip) -> tuple[Clip, float]:
    """(the clip, m that it was moved)."""
    model = mjcf.model(robot.xml)
    data, lowest = mujoco.MjData(model), np.inf
    bodies = [model.body(name).id for name in robot.body_names]
    rows = qpos_of(robot, clip)
    for qpos in rows[:: max(1, len(rows) // FRAMES)]:
        data.qpos[:] = qpos
        mujoco.mj_kinematics(model, data)
        turns = data.xmat[bodies].reshape(-1, 3, 3)[robot.ground_body]
        points = data.xpos[bodies][robot.ground_body] + np.einsum("pij,pj->pi", turns, robot.ground_points)
        lowest = min(lowest, float((points[:, 2] - robot.ground_radius).min()))
    moved = clip.root_pos - np.array([0.0, 0.0, lowest])
    return dataclasses.replace(clip, root_pos=moved), -lowest
