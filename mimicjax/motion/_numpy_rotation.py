"""The two rotation helpers that motion files need on the host; numpy, quaternions w first."""

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
