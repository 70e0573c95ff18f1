"""Figures that tell whether a motion clip can be imitated: feet that sink or slide, limits, speeds, the loop's seam."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from mimicjax.motion.coordinates import ground_points, qpos_of
from mimicjax.robot.kinematics import plane
from mimicjax.types import WRAP, Clip, Ground, Robot

NEAR = 0.005  # m above the ground: below it a point of a foot bears


class Figure(NamedTuple):
    """One measured figure of a clip."""

    value: float
    unit: str
    limit: float  # a clip within it is fit for imitation
    where: str  # "" or the body, joint and frame of the worst value


def check(robot: Robot, clip: Clip, ground: Ground = plane) -> dict[str, Figure]:
    """All figures of a clip whose columns are the robot's degrees of freedom (read_clip with robot sees to that).

    ground: the ground that the clip is for.
    """
    points, bodies = ground_points(robot, qpos_of(robot, clip)), robot.ground_body
    points[..., 2] -= np.asarray(ground(jnp.asarray(points[..., :2])))
    figures = {"sinking": _sinking(robot, points, bodies), "sliding": _sliding(robot, clip, points, bodies)}
    low, high = robot.dof_range.T
    over = np.maximum(clip.dof_pos - high, low - clip.dof_pos)
    figures["joint limit excess"] = _worst(robot, np.maximum(over, 0.0), "rad", 1e-6)
    speed = np.abs(np.diff(clip.dof_pos, axis=0)) * clip.fps
    figures["joint speed"] = _worst(robot, speed, "rad/s", 20.0)
    if clip.loop == WRAP:
        figures["loop gap of joints"] = _worst(robot, np.abs(clip.dof_pos[-1:] - clip.dof_pos[:1]), "rad", 0.1)
        angle = 2.0 * float(np.arccos(np.clip(abs(np.dot(clip.root_quat[0], clip.root_quat[-1])), 0.0, 1.0)))
        figures["loop gap of the root's rotation"] = Figure(angle, "rad", 0.1, "")
        rise = abs(float(clip.root_pos[-1, 2] - clip.root_pos[0, 2]))
        figures["loop gap of the root's height"] = Figure(rise, "m", 0.02, "")
    return figures


def _sinking(robot: Robot, points: np.ndarray, bodies: np.ndarray) -> Figure:
    frame, point = np.unravel_index(points[..., 2].argmin(), points.shape[:2])
    depth = max(0.0, -float(points[frame, point, 2]))
    return Figure(depth, "m", 0.005, f"{robot.body_names[bodies[point]]}, frame {frame}" if depth > 0.0 else "")


def _sliding(robot: Robot, clip: Clip, points: np.ndarray, bodies: np.ndarray) -> Figure:
    """How far a point of a body that may touch the ground moves along it while it bears, at most, in one step."""
    if clip.loop == WRAP:  # steps go on over the seam
        travel = (clip.root_pos[-1] - clip.root_pos[0]) * [1.0, 1.0, 0.0]
        points = np.concatenate([points, points[1:] + travel])
    worst = Figure(0.0, "m", 0.03, "")
    for point in np.flatnonzero(np.isin(bodies, robot.contact_bodies)):
        bears = np.concatenate([[0], points[:, point, 2] < NEAR, [0]]).astype(int)
        for start, end in zip(np.flatnonzero(np.diff(bears) == 1), np.flatnonzero(np.diff(bears) == -1), strict=True):
            flat = points[start:end, point, :2]
            way = float(np.linalg.norm(flat - flat[0], axis=1).max())
            if way > worst.value:
                name = robot.body_names[bodies[point]]
                worst = worst._replace(value=way, where=f"{name}, frame {start % (len(clip.root_pos) - 1)}")
    return worst


def _worst(robot: Robot, values: np.ndarray, unit: str, limit: float) -> Figure:
    frame, dof = np.unravel_index(values.argmax(), values.shape)
    value = float(values[frame, dof])
    where = f"{robot.dof_names[dof]}" + (f", frame {frame}" if len(values) > 1 else "")
    return Figure(value, unit, limit, where if value > 0.0 else "")
