"""Building blocks of generated motions: curves with a continuous second derivative (C2, unitless time), and rotations."""

from __future__ import annotations

import mujoco
import numpy as np


def ease(t: np.ndarray) -> np.ndarray:
    """From 0 (t <= 0) to 1 (t >= 1) with zero speed and acceleration at both ends: the minimum-jerk quintic."""
    t = np.clip(t, 0.0, 1.0)
    return t**3 * (10.0 - 15.0 * t + 6.0 * t**2)


def glide(t: np.ndarray, up: float, down: float) -> np.ndarray:
    """As ease, but with constant speed between a ramp up of length `up` and a ramp down of length `down`."""

    def distance(t: np.ndarray) -> np.ndarray:  # integral of ease
        inside = np.clip(t, 0.0, 1.0)
        return inside**4 * (2.5 - 3.0 * inside + inside**2) + np.maximum(t - 1.0, 0.0)

    travelled = up * distance(t / up) - down * distance((t - 1.0 + down) / down)
    return travelled / (1.0 - 0.5 * (up + down))


def through(t: np.ndarray, times: tuple[float, ...], values: tuple[float, ...]) -> np.ndarray:
    """Rests at each value at its time, eases from one to the next; constant before the first and after the last."""
    result = np.full(np.shape(t), float(values[0]))
    for start, end, before, after in zip(times, times[1:], values, values[1:], strict=False):
        result = result + (after - before) * ease((t - start) / (end - start))
    return result


def quats(yaw: np.ndarray, pitch: np.ndarray, roll: np.ndarray) -> np.ndarray:
    """[F,4] from angles [F] rad: roll about x first, then pitch about y, then yaw about z, axes fixed in the world."""
    result = np.zeros((len(yaw), 4))
    for quat, angles in zip(result, np.stack([yaw, pitch, roll], axis=1), strict=True):
        mujoco.mju_euler2Quat(quat, angles, "zyx")
    return result


def rotate(quat: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Vectors [F,3] turned by quaternions [F,4]."""
    result = np.zeros((len(quat), 3))
    for row, q, v in zip(result, quat, np.broadcast_to(vector, result.shape), strict=True):
        mujoco.mju_rotVecQuat(row, v, q)
    return result


def multiply(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Products a b [F,4] of quaternions: b acts first."""
    result = np.zeros((len(a), 4))
    for row, left, right in zip(result, a, b, strict=True):
        mujoco.mju_mulQuat(row, left, right)
    return result
