"""The plan of a walk: where the feet go, how pelvis, waist and arms swing, where the ground should push.

The left foot lands at phase 0 of the cycle, the right one at 0.5. A foot's own phase counts from its landing: it bears
until OFF, its heel rises about the toe until LIFT, and it swings until 1. Magnitudes follow human gait (Winter 1991).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from mimicjax.motion.make.balance import MotionPlan
from mimicjax.motion.make.biped import SIDES, WAIST, Biped
from mimicjax.motion.make.curves import ease, glide, quats, rotate, through


class Swing(NamedTuple):
    """How a foot moves in a cycle of a gait, by phases that count from its landing."""

    lift: float  # the toe leaves
    top: float  # the foot is highest
    heel: float  # it turns about its heel
    ramps: tuple[float, float]  # of its speed: shares of the swing that it speeds up and slows down
    pitches: tuple[tuple[float, ...], tuple[float, ...]]  # phases, rad (toe down positive)
    half_width: float  # m from the middle to a foot
    toe_out: float  # rad


OFF, LIFT = 0.53, 0.60  # of a foot: heel leaves, toe leaves
SHARE = 0.10  # of the cycle, how long weight is shared at each step: double support is 20 %
ROLL = (0.30, 0.79)  # shares of the way from the ankle to the toe, between which the support rolls
HALF_WIDTH = 0.08  # m from the middle to a foot
SWING = Swing(
    lift=LIFT, top=0.78, heel=0.97, ramps=(0.36, 0.48), half_width=HALF_WIDTH, toe_out=0.06,
    pitches=((OFF, 0.695, 0.90, 1.0), (0.0, 0.65, -0.24, 0.0)),
)  # fmt: skip
BOB = 0.018  # m at 1 m/s; the pelvis is lowest in double support
YAW, LIST = 0.08, 0.055  # rad, of the pelvis; yaw at 1 m/s
COUNTER, UPRIGHT, LEAN = 1.6, 0.85, 0.02  # of the torso on the pelvis: shares of its yaw and list, rad forward
ARM_SWING, ELBOW_SWING = 0.36, 0.14  # rad at 1 m/s
ARM = {"shoulder_pitch": 0.22, "shoulder_roll": 0.23, "elbow": 0.95}  # rad, left; roll is mirrored


def walk(biped: Biped, speed: float, cadence: float, step_height: float, fps: float) -> MotionPlan:
    """One cycle (two steps): speed m/s, cadence steps/min at 1 m/s, step_height m that the swinging foot clears.

    Cadence grows with the square root of speed, and step length too, as people's do.
    """
    count = round(120.0 / (cadence * speed**0.5) * fps)
    phase = np.arange(count) / count
    stride = speed * count / fps
    scale = stride / 1.04  # of what grows with the stride
    feet = [foot_path(biped, side, phase + 0.5 * side, stride, step_height, scale, SWING) for side in range(2)]
    turn = 2.0 * np.pi * (phase - 0.005)
    root = np.zeros((count, 3))
    root[:, 0] = stride * (phase - 0.25)
    root[:, 2] = -BOB * scale * np.cos(2.0 * turn)
    yaw, roll = -YAW * scale * np.cos(turn), LIST * np.sin(turn)
    waist = dict(zip(WAIST, (-COUNTER * yaw, -UPRIGHT * roll, LEAN), strict=True))
    foot_pos, foot_quat = (np.stack(both, axis=1) for both in zip(*feet, strict=True))
    return MotionPlan(
        fps=fps,
        root_pos=root,
        root_quat=quats(yaw, np.zeros(count), roll),
        foot_pos=foot_pos,
        foot_quat=foot_quat,
        posture=waist | swing_arms(turn, scale, ARM),
        support=support_path(biped, phase, stride),
        travel=np.array([stride, 0.0, 0.0]),
    )


def foot_path(
    biped: Biped, side: int, phase: np.ndarray, stride: float, height: float, scale: float, swing: Swing
) -> tuple[np.ndarray, np.ndarray]:
    """Positions [F,3] m and rotations [F,4] of a foot body; phase [F] counts from its landing at x = 0 (left)."""
    cycle, within = np.floor(phase), phase % 1.0
    yaw = np.full(len(within), swing.toe_out if side == 0 else -swing.toe_out)
    pitch = scale * through(within, *swing.pitches)
    rotation = quats(yaw, pitch, np.zeros(len(within)))
    # the pitch turns about the toe at the start of the swing, about the heel at its end
    pivot = biped.toe + ease((within - swing.lift) / (swing.heel - swing.lift))[:, None] * (biped.heel - biped.toe)
    place = pivot.copy()
    place[:, 0] = (
        cycle * stride - 0.5 * stride * side + stride * glide((within - swing.lift) / (1.0 - swing.lift), *swing.ramps)
    )
    place[:, 1] = swing.half_width if side == 0 else -swing.half_width
    place[:, 2] = biped.sole + pivot[:, 2] + height * through(within, (swing.lift, swing.top, 1.0), (0.0, 1.0, 0.0))
    flat = quats(yaw, 0.0 * yaw, 0.0 * yaw)
    place[:, :2] += rotate(flat, pivot * [1.0, 1.0, 0.0])[:, :2]
    return place - rotate(rotation, pivot), rotation


def swing_arms(turn: np.ndarray, scale: float, arm: Mapping[str, float]) -> dict[str, np.ndarray]:
    """The arms' angles [F] rad about those of `arm`: each swings against its leg, the elbow bends more in front."""
    angles = {}
    for sign, side in zip((1.0, -1.0), SIDES, strict=True):
        back = sign * np.cos(turn - 0.15)  # 1: the arm is behind, the leg of its side in front
        angles[f"{side}_shoulder_pitch"] = arm["shoulder_pitch"] + ARM_SWING * scale * back
        angles[f"{side}_shoulder_roll"] = np.full(len(turn), sign * arm["shoulder_roll"])
        angles[f"{side}_elbow"] = arm["elbow"] + ELBOW_SWING * scale * back
    return angles


def support_path(biped: Biped, phase: np.ndarray, stride: float) -> np.ndarray:
    """Where the ground pushes, [F,2] m: rolls along a foot, and over to the next while weight is shared."""
    step = np.floor(2.0 * phase)  # 0: the left foot has landed last, 1: the right one
    since = phase - 0.5 * step
    share = ease(since / SHARE)
    first, last = (ahead * biped.toe[0] for ahead in ROLL)
    roll = (last - first) / (0.5 + SHARE)
    new = 0.5 * stride * step + first + roll * since
    old = 0.5 * stride * (step - 1.0) + first + roll * (since + 0.5)
    y = HALF_WIDTH * (1.0 - 2.0 * step)
    return np.stack([share * new + (1.0 - share) * old, (2.0 * share - 1.0) * y], axis=1)
