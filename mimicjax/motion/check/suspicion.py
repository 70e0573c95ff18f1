"""Signs that a clip was read in another order or unit than it was written: quaternions, the vertical, degrees, joints."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np

from mimicjax.motion.check.figures import excess
from mimicjax.motion.check.limits import EASY, UPRIGHT
from mimicjax.types import Clip, Robot


def suspicions(robot: Robot, clip: Clip) -> Iterator[str]:
    """A sentence for each reading of the clip's numbers that explains them better than the one that was taken."""
    upright = _upright(clip.root_quat)
    other = _upright(np.roll(clip.root_quat, 1, axis=1))
    if upright < UPRIGHT < 0.8 < other:
        yield "the root's quaternion looks like x, y, z, w: read so, the robot stands; w comes first here"
    else:
        if upright < UPRIGHT and abs(float(np.mean(_axis(clip.root_quat, 1)))) > 0.8:
            yield "the root's y axis points up: the clip looks as if it was made with y up; z is up here"
        heading = _forward(clip)
        if heading < -0.8 and np.abs(clip.root_quat[:, 0]).max() < 0.3:
            yield "the robot goes backwards all the time: the root's quaternion may be x, y, z, w; w comes first here"
    over = excess(robot, clip).max(axis=0) > EASY
    if over.mean() > EASY:
        yield _joints(robot, clip, int(over.sum()))


def _joints(robot: Robot, clip: Clip, count: int) -> str:
    text = f"{count} of {robot.num_dofs} joints are more than {EASY} rad outside their limits"
    degrees = dataclasses.replace(clip, dof_pos=np.deg2rad(clip.dof_pos))
    if np.abs(clip.dof_pos).max() > 2.0 * np.pi and excess(robot, degrees).max() < EASY:
        return f"{text}: the angles look like degrees; radians are used here"
    order = breadth_first(robot)
    moved = dataclasses.replace(clip, dof_pos=clip.dof_pos[:, np.argsort(order)])
    if (excess(robot, moved).max(axis=0) > EASY).sum() < 0.3 * count:
        return f"{text}, and few if the joints are read in breadth-first order, as Isaac Lab has them"
    return f"{text}: the joints may be in another order"


def breadth_first(robot: Robot) -> np.ndarray:
    """The degrees of freedom [D] as Isaac Lab orders them: level by level of the tree."""
    depth = np.zeros(robot.num_bodies, int)
    for body in range(1, robot.num_bodies):
        depth[body] = depth[robot.parents[body]] + 1
    return np.argsort(depth[1 + robot.dof_joint], kind="stable")


def _axis(quat: np.ndarray, axis: int) -> np.ndarray:
    """How much the root's x, y or z axis (0, 1, 2) points up in each frame, [F] -1 to 1."""
    w, x, y, z = quat.T
    return (2.0 * (x * z - w * y), 2.0 * (y * z + w * x), 1.0 - 2.0 * (x * x + y * y))[axis]


def _upright(quat: np.ndarray) -> float:
    return float(np.mean(_axis(quat, 2)))


def _forward(clip: Clip) -> float:
    """The cosine between where the root faces and where it goes, over the whole clip; 0 if it goes nowhere."""
    way = np.diff(clip.root_pos[:, :2], axis=0)
    w, x, y, z = clip.root_quat[:-1].T
    face = np.stack([1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y + w * z)], axis=1)
    length = float(np.linalg.norm(way, axis=1).sum())
    return float(np.sum(way * face)) / length if length > 0.3 else 0.0
