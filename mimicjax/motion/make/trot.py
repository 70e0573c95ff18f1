"""A trot: legs that stand diagonally opposite move together; each leg has a hip about x and two hinges about y."""

from __future__ import annotations

import numpy as np

from mimicjax.errors import UserError
from mimicjax.motion.make.curves import glide, through
from mimicjax.types import Robot

LEGS = ("FL", "FR", "RL", "RR")
LATE = (0.0, 0.5, 0.5, 0.0)  # of the cycle, when a leg's foot lands
PARTS = ("hip", "thigh", "calf")
DUTY = 0.52  # of the cycle, how long a foot bears: a moment of all four at each step
RAMPS = (0.35, 0.35)  # of a swinging foot's speed
STAND = 0.66  # height of the hips above the ground, share of the straight leg


def trot(robot: Robot, speed: float, cycle: float, step_height: float, fps: float) -> tuple[np.ndarray, np.ndarray]:
    """One cycle [F,nq] and the travel [3] m in it: speed m/s, cycle s, step_height m that the swinging feet clear.

    The trunk moves evenly: diagonal pairs carry it without sway. Raises UserError for a robot without such legs, or a
    foot out of reach.
    """
    _refuse(robot)
    count = round(cycle * fps)
    phase = np.arange(count) / count
    stride = speed * count / fps
    body = robot.body_names.index
    places = robot.body_pos.astype(float)
    length = -(places[body("FL_calf"), 2] + places[body("FL_foot"), 2])
    qpos = np.tile(robot.start_qpos.astype(float), (count, 1))
    foot = robot.ground_body == body("FL_foot")
    sole, ahead = float(robot.ground_radius[foot][0]), float(robot.ground_points[foot][0, 0])
    height = STAND * length
    qpos[:, 0], qpos[:, 1], qpos[:, 2] = stride * phase, 0.0, height
    for leg, late in zip(LEGS, LATE, strict=True):
        within = (phase - late) % 1.0
        swing = (within - DUTY) / (1.0 - DUTY)
        # relative to the hip: back evenly while it bears, then ahead
        x = stride * (0.5 * DUTY - within + glide(np.clip(swing, 0.0, 1.0), *RAMPS)) - ahead
        z = sole - height + step_height * through(within, (DUTY, 0.5 * (1.0 + DUTY), 1.0), (0.0, 1.0, 0.0))
        side = places[body(f"{leg}_thigh"), 1]
        angles = _reach(robot, leg, np.stack([x, np.full(count, side), z], axis=1), places)
        for part, angle in zip(PARTS, angles, strict=True):
            qpos[:, 7 + robot.dof_names.index(f"{leg}_{part}_joint")] = angle
    return qpos, np.array([stride, 0.0, 0.0])


def _refuse(robot: Robot) -> None:
    joints = [f"{leg}_{part}_joint" for leg in LEGS for part in PARTS]
    missing = [name for name in joints if name not in robot.dof_names]
    missing += [name for leg in LEGS if (name := f"{leg}_foot") not in robot.body_names]
    if missing:
        raise UserError(
            f"robot {robot.name}: a trot needs a quadruped with the joints and feet of the go2; it has no "
            f"{', '.join(missing[:3])}"
        )


def _reach(robot: Robot, leg: str, foot: np.ndarray, places: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Angles [F] rad of hip, thigh and calf that bring the foot to `foot` [F,3] m from the hip; the knee points back."""
    side = places[robot.body_names.index(f"{leg}_thigh"), 1]
    thigh, calf = (-places[robot.body_names.index(f"{leg}_{part}"), 2] for part in ("calf", "foot"))
    x, y, z = foot.T
    down = np.sqrt(np.maximum(y**2 + z**2 - side**2, 0.0))
    hip = np.arctan2(z, y) - np.arctan2(-down, side)
    reach = np.hypot(x, down)
    if reach.max() >= thigh + calf:
        raise UserError(
            f"robot {robot.name}: its {leg} leg misses the foot by {1000 * (reach.max() - thigh - calf):.1f} mm; ask for "
            "less speed or a shorter cycle"
        )
    knee = np.pi - np.arccos((thigh**2 + calf**2 - reach**2) / (2.0 * thigh * calf))
    lean = np.arccos((thigh**2 + reach**2 - calf**2) / (2.0 * thigh * reach))
    return hip, np.arctan2(-x, down) + lean, -knee
