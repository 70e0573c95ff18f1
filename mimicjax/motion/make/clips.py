"""Motions made by code: a maker plans feet, posture and support; inverse kinematics and dynamics do the rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from mimicjax.errors import UserError, unknown
from mimicjax.motion.coordinates import dof_pos_of
from mimicjax.motion.make import (
    balance,
    ball_legs,
    gait,
    gestures,
    hinge_legs,
    jog,
    jump,
    sidestep,
    similar,
    squat,
    trot,
)
from mimicjax.motion.make.biped import Biped
from mimicjax.types import BALL, CLAMP, WRAP, Clip, Robot


class Option(NamedTuple):
    """A number that a maker takes; default and range are those of legs as long as the G1's."""

    default: float
    low: float
    high: float
    help: str  # with its unit
    power: float = 0.0  # of the legs' size: 1 for lengths, 0.5 for speeds and times (similar.py)
    grows: bool = True  # whether default and range grow with the legs too


class Maker(NamedTuple):
    """A motion that can be made: solve(robot, powers, **options) -> (qpos [F,nq], travel [3] m), with every option given.

    powers are the options' (Option.power). qpos is one period; frame F would be frame 0 plus `travel`.
    """

    help: str
    loop: int
    options: dict[str, Option]
    solve: Callable[..., tuple[np.ndarray, np.ndarray]]


def _of_biped(plan: Callable[..., balance.MotionPlan]) -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    """The solver of a motion that plan(biped, **options) plans."""

    def solve(robot: Robot, powers: Mapping[str, float], **options: float) -> tuple[np.ndarray, np.ndarray]:
        body = _measured(robot)
        planned = similar.planned(plan, body, options, powers)
        return balance.solve(body, planned), planned.travel

    return solve


def _measured(robot: Robot) -> Biped:
    return (ball_legs if ball_legs.fits(robot) else hinge_legs).measure(robot)


def _backwards(robot: Robot, powers: Mapping[str, float], **options: float) -> tuple[np.ndarray, np.ndarray]:
    """A walk in reversed time: what balances one way balances the other, and people do walk backwards so (Winter et al. 1989)."""
    qpos, travel = _of_biped(gait.walk)(robot, powers, **options)
    return np.roll(qpos[::-1], 1, axis=0) - _moved(qpos, travel), -travel


def _trot(robot: Robot, powers: Mapping[str, float], **options: float) -> tuple[np.ndarray, np.ndarray]:
    return trot.trot(robot, **options)


def _moved(qpos: np.ndarray, travel: np.ndarray) -> np.ndarray:
    """[F,nq] that takes the reversed frames to where they follow frame 0: all but it are of the cycle before."""
    moved = np.zeros_like(qpos)
    moved[1:, :3] = travel
    return moved


LENGTH, SPEED = 1.0, 0.5  # powers of the size; times are as speeds
FPS = {"fps": Option(60.0, 24.0, 500.0, "frames per second")}
GAIT = {
    "speed": Option(1.0, 0.3, 1.1, "m/s", SPEED),
    "cadence": Option(115.0, 108.0, 150.0, "steps per minute at 1 m/s; grows with the square root of speed", -0.75),
    # what a foot must clear is set by its own length as it tilts, which is much the same for short legs
    "step_height": Option(0.05, 0.04, 0.12, "m that the swinging foot clears", LENGTH, grows=False),
    "fps": Option(120.0, 24.0, 500.0, "frames per second"),
}
MAKERS = {
    "walk": Maker(
        "walks straight ahead; one cycle of two steps, loops",
        WRAP,
        GAIT,
        _of_biped(gait.walk),
    ),
    "back": Maker(
        "walks straight backwards; one cycle of two steps, loops",
        WRAP,
        {**GAIT, "speed": Option(0.6, 0.3, 0.9, "m/s", SPEED)},
        _backwards,
    ),
    "sidestep": Maker(
        "steps to the left, or at negative speed to the right; one cycle of two steps, loops",
        WRAP,
        {
            "speed": Option(0.25, -0.3, 0.3, "m/s", SPEED),
            "cycle": Option(0.8, 0.7, 1.2, "s for both feet to step", SPEED),
            "step_height": Option(0.05, 0.03, 0.1, "m that the swinging feet clear", LENGTH),
            "fps": Option(120.0, 24.0, 500.0, "frames per second"),
        },
        _of_biped(sidestep.sidestep),
    ),
    "wave": Maker(
        "stands and waves with the right arm; does not loop",
        CLAMP,
        {"times": Option(3.0, 1.0, 8.0, "swings of the forearm"), **FPS},
        _of_biped(gestures.wave),
    ),
    "bow": Maker(
        "stands, bows, stands; does not loop",
        CLAMP,
        {"angle": Option(0.7, 0.1, 0.9, "rad that the torso leans"), **FPS},
        _of_biped(gestures.bow),
    ),
    "punch": Maker(
        "a straight with the left and one with the right, from a guard; does not loop",
        CLAMP,
        {"reach": Option(0.9, 0.3, 1.0, "how far the arms stretch, 1: all the way"), **FPS},
        _of_biped(gestures.punch),
    ),
    "balance": Maker(
        "stands on the left leg for 2 s; does not loop",
        CLAMP,
        {"height": Option(0.15, 0.03, 0.25, "m that the right foot is lifted", LENGTH), **FPS},
        _of_biped(gestures.balance),
    ),
    "kick": Maker(
        "stands on the left leg and kicks forward with the right; does not loop",
        CLAMP,
        {"reach": Option(0.35, 0.1, 0.45, "m that the foot goes forward", LENGTH), **FPS},
        _of_biped(gestures.kick),
    ),
    "squat": Maker(
        "stands, squats reaching forward with both arms, stands; does not loop",
        CLAMP,
        {
            "depth": Option(0.32, 0.05, 0.34, "m that the pelvis goes down", LENGTH),
            "fps": Option(60.0, 24.0, 500.0, "frames per second"),
        },
        _of_biped(squat.squat),
    ),
    "jog": Maker(
        "runs straight ahead; one cycle of two steps with flight between them, loops",
        WRAP,
        {
            "speed": Option(2.0, 1.0, 2.5, "m/s", SPEED),
            "step_height": Option(0.12, 0.06, 0.16, "m that the swinging foot clears", LENGTH),
            "fps": Option(120.0, 24.0, 500.0, "frames per second"),
        },
        _of_biped(jog.jog),
    ),
    "jump": Maker(
        "stands, crouches, jumps straight up, lands, stands; does not loop",
        CLAMP,
        {
            "height": Option(0.2, 0.05, 0.3, "m that the centre of mass rises in flight", LENGTH),
            "fps": Option(60.0, 24.0, 500.0, "frames per second"),
        },
        _of_biped(jump.jump),
    ),
    "trot": Maker(
        "a quadruped trots straight ahead; one cycle of two steps, loops",
        WRAP,
        {
            "speed": Option(0.8, 0.2, 1.2, "m/s", SPEED),
            "cycle": Option(0.5, 0.3, 0.7, "s for both pairs of legs to step"),
            "step_height": Option(0.06, 0.02, 0.1, "m that the swinging feet clear", LENGTH),
            "fps": Option(120.0, 24.0, 500.0, "frames per second"),
        },
        _trot,
    ),
}


def make(maker: str, robot: Robot, command: str = "", **options: float) -> Clip:
    """The clip that `maker` (see MAKERS) makes for a robot; its first frame is at x = 0, heading along x.

    Options have the maker's units and default to its defaults; `command` is kept in the clip as its maker.
    Raises UserError for an unknown maker or option, a value out of range, or a robot that cannot do it.
    """
    if maker not in MAKERS:
        raise unknown("make", "maker", maker, MAKERS)
    known = _sized(MAKERS[maker], robot)
    for name, value in options.items():
        if name not in known:
            raise UserError(f"{maker} has no option {_flag(name)}; it has {', '.join(map(_flag, known))}")
        low, high = known[name].low, known[name].high
        if not low <= value <= high:
            raise UserError(f"{maker}: {_flag(name)} is {value:g}; allowed: {low:.4g} to {high:.4g} {known[name].help}")
    values = {name: option.default for name, option in known.items()} | options
    qpos, travel = MAKERS[maker].solve(robot, {name: option.power for name, option in known.items()}, **values)
    last = qpos[:1] + np.pad(travel, (0, qpos.shape[1] - 3))
    qpos = np.concatenate([qpos, last]) - np.eye(1, qpos.shape[1]) * qpos[0, 0]
    dof_pos = dof_pos_of(robot, qpos)
    _check_limits(robot, maker, dof_pos)
    return Clip(
        name=maker, robot=robot.name, dof_names=robot.dof_names, fps=values["fps"], loop=MAKERS[maker].loop,
        root_pos=qpos[:, :3], root_quat=qpos[:, 3:7], dof_pos=dof_pos, maker=command, licence="MIT",
    )  # fmt: skip


def _sized(maker: Maker, robot: Robot) -> dict[str, Option]:
    """The maker's options as they are for the robot's size."""
    size = 1.0 if maker.solve is _trot else _measured(robot).size
    result = {}
    for name, option in maker.options.items():
        by = size**option.power if option.grows else 1.0
        result[name] = option._replace(default=option.default * by, low=option.low * by, high=option.high * by)
    return result


def _check_limits(robot: Robot, maker: str, dof_pos: np.ndarray) -> None:
    over = np.maximum(dof_pos - robot.dof_range[:, 1], robot.dof_range[:, 0] - dof_pos).max(axis=0)
    for joint in np.flatnonzero(robot.joint_kinds == BALL):  # what is limited is the whole angle
        dofs = robot.joint_dof[joint] + np.arange(3)
        over[dofs] = np.linalg.norm(dof_pos[:, dofs], axis=1).max() - robot.dof_range[dofs[0], 1]
    if over.max() > 0.0:
        joint = robot.dof_names[int(over.argmax())]
        raise UserError(
            f"{maker}: {joint} of robot {robot.name} would leave its limits by {over.max():.3f} rad; "
            "ask for less speed, height or depth, or more steps per minute"
        )


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")
