"""The plan of a jump on the spot: a crouch, a push, free flight, and the same backwards."""

from __future__ import annotations

import numpy as np

from mimicjax.motion.make.balance import MotionPlan
from mimicjax.motion.make.biped import SIDES, WAIST, Biped
from mimicjax.motion.make.curves import ease, quats, rotate, through

GRAVITY = 9.81
STAND, DOWN, PUSH, RISE, REST = 0.3, 0.55, 0.28, 0.8, 0.3  # s
CROUCH, REACH = 0.26, 0.26  # of the leg's length: how far the centre of mass goes down, and up from there by the push
HALF_WIDTH, TOE_OUT = 0.10, 0.10  # m from the middle to a foot, rad
TIPTOE, POINTED = (
    0.6,
    1.15,
)  # rad, how far the heels rise about the toes; at most this share of what the ankles let them
LEAN, WAIST_LEAN = 0.3, 0.25  # rad forward in the crouch, of the pelvis and of the torso on it
ARM = {"shoulder_roll": 0.28, "elbow": 0.9}  # rad, left; roll is mirrored
PITCH = (0.2, 0.9, -1.2)  # rad, of the shoulders: standing, in the crouch, in flight


def jump(biped: Biped, height: float, fps: float) -> MotionPlan:
    """Stand, jump until the centre of mass is `height` m above where the feet left the ground, land, stand."""
    crouch, reach, speed = CROUCH * biped.leg_length, REACH * biped.leg_length, np.sqrt(2.0 * GRAVITY * height)
    low = STAND + DOWN
    off = low + PUSH
    apex = off + speed / GRAVITY
    count = round((2.0 * apex + RISE - DOWN + REST - STAND) * fps)
    time = np.arange(count) / fps
    before = apex - np.abs(time - apex)  # the time before the apex at which the motion was the same
    rise = ease((time - (2.0 * apex - low)) / RISE)  # slower than the way down
    down = np.where(time > apex, 1.0 - rise, ease((time - STAND) / DOWN))
    air = before - off
    com = np.zeros((count, 3))
    com[:, 0] = 0.5 * (biped.heel[0] + biped.toe[0])
    com[:, 2] = np.where(
        air > 0.0,
        reach - crouch + speed * air - 0.5 * GRAVITY * air**2,
        np.where(before > low, -crouch + _push((before - low) / PUSH, reach, speed), -crouch * down),
    )
    up = ease((before - low) / (apex - low))
    feet = [_foot(biped, side, before, off, apex, height) for side in range(2)]
    foot_pos, foot_quat = (np.stack(both, axis=1) for both in zip(*feet, strict=True))
    zero, bent = np.zeros(count), down * (1.0 - up)
    posture = {name: share * bent for name, share in zip(WAIST, (0.0, 0.0, WAIST_LEAN), strict=True)}
    for sign, side in zip((1.0, -1.0), SIDES, strict=True):
        stand, back, raised = PITCH
        posture[f"{side}_shoulder_pitch"] = stand + (back - stand) * bent + (raised - stand) * up
        posture[f"{side}_shoulder_roll"] = zero + sign * ARM["shoulder_roll"]
        posture[f"{side}_elbow"] = zero + ARM["elbow"]
    return MotionPlan(
        fps=fps,
        root_pos=com,
        root_quat=quats(zero, LEAN * bent, zero),
        foot_pos=foot_pos,
        foot_quat=foot_quat,
        posture=posture,
        support=np.zeros((count, 2)),
        travel=np.zeros(3),
        com=com,
    )


def _push(t: np.ndarray, reach: float, speed: float) -> np.ndarray:
    """Height m over time (0 to 1 of PUSH): from rest to `reach` with `speed` m/s and the acceleration of free fall."""
    t = np.clip(t, 0.0, 1.0)
    ends = np.array([reach, speed * PUSH, -GRAVITY * PUSH**2])
    powers = np.array([[1.0, 1.0, 1.0], [3.0, 4.0, 5.0], [6.0, 12.0, 20.0]])
    return np.stack([t**3, t**4, t**5], axis=-1) @ np.linalg.solve(powers, ends)


def _foot(
    biped: Biped, side: int, before: np.ndarray, off: float, apex: float, height: float
) -> tuple[np.ndarray, np.ndarray]:
    """Positions [F,3] m and rotations [F,4] of a foot body, at times before the apex as in `jump`."""
    sign = 1.0 if side == 0 else -1.0
    tiptoe = min(TIPTOE, POINTED * biped.point)
    pitch = through(before, (off - 0.16, off + 0.04, apex), (0.0, tiptoe, 0.5 * tiptoe))
    yaw = np.full(len(before), sign * TOE_OUT)
    rotation, flat = quats(yaw, pitch, 0.0 * yaw), quats(yaw, 0.0 * yaw, 0.0 * yaw)
    place = np.zeros((len(before), 3))
    place[:, 1] = sign * HALF_WIDTH
    place += rotate(flat, biped.toe * [1.0, 1.0, 0.0])
    place[:, 2] = biped.sole + biped.toe[2] + height * ease((before - off) / (apex - off))
    return place - rotate(rotation, biped.toe), rotation
