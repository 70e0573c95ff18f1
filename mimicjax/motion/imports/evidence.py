"""How a file is to be read that does not say it: what supports a body hardly moves, if it is read rightly."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mimicjax.motion._numpy_rotation import about, multiply, rotate
from mimicjax.motion.check.suspicion import breadth_first
from mimicjax.types import HINGE, Robot

RATIO, MOVING = (
    1.8,
    0.05,
)  # how much slower, and m/s that a wrong reading is at least; found on sample clips, docs/motions.md
MOST_FRAMES = 1500  # that are looked at
ORDERS = ("wxyz", "xyzw")


class Reading(NamedTuple):
    """A way to read a file."""

    order: str  # of the quaternion
    breadth: bool  # columns are breadth first


def depth_first(robot: Robot, dof_pos: np.ndarray) -> np.ndarray:
    """Columns [F,D] that are breadth first, in the robot's order."""
    return dof_pos[:, np.argsort(breadth_first(robot))]


def w_first(quat: np.ndarray, order: str) -> np.ndarray:
    """Quaternions [F,4] with w first."""
    return quat if order == "wxyz" else np.roll(quat, 1, axis=1)


def support_speed(robot: Robot, pos: np.ndarray, quat: np.ndarray, dof_pos: np.ndarray, fps: float) -> float:
    """m/s, the median over a clip of how fast the lowest of feet, hands and head moves; columns in the robot's order."""
    bodies = sorted({*map(int, robot.key_bodies), *map(int, robot.contact_bodies)})
    places = _places(robot, pos, quat, dof_pos)[:, bodies]
    speed = np.linalg.norm(np.gradient(places, axis=0), axis=-1) * fps
    lowest = np.argmin(places[..., 2], axis=1)
    return float(np.median(speed[np.arange(len(speed)), lowest]))


def _places(robot: Robot, pos: np.ndarray, quat: np.ndarray, dof_pos: np.ndarray) -> np.ndarray:
    """Places [F,N,3] of all bodies of a robot with hinges."""
    places, turns = [pos], [quat]
    for body in range(1, robot.num_bodies):
        joint, parent = body - 1, robot.parents[body]
        turn = multiply(turns[parent], robot.body_quat[body])
        if robot.joint_kinds[joint] == HINGE:
            turn = multiply(turn, about(robot.joint_axis[joint], dof_pos[:, robot.joint_dof[joint]]))
        places.append(places[parent] + rotate(turns[parent], np.broadcast_to(robot.body_pos[body], pos.shape)))
        turns.append(turn)
    return np.stack(places, axis=1)


def judge(
    robot: Robot, readings: list[Reading], pos: np.ndarray, quat: np.ndarray, dof_pos: np.ndarray, fps: float
) -> tuple[Reading | None, str]:
    """(the reading that the motion speaks for, or None if it does not say; the speeds, in words)."""
    step = max(1, len(pos) // MOST_FRAMES)
    rows = slice(0, step * MOST_FRAMES)
    speeds = {}
    for reading in readings:
        columns = depth_first(robot, dof_pos[rows]) if reading.breadth else dof_pos[rows]
        speeds[reading] = support_speed(robot, pos[rows], w_first(quat[rows], reading.order), columns, fps)
    ranked = sorted(readings, key=speeds.__getitem__)
    told = ", ".join(f"{_words(each, readings)} {speeds[each]:.2f} m/s" for each in ranked)
    best, second = (speeds[each] for each in ranked[:2])
    sure = second > MOVING and second >= RATIO * best
    return (ranked[0] if sure else None), f"what supports the robot moves at: {told}"


def _words(reading: Reading, readings: list[Reading]) -> str:
    tree = (
        ("breadth first" if reading.breadth else "depth first") if len({each.breadth for each in readings}) > 1 else ""
    )
    return " ".join(word for word in (reading.order, tree) if word)
