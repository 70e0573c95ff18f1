"""The figures of a clip, each a number with its unit, the worst place, and (limits.py) what it may be."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mimicjax.motion.check import limits
from mimicjax.motion.check.measure import Measures, floor_of
from mimicjax.robot import mjcf
from mimicjax.types import BALL, WRAP, Clip, Robot

GRAVITY = 9.81


class Figure(NamedTuple):
    """One measured figure of a clip."""

    value: float
    unit: str
    limit: float  # a clip within it is fit for imitation
    where: str  # "" or the body, joint and frame of the worst value
    at: int = -1  # the frame of the worst value, or -1


def figure(name: str, value: float, where: str = "", at: int = -1) -> Figure:
    """A figure with its unit and limit from limits.LIMITS; `where` is left out for 0."""
    limit = limits.LIMITS[name]
    return Figure(float(value), limit.unit, limit.good, where if value > 0.0 else "", int(at))


def of_ground(robot: Robot, clip: Clip, measures: Measures) -> dict[str, Figure]:
    """How deep it sinks, how high it floats, how far feet slide while they bear."""
    points, frames = measures.points, measures.frames
    frame, point = np.unravel_index(points[..., 2].argmin(), points.shape[:2])
    depth, body = -1000.0 * points[frame, point, 2], robot.body_names[robot.ground_body[point]]
    lowest = points[..., 2].min(axis=1)
    standing = ~flying(measures)
    high = float(np.quantile(lowest[standing], 1.0 - limits.SHARE)) if standing.any() else 0.0
    worst = int(np.where(standing, lowest, -np.inf).argmax())
    return {
        "sinking": figure("sinking", max(0.0, depth), f"{body}, frame {frames[frame]}", frames[frame]),
        "floating": figure("floating", max(0.0, 1000.0 * high), f"frame {frames[worst]}", frames[worst]),
        "sliding": _sliding(robot, clip, measures),
    }


def flying(measures: Measures) -> np.ndarray:
    """Whether the centre of mass falls freely, [S] bool: nothing has to touch then."""
    height = measures.com[:, 2]
    if len(height) < 5:
        return np.zeros(len(height), bool)
    reach = max(1, round(0.02 * measures.fps))  # differences over 40 ms, which leave out what is noise
    fall = np.zeros(len(height))
    fall[reach:-reach] = (height[2 * reach :] - 2.0 * height[reach:-reach] + height[: -2 * reach]) * (
        measures.fps / reach
    ) ** 2
    fall[:reach], fall[-reach:] = fall[reach], fall[-reach - 1]
    return fall < -limits.FLIGHT * GRAVITY


def _sliding(robot: Robot, clip: Clip, measures: Measures) -> Figure:
    """How far a point of a body that may touch the ground moves along it while it bears, at most, in one step."""
    points, last = measures.points, len(measures.points) - 1
    if clip.loop == WRAP:  # steps go on over the seam
        travel = (clip.root_pos[-1] - clip.root_pos[0]) * [1.0, 1.0, 0.0]
        points = np.concatenate([points, points[1:] + travel])
    worst, near = figure("sliding", 0.0), floor_of(robot, measures.points) + limits.NEAR
    for point in np.flatnonzero(np.isin(robot.ground_body, robot.contact_bodies)):
        bears = np.concatenate([[0], points[:, point, 2] < near, [0]]).astype(int)
        for start, end in zip(np.flatnonzero(np.diff(bears) == 1), np.flatnonzero(np.diff(bears) == -1), strict=True):
            flat = points[start:end, point, :2]
            way = 100.0 * float(np.linalg.norm(flat - flat[0], axis=1).max())
            if way > worst.value:
                at = int(measures.frames[start % last])
                worst = figure("sliding", way, f"{robot.body_names[robot.ground_body[point]]}, frame {at}", at)
    return worst


def of_joints(robot: Robot, clip: Clip) -> dict[str, Figure]:
    """Limits, speeds, spikes, held frames, the root's turning, the seam, and the time between frames."""
    speed = np.abs(np.diff(clip.dof_pos, axis=0)) * clip.fps
    turn = angles(clip.root_quat[1:], clip.root_quat[:-1]) * clip.fps
    result = {
        "joint limits": _worst(robot, "joint limits", excess(robot, clip)),
        "joint speed": _worst(robot, "joint speed", speed),
        "spikes": _spikes(robot, clip),
        "held frames": _held(clip),
        "turn of the root": figure("turn of the root", turn.max(), f"frame {turn.argmax()}", int(turn.argmax())),
        "frame time": figure("frame time", 1000.0 / clip.fps),
    }
    if clip.loop == WRAP:
        gap = np.abs(clip.dof_pos[-1:] - clip.dof_pos[:1])
        rise = 1000.0 * abs(float(clip.root_pos[-1, 2] - clip.root_pos[0, 2]))
        result["loop gap of joints"] = _worst(robot, "loop gap of joints", gap)
        name = "loop gap of the root's rotation"
        result[name] = figure(name, float(angles(clip.root_quat[:1], clip.root_quat[-1:])[0]))
        result["loop gap of the root's height"] = figure("loop gap of the root's height", rise)
    return result


def excess(robot: Robot, clip: Clip) -> np.ndarray:
    """How far coordinates [F,D] rad are outside their limits; of a ball joint, whose whole angle is limited, its first."""
    low, high = robot.dof_range.T.astype(float)
    over = np.maximum(clip.dof_pos - high, low - clip.dof_pos)
    for joint in np.flatnonzero(robot.joint_kinds == BALL):
        first = robot.joint_dof[joint]
        length = np.linalg.norm(clip.dof_pos[:, first : first + 3], axis=1)
        over[:, first : first + 3] = 0.0
        over[:, first] = np.minimum(length, np.abs(2.0 * np.pi - length)) - high[first]
    return np.maximum(over - 1e-6, 0.0)  # float32 in the robot's file


def angles(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Angles [F] rad between rotations [F,4]."""
    return 2.0 * np.arccos(np.clip(np.abs(np.sum(first * second, axis=-1)), 0.0, 1.0))


def of_bodies(robot: Robot, measures: Measures) -> dict[str, Figure]:
    """Self-collision, and the shares of frames that motors and ground cannot do."""
    frame = int(measures.overlap.argmax())
    names = [mjcf.model(robot.xml).body(int(body)).name for body in measures.pair[frame]]
    at = int(measures.frames[frame])
    where = f"{' and '.join(names)}, frame {at}"
    result = {"self-collision": figure("self-collision", 1000.0 * measures.overlap[frame], where, at)}
    if np.isfinite(measures.load).all():
        frame = int(measures.load.argmax())
        at, joint = int(measures.frames[frame]), robot.dof_names[int(measures.joint[frame])]
        most = f"{joint} needs {measures.load[frame]:.1f} of its limit in frame {at}"
        weak = 100.0 * float(np.mean(measures.load > 1.0))
        result["beyond the motors"] = figure("beyond the motors", weak, most, at)
        frame = int(measures.missing.argmax())
        at, loose = int(measures.frames[frame]), 100.0 * float(np.mean(measures.missing > limits.MISSING))
        most = f"{measures.missing[frame]:.1f} of its weight is missing in frame {at}"
        result["beyond the ground"] = figure("beyond the ground", loose, most, at)
    return result


def spiking(values: np.ndarray, least: float) -> np.ndarray:
    """Frames and columns [F,C] bool that are far from the middle of their neighbours, by Hampel's identifier.

    Far is more than `least`, and more than limits.SPIKE_MEDIANS times the median of that distance about the frame.
    """
    away = np.zeros_like(values)
    away[1:-1] = np.abs(values[1:-1] - 0.5 * (values[2:] + values[:-2]))
    reach = min(limits.SPIKE_REACH, len(away) - 1)
    padded = np.pad(away, ((reach, reach), (0, 0)), mode="reflect")
    around = np.median(np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1, axis=0), axis=-1)
    far = (away > least) & (away > limits.SPIKE_MEDIANS * around)
    peak = np.zeros_like(far)  # a spike makes its neighbours look far too: half as far
    peak[1:-1] = far[1:-1] & (away[1:-1] >= away[2:]) & (away[1:-1] >= away[:-2])
    return peak


def spikes(clip: Clip) -> np.ndarray:
    """Which coordinates of which frames, [F,D+3] bool, jump out of their neighbours' path; the root's place last."""
    turn, move = (0.5 * most / clip.fps**2 for most in limits.SPIKE_ACCELERATION)
    angles = spiking(clip.dof_pos, max(limits.SPIKE_RAD, turn))
    return np.concatenate([angles, spiking(clip.root_pos, max(limits.SPIKE_M, move))], axis=1)


def _spikes(robot: Robot, clip: Clip) -> Figure:
    names = [*robot.dof_names, "root x", "root y", "root z"]
    far = spikes(clip)
    frames = np.flatnonzero(far.any(axis=1))
    where = f"{names[int(far[frames[0]].argmax())]}, frame {frames[0]}" if len(frames) else ""
    return figure("spikes", len(frames), where, int(frames[0]) if len(frames) else -1)


def held(clip: Clip) -> np.ndarray:
    """Frames [F] bool that repeat the one before although the motion goes on before or after."""
    every = np.concatenate([clip.root_pos, clip.dof_pos], axis=1)
    step = np.concatenate([[0.0], np.abs(np.diff(every, axis=0)).max(axis=1)])
    moves = step * clip.fps > limits.MOVING
    around = np.zeros(len(step), bool)
    around[1:-1] = moves[2:] | moves[:-2]
    result = (step <= limits.HELD) & around
    result[0] = False
    return result


def _held(clip: Clip) -> Figure:
    frames = np.flatnonzero(held(clip))
    return figure(
        "held frames", len(frames), f"frame {frames[0]}" if len(frames) else "", int(frames[0]) if len(frames) else -1
    )


def _worst(robot: Robot, name: str, values: np.ndarray) -> Figure:
    frame, dof = np.unravel_index(values.argmax(), values.shape)
    where = f"{robot.dof_names[dof]}" + (f", frame {frame}" if len(values) > 1 else "")
    return figure(name, float(values[frame, dof]), where, int(frame))
