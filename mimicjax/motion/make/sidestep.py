"""The plan of steps to the side: one foot goes out, the other one follows."""

from __future__ import annotations

import numpy as np

from mimicjax.motion.make.balance import MotionPlan
from mimicjax.motion.make.biped import WAIST, Biped
from mimicjax.motion.make.curves import glide, quats, through
from mimicjax.motion.make.gait import ARM

HALF_WIDTH, TOE_OUT = 0.085, 0.06  # m from the middle to a foot, rad
OUT, CLOSE = (0.08, 0.44), (0.58, 0.94)  # phases in which the first foot and the second one swing
SHARE = 0.12  # of the cycle, how long the weight goes over
LIST = 0.04  # rad, the pelvis over the foot that bears


def sidestep(biped: Biped, speed: float, cycle: float, step_height: float, fps: float) -> MotionPlan:
    """One cycle (both feet): speed m/s, positive to the left, cycle s, step_height m that the swinging feet clear."""
    count = round(cycle * fps)
    phase, zero = np.arange(count) / count, np.zeros(count)
    stride, sign = abs(speed) * count / fps, 1.0 if speed >= 0 else -1.0
    first = 0 if speed >= 0 else 1
    foot_pos = np.zeros((count, 2, 3))
    for foot, swing in ((first, OUT), (1 - first, CLOSE)):
        gone = (phase - swing[0]) / (swing[1] - swing[0])
        foot_pos[:, foot, 1] = (HALF_WIDTH if foot == 0 else -HALF_WIDTH) + sign * stride * glide(gone, 0.4, 0.4)
        foot_pos[:, foot, 2] = biped.sole + step_height * through(gone, (0.0, 0.5, 1.0), (0.0, 1.0, 0.0))
    # the weight is on the second foot while the first swings, then on the first, then on the second in its next place
    times = (0.51 - SHARE / 2, 0.51 + SHARE / 2, 1.01 - SHARE / 2, 1.01 + SHARE / 2)
    near, far = -sign * HALF_WIDTH, sign * (HALF_WIDTH + stride)
    went = through(phase, times, (near, far, far, near + sign * stride))
    begun = (
        through(phase + 1.0, times, (near, far, far, near + sign * stride)) - sign * stride
    )  # the end of the cycle before
    across = np.where(phase < 0.25, begun, went)
    lean = LIST * sign * np.sin(2.0 * np.pi * (phase - 0.26))
    yaw = np.stack([zero + TOE_OUT, zero - TOE_OUT])
    arms = {f"{side}_{part}": angle * (turn if part == "shoulder_roll" else 1.0)
            for side, turn in (("left", 1.0), ("right", -1.0)) for part, angle in ARM.items()}  # fmt: skip
    return MotionPlan(
        fps=fps,
        root_pos=np.stack([zero, sign * stride * phase, zero], axis=1),
        root_quat=quats(zero, zero, -lean),
        foot_pos=foot_pos,
        foot_quat=np.stack([quats(y, zero, zero) for y in yaw], axis=1),
        posture=dict(zip(WAIST, (zero, 0.8 * lean, zero), strict=True)) | arms,
        support=np.stack([zero + 0.4 * (biped.heel[0] + biped.toe[0]), across], axis=1),
        travel=np.array([0.0, sign * stride, 0.0]),
    )
