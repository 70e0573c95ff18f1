"""Plans of what is done on the spot: a wave, a bow, punches, a stand on one leg, a kick. They begin and end standing."""

from __future__ import annotations

import numpy as np

from mimicjax.motion.make.balance import MotionPlan
from mimicjax.motion.make.biped import SIDES, WAIST, Biped
from mimicjax.motion.make.curves import quats, through

HALF_WIDTH, TOE_OUT = 0.10, 0.12  # m from the middle to a foot, rad
REST = {"shoulder_pitch": 0.2, "shoulder_roll": 0.25, "elbow": 1.1}  # rad of the left arm; roll is mirrored
SIGNS = {"left": 1.0, "right": -1.0}
STRETCH = 0.03  # m that the pelvis stands below where the legs would be straight


def wave(biped: Biped, times: float, fps: float) -> MotionPlan:
    """Raise the right hand in front of the shoulder, swing it out and in `times` times, lower it."""
    t = _time(2.4 + 0.7 * times, fps)
    up = through(t, (0.2, 1.1, t[-1] - 1.1, t[-1] - 0.1), (0.0, 1.0, 1.0, 0.0))
    arms = _arms(len(t))
    swing = np.sin(2.0 * np.pi * np.clip(t - 1.2, 0.0, 0.7 * times) / 0.7)
    arms["right_shoulder_pitch"] = arms["right_shoulder_pitch"] - 1.1 * up
    arms["right_elbow"] = arms["right_elbow"] - 1.4 * up
    arms["right_shoulder_roll"] = arms["right_shoulder_roll"] - up * (0.3 + 0.3 * swing)
    return _plan(biped, fps, arms | _waist(0.0, -0.05 * up, 0.0 * t))


def bow(biped: Biped, angle: float, fps: float) -> MotionPlan:
    """Lean forward by `angle` rad, pause, stand up; two thirds in the hips, the rest in the waist if there is one."""
    t = _time(4.2, fps)
    down = through(t, (0.3, 1.7, 2.3, 3.9), (0.0, 1.0, 1.0, 0.0))
    arms = _arms(len(t))
    for side in SIDES:
        arms[f"{side}_shoulder_pitch"] = arms[f"{side}_shoulder_pitch"] - 0.7 * angle * down
    drop = -0.03 * down * angle
    of_hips = 2.0 / 3.0 if biped.waist else 1.0
    lean = quats(0.0 * t, of_hips * angle * down, 0.0 * t)
    return _plan(biped, fps, arms | _waist(0.0 * t, 0.0, angle / 3.0 * down), lean=lean, drop=drop)


def punch(biped: Biped, reach: float, fps: float) -> MotionPlan:
    """From a guard, left foot in front: a straight with the left, one with the right; reach 1 stretches the arms."""
    t = _time(3.6, fps)
    guard = through(t, (0.1, 0.7, 2.9, 3.5), (0.0, 1.0, 1.0, 0.0))
    hits = {
        "left": through(t, (0.95, 1.25, 1.32, 1.65), (0.0, 1.0, 1.0, 0.0)),
        "right": through(t, (1.85, 2.15, 2.22, 2.6), (0.0, 1.0, 1.0, 0.0)),
    }
    arms = _arms(len(t))
    for side, hit in hits.items():
        arms[f"{side}_shoulder_pitch"] = arms[f"{side}_shoulder_pitch"] - 0.75 * guard - 0.85 * reach * hit
        arms[f"{side}_shoulder_roll"] = arms[f"{side}_shoulder_roll"] * (1.0 - 0.6 * guard)
        arms[f"{side}_elbow"] = arms[f"{side}_elbow"] - 1.5 * guard + 1.7 * reach * hit
    turn = 0.35 * reach * (hits["right"] - hits["left"])
    return _plan(biped, fps, arms | _waist(turn, 0.0 * t, 0.05 * guard), split=0.12, drop=-0.02 * guard)


def balance(biped: Biped, height: float, fps: float) -> MotionPlan:
    """Lift the right foot by `height` m, stand on the left one for 2 s with the arms out, put it down."""
    t = _time(6.2, fps)
    over = through(t, (0.2, 1.5, 4.7, 6.0), (0.0, 1.0, 1.0, 0.0))
    lift = through(t, (1.4, 2.3, 4.0, 4.9), (0.0, 1.0, 1.0, 0.0))
    arms = _arms(len(t))
    for side, sign in SIGNS.items():
        arms[f"{side}_shoulder_roll"] = arms[f"{side}_shoulder_roll"] + sign * 0.7 * over
    path = np.stack([0.05 * lift, 0.02 * lift, height * lift], axis=1)
    return _plan(biped, fps, arms | _waist(0.0, 0.0, 0.0 * t), over=over, path=path)


def kick(biped: Biped, reach: float, fps: float) -> MotionPlan:
    """Stand on the left leg, swing the right foot back and kick it forward by `reach` m, put it down."""
    t = _time(4.6, fps)
    over = through(t, (0.1, 1.3, 3.3, 4.5), (0.0, 1.0, 1.0, 0.0))
    forward = through(t, (1.2, 1.75, 2.15, 2.9), (0.0, -0.45, 1.0, 0.0))
    high = through(t, (1.2, 1.7, 2.15, 2.95), (0.0, 0.1, 0.2, 0.0))
    arms = _arms(len(t))
    for side, sign in SIGNS.items():
        swing = sign * 0.45 * forward * reach / 0.35  # against the leg
        arms[f"{side}_shoulder_pitch"] = arms[f"{side}_shoulder_pitch"] - swing
        arms[f"{side}_shoulder_roll"] = arms[f"{side}_shoulder_roll"] + sign * 0.35 * over
    path = np.stack([reach * forward, 0.02 * over, high * (reach / 0.35)], axis=1)
    pitch = -0.5 * np.clip(forward, -0.4, 1.0) * reach / 0.35
    return _plan(biped, fps, arms | _waist(0.0, 0.0, 0.0 * t), over=over, path=path, pitch=pitch)


def _time(seconds: float, fps: float) -> np.ndarray:
    return np.arange(round(seconds * fps)) / fps


def _arms(count: int) -> dict[str, np.ndarray]:
    """Both arms hanging, [F] rad each."""
    mirrored = lambda part, side: SIGNS[side] if part == "shoulder_roll" else 1.0  # noqa: E731
    return {
        f"{side}_{part}": np.full(count, mirrored(part, side) * angle) for side in SIDES for part, angle in REST.items()
    }


def _waist(
    yaw: np.ndarray | float, roll: np.ndarray | float, pitch: np.ndarray | float
) -> dict[str, np.ndarray | float]:
    return dict(zip(WAIST, (yaw, roll, pitch), strict=True))


def _plan(
    biped: Biped,
    fps: float,
    posture: dict[str, np.ndarray | float],
    *,
    lean: np.ndarray | None = None,
    drop: np.ndarray | float = 0.0,
    split: float = 0.0,
    over: np.ndarray | float = 0.0,
    path: np.ndarray | None = None,
    pitch: np.ndarray | None = None,
) -> MotionPlan:
    """Feet on the ground, the left one `split` m in front of the right; weight goes to the left foot by the share `over` [F].

    lean: the pelvis's rotation [F,4]; drop: its height [F] m; path [F,3] m, pitch [F] rad: how the right foot moves.
    """
    count = len(np.asarray(posture["left_elbow"]))
    zero, shared = np.zeros(count), np.broadcast_to(over, count)
    width = HALF_WIDTH * (1.0 - 0.25 * np.sign(shared.max()))  # on one leg, the nearer the feet the less the sway
    feet = np.array([[0.5 * split, width, biped.sole], [-0.5 * split, -width, biped.sole]])
    foot_pos = np.tile(feet, (count, 1, 1))
    if path is not None:
        foot_pos[:, 1] += path
    right = zero if pitch is None else pitch
    middle = 0.3 * (biped.heel[0] + biped.toe[0])
    support = np.stack([zero + middle + 0.5 * split * shared, width * shared], axis=1)
    root = np.stack([zero, width * shared, zero + drop - STRETCH], axis=1)
    return MotionPlan(
        fps=fps,
        root_pos=root,
        root_quat=quats(zero, zero, zero) if lean is None else lean,
        foot_pos=foot_pos,
        foot_quat=np.stack([quats(zero + TOE_OUT, zero, zero), quats(zero - TOE_OUT, right, zero)], axis=1),
        posture=posture,
        support=support,
        travel=np.zeros(3),
    )
