"""The plan of a jog: one foot at a time bears, and between two steps none does.

The ground's push along z is planned, so that the centre of mass falls freely in flight; along x and y it points from the
foot to the centre of mass, as in a spring-loaded inverted pendulum (Blickhan 1989) with its height taken as constant.
"""

from __future__ import annotations

import numpy as np

from mimicjax.motion.make.balance import MotionPlan
from mimicjax.motion.make.biped import WAIST, Biped
from mimicjax.motion.make.curves import quats
from mimicjax.motion.make.gait import Swing, foot_path, swing_arms

GRAVITY = 9.81
CYCLE = 0.70  # s, two steps: 171 steps per minute, as joggers have it at any speed
STANCE = 0.38  # of the cycle, how long a foot bears; less than half, so that there is flight
SWING = Swing(
    lift=STANCE, top=0.66, heel=0.97, ramps=(0.3, 0.42), half_width=0.055, toe_out=0.03,
    pitches=((0.20, 0.50, 0.88, 1.0), (0.0, 0.95, -0.08, 0.0)),
)  # fmt: skip
ROLL = (0.2, 0.8)  # shares of the way from the ankle to the toe, between which the support rolls
YAW, LIST, LEAN = 0.10, 0.03, 0.08  # rad, of the pelvis
COUNTER, TORSO_LEAN = 1.8, 0.06  # of the torso on the pelvis: share of its yaw, rad forward
ARM = {"shoulder_pitch": 0.25, "shoulder_roll": 0.23, "elbow": 0.1}  # rad, left; roll is mirrored
COM = 1.1  # height of the centre of mass, share of the leg's length


def jog(biped: Biped, speed: float, step_height: float, fps: float) -> MotionPlan:
    """One cycle (two steps): speed m/s, step_height m that the swinging foot clears."""
    count = round(CYCLE * fps)
    phase = np.arange(count) / count
    stride = speed * count / fps
    scale = stride / 1.4  # of what grows with the stride
    feet = [foot_path(biped, side, phase + 0.5 * side, stride, step_height, scale, SWING) for side in range(2)]
    foot_pos, foot_quat = (np.stack(both, axis=1) for both in zip(*feet, strict=True))
    turn = 2.0 * np.pi * (phase - 0.5 * STANCE + 0.25)  # as in a walk, the foot in front at phase 0
    com = mass_path(biped, phase, stride, fps)
    yaw, zero = -YAW * scale * np.cos(turn), np.zeros(count)
    waist = dict(zip(WAIST, (-COUNTER * yaw, -LIST * np.sin(turn), np.full(count, TORSO_LEAN)), strict=True))
    return MotionPlan(
        fps=fps,
        root_pos=com,
        root_quat=quats(yaw, zero + LEAN, LIST * np.sin(turn)),
        foot_pos=foot_pos,
        foot_quat=foot_quat,
        posture=waist | swing_arms(turn, scale, ARM),
        support=np.zeros((count, 2)),
        travel=np.array([stride, 0.0, 0.0]),
        com=com,
    )


def mass_path(biped: Biped, phase: np.ndarray, stride: float, fps: float) -> np.ndarray:
    """How the centre of mass moves, [F,3] m, z about 0, under the pushes of both feet."""
    step = np.floor(2.0 * phase)
    since = phase - 0.5 * step
    load = np.where(since < STANCE, np.sin(np.pi * since / STANCE) ** 2, 0.0)
    load /= load.mean()  # in weights
    first, last = (ahead * biped.toe[0] for ahead in ROLL)
    support = np.stack(
        [0.5 * stride * step + first + (last - first) * since / STANCE, SWING.half_width * (1.0 - 2.0 * step)], axis=1
    )
    omega = 2.0 * np.pi * fps * np.fft.rfftfreq(len(phase))
    omega[0] = np.inf
    height = np.fft.irfft(np.fft.rfft(GRAVITY * (load - 1.0)) / -(omega**2), n=len(phase))
    even = np.stack([stride * phase, np.zeros(len(phase))], axis=1)
    # c'' = f (c - p) with c - even periodic, f = load g / h
    pull = load * GRAVITY / (COM * biped.leg_length)
    ring = np.eye(len(phase))
    second = (np.roll(ring, 1, axis=0) - 2.0 * ring + np.roll(ring, -1, axis=0)) * fps**2
    deviation = np.linalg.solve(second - np.diag(pull), -pull[:, None] * (support - even))
    return np.concatenate([even + deviation, height[:, None]], axis=1)
