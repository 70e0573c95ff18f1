"""Rotations on the host, for motion files; numpy, quaternions w first."""

from __future__ import annotations

import numpy as np


def exp_to_quat(exp: np.ndarray) -> np.ndarray:
    """Quaternions `[...,4]` of exponential maps `[...,3]` (rad); up to 1e-5 rad is no rotation, as in MimicKit."""
    length = np.linalg.norm(exp, axis=-1, keepdims=True)
    angle = np.arctan2(np.sin(length), np.cos(length))
    small = np.abs(angle) <= 1e-5
    axis = exp / np.where(small, 1.0, length)
    quat = np.concatenate([np.cos(0.5 * angle), np.sin(0.5 * angle) * axis], axis=-1)
    return np.where(small, np.array([1.0, 0.0, 0.0, 0.0]), quat)


def continuous(quat: np.ndarray) -> np.ndarray:
    """The same rotations `[F,4]` neighbours on one hemisphere; the first keeps its sign."""
    flips = np.where(np.sum(quat[1:] * quat[:-1], axis=-1) < 0.0, -1.0, 1.0)
    return quat * np.concatenate([[1.0], np.cumprod(flips)])[:, None]


def multiply(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Products `[...,4]`."""
    aw, ax, ay, az = np.moveaxis(np.asarray(a), -1, 0)
    bw, bx, by, bz = np.moveaxis(np.asarray(b), -1, 0)
    return np.stack(
        [
            aw * bw - ax * bx - ay * by - az * bz,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
        ],
        axis=-1,
    )


def rotate(quat: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Vectors `[...,3]` turned by quaternions `[...,4]`."""
    axis = quat[..., 1:]
    turned = 2.0 * np.cross(axis, vector)
    return vector + quat[..., :1] * turned + np.cross(axis, turned)


def quat_to_exp(quat: np.ndarray) -> np.ndarray:
    """Exponential maps `[...,3]` (rad, at most pi long) of quaternions."""
    quat = np.where(quat[..., :1] < 0.0, -quat, quat)
    length = np.linalg.norm(quat[..., 1:], axis=-1, keepdims=True)
    angle = 2.0 * np.arctan2(length, quat[..., :1])
    return quat[..., 1:] * np.where(length > 1e-12, angle / np.maximum(length, 1e-12), 2.0)


def about(axis: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Quaternions `[...,4]` about a unit axis `[3]` by angles `[...]` rad."""
    half = 0.5 * np.asarray(angle)[..., None]
    return np.concatenate([np.cos(half), np.sin(half) * np.asarray(axis, float)], axis=-1)


def from_euler(axes: str, angles: np.ndarray) -> np.ndarray:
    """Quaternions `[F,4]` of rotations about the axes in turn, the product from left to right; angles `[F,n]` rad."""
    quat = np.broadcast_to([1.0, 0.0, 0.0, 0.0], (len(angles), 4))
    for axis, column in zip(axes, angles.T, strict=True):
        quat = multiply(quat, about(np.eye(3)["xyz".index(axis)], column))
    return quat


def between(quat: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Quaternions `[n,4]` at fractional rows `place [n]` of continuous ones `[F,4]`: spherical interpolation."""
    low = np.minimum(place.astype(int), len(quat) - 2)
    share, a, b = (place - low)[:, None], quat[low], quat[low + 1]
    cosine = np.sum(a * b, axis=-1, keepdims=True)
    b, cosine = np.where(cosine < 0, -b, b), np.abs(cosine)
    angle = np.arccos(np.minimum(cosine, 1.0))
    sine = np.sin(angle)
    near = sine < 1e-6
    safe = np.where(near, 1.0, sine)
    mixed = np.where(
        near, (1 - share) * a + share * b, (np.sin((1 - share) * angle) * a + np.sin(share * angle) * b) / safe
    )
    return mixed / np.linalg.norm(mixed, axis=-1, keepdims=True)
