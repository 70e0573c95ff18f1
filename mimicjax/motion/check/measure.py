"""What MuJoCo says of every frame of a clip: points near the ground, collisions, the forces that the motion needs."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import mujoco
import numpy as np

from mimicjax.motion.check import forces
from mimicjax.motion.coordinates import qpos_of
from mimicjax.robot import mjcf
from mimicjax.robot.kinematics import plane
from mimicjax.types import WRAP, Clip, Ground, Robot

RATE = 60.0  # frames per second that are looked at, at most: feet and forces change no faster than a robot can move


class Measures(NamedTuple):
    """What was measured of S frames of a clip; heights are above the ground."""

    frames: np.ndarray  # [S] int, their numbers in the clip
    fps: float  # of these frames
    points: np.ndarray  # [S,P,3] m, lowest points of what may meet the ground (robot.ground_body), world
    com: np.ndarray  # [S,3] m, centre of mass
    up: np.ndarray  # [S] how much the root's z axis points up, -1 to 1
    overlap: np.ndarray  # [S] m, how deep two bodies of the robot are in each other
    pair: np.ndarray  # [S,2] int, these two bodies (MuJoCo's ids)
    load: np.ndarray  # [S] largest torque that a joint needs, share of its limit; NaN if it was not asked for
    joint: np.ndarray  # [S] int, the degree of freedom that needs it
    missing: np.ndarray  # [S] share of the weight that no contact can give (also moments, on an arm of forces.ARM)


def measure(
    robot: Robot, clip: Clip, ground: Ground = plane, dynamics: bool = True, floor: float | None = None
) -> Measures:
    """The measures of a clip with the robot's columns; dynamics: also the forces, which take two thirds of the time.

    floor: m, where the clip has the ground, for forces; None finds it (`floor_of`).
    """
    step = stride(clip)
    frames = np.arange(0, len(clip.root_pos), step)
    qpos = qpos_of(robot, clip)[frames]
    fps = clip.fps / step
    model = mjcf.model(robot.xml)
    points, com, up, overlap, pair = _places(robot, model, qpos)
    world = points.copy()
    points[..., 2] -= np.asarray(ground(jnp.asarray(points[..., :2])))
    none = np.full(len(qpos), np.nan)
    load, joint, missing = none, np.zeros(len(qpos), int), none
    if dynamics:
        speed, acceleration = derivatives(model, qpos, fps, clip.loop == WRAP)
        low = floor_of(robot, points) if floor is None else floor
        load, joint, missing = forces.needed(
            robot, model, qpos, speed, acceleration, world, points[..., 2] <= low + forces.TOUCH
        )
    return Measures(frames, fps, points, com, up, overlap, pair, load, joint, missing)


def stride(clip: Clip) -> int:
    """Every how many frames are looked at; in a loop the seam falls on one of them."""
    most, last = max(1, round(clip.fps / RATE)), len(clip.root_pos) - 1
    fits = [step for step in range(1, most + 1) if clip.loop != WRAP or last % step == 0]
    return max(step for step in fits if last // step >= 2 or step == 1)


def floor_of(robot: Robot, points: np.ndarray) -> float:
    """Height m at which the clip has its ground: that of its feet when they are low, but not at their lowest.

    points [S,P,3] m. At their lowest, feet may have been pushed in; and hands in the ground are no floor.
    """
    feet = np.isin(robot.ground_body, robot.contact_bodies)
    heights = points[:, feet if feet.any() else slice(None), 2]
    return float(np.quantile(heights.min(axis=1), 0.2))


def derivatives(model: mujoco.MjModel, qpos: np.ndarray, fps: float, loop: bool) -> tuple[np.ndarray, np.ndarray]:
    """Speeds and accelerations [S,nv] at frames qpos [S,nq], by differences; a loop goes on over its seam."""
    between = np.zeros((len(qpos) - 1, model.nv))
    for row, before, after in zip(between, qpos[:-1], qpos[1:], strict=True):
        mujoco.mj_differentiatePos(model, row, 1.0 / fps, before, after)
    first, last = (between[-1:], between[:1]) if loop else (between[:1], between[-1:])
    between = np.concatenate([first, between, last])
    acceleration = np.diff(between, axis=0) * fps
    if not loop and len(acceleration) > 2:
        acceleration[0], acceleration[-1] = acceleration[1], acceleration[-2]
    return 0.5 * (between[1:] + between[:-1]), acceleration


def _places(robot: Robot, model: mujoco.MjModel, qpos: np.ndarray) -> tuple[np.ndarray, ...]:
    """(points, com, up, overlap, pair) of Measures, the points in the world."""
    data, count = mujoco.MjData(model), len(qpos)
    ids = np.array([model.body(robot.body_names[body]).id for body in robot.ground_body])
    root = model.body(robot.body_names[0]).id
    points, com, up = np.zeros((count, len(ids), 3)), np.zeros((count, 3)), np.zeros(count)
    overlap, pair = np.zeros(count), np.zeros((count, 2), int)
    for frame in range(count):
        data.qpos[: robot.nq] = qpos[frame]
        mujoco.mj_kinematics(model, data)
        mujoco.mj_comPos(model, data)
        mujoco.mj_collision(model, data)
        points[frame] = data.xpos[ids] + np.einsum("pij,pj->pi", data.xmat[ids].reshape(-1, 3, 3), robot.ground_points)
        com[frame], up[frame] = data.subtree_com[root], data.xmat[root, 8]
        bodies = model.geom_bodyid[data.contact.geom].reshape(-1, 2)
        depth = np.where((bodies > 0).all(axis=1), -data.contact.dist, 0.0)  # body 0 is the world
        if len(depth) and depth.max() > 0.0:
            overlap[frame], pair[frame] = depth.max(), bodies[depth.argmax()]
    points[..., 2] -= robot.ground_radius
    return points, com, up, overlap, pair
