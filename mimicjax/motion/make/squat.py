"""The plan of a squat: down with both arms reaching forward, a pause, up again; the feet stay where they are."""

from __future__ import annotations

import numpy as np

from mimicjax.motion.make.balance import MotionPlan
from mimicjax.motion.make.biped import SIDES, WAIST, Biped
from mimicjax.motion.make.curves import quats, through

TIMES = (0.4, 1.9, 2.4, 3.9, 4.5)  # s: starts, is down, rises, is up, ends
HALF_WIDTH, TOE_OUT = 0.13, 0.22  # m from the middle to a foot, rad
LEAN, WAIST_LEAN = 0.08, 0.20  # rad forward at the bottom, of the pelvis and of the torso on it; more tires the waist
ARM = {  # rad of the left arm, standing and at the bottom; roll is mirrored
    "shoulder_pitch": (0.2, -1.5),
    "shoulder_roll": (0.25, 0.28),
    "elbow": (1.1, 1.0),
}


def squat(biped: Biped, depth: float, fps: float) -> MotionPlan:
    """Stand, squat until the pelvis is `depth` m lower, stand: 4.5 s, statically balanced by its slowness."""
    count = round(TIMES[-1] * fps)
    down = through(np.arange(count) / fps, TIMES[:4], (0.0, 1.0, 1.0, 0.0))
    share = down * depth / 0.33  # leans and reaches belong to the depth
    zero = np.zeros(count)
    root = np.stack([zero, zero, -depth * down], axis=1)
    posture = {name: angle * share for name, angle in zip(WAIST, (0.0, 0.0, WAIST_LEAN), strict=True)}
    for sign, side in zip((1.0, -1.0), SIDES, strict=True):
        for part, (stand, bottom) in ARM.items():
            angle = stand + (bottom - stand) * (down if part != "elbow" else share)
            posture[f"{side}_{part}"] = angle * (sign if part == "shoulder_roll" else 1.0)
    yaw = np.stack([zero + TOE_OUT, zero - TOE_OUT])
    feet = np.array([[0.0, HALF_WIDTH, biped.sole], [0.0, -HALF_WIDTH, biped.sole]])
    # a little behind the middle of the sole: so the ankles bend less
    behind = 0.35 * (biped.heel[0] + biped.toe[0])
    return MotionPlan(
        fps=fps,
        root_pos=root,
        root_quat=quats(zero, LEAN * share, zero),
        foot_pos=np.tile(feet, (count, 1, 1)),
        foot_quat=np.stack([quats(y, zero, zero) for y in yaw], axis=1),
        posture=posture,
        support=np.tile([behind, 0.0], (count, 1)),
        travel=np.zeros(3),
    )
