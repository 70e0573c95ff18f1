"""The schema of disturbances: random wrenches, payloads and root velocity pushes while training (docs/disturbances.md)."""

from __future__ import annotations

import dataclasses
from typing import Literal

from mimicjax.config.key import key


@dataclasses.dataclass(frozen=True)
class CurriculumSettings:
    """How the magnitudes of a profile grow while training."""

    by: Literal["none", "samples", "success"] = key(
        "none", "none: full at once; samples: grow over training; success: per environment, with what it survives"
    )
    begin: float = key(0.1, "first share of the magnitudes", low=0.0, high=1.0)
    samples: float = key(1e7, "samples: control steps of all environments until the share is 1", above=0.0)
    rise: float = key(
        0.05,
        "success: added to the share by a push survived for 1 s, and an episode without failure",
        low=0.0,
        high=1.0,
    )
    fall: float = key(0.05, "success: taken from it by a failure, never below begin", low=0.0, high=1.0)


@dataclasses.dataclass(frozen=True)
class PushSettings:
    """One profile of pushes: what comes when, where, how strong and how long."""

    bodies: list[str] = key([], "bodies that are pushed; [] for the wrench_bodies of robot.yaml")
    together: bool = key(False, "push all bodies at once, each its own way, else one drawn for each push")
    force: list[float] = key([0.0, 0.0], "[low, high] N, range of a push's size", low=0.0)
    force_axes: list[float] = key([1.0, 1.0, 1.0], "how much each axis counts in the force's direction", low=0.0)
    torque: list[float] = key([0.0, 0.0], "[low, high] N m, range of a push's torque", low=0.0)
    torque_axes: list[float] = key([1.0, 1.0, 1.0], "how much each axis counts in the torque's direction", low=0.0)
    direction: Literal["sphere", "box"] = key(
        "sphere", "sphere: any direction, stretched by axes; box: each axis its own, within size x axes"
    )
    distribution: Literal["uniform", "normal", "log_uniform"] = key(
        "uniform", "of sizes in their range; normal: small ones most, half a bell with its 2 sigma at high"
    )
    frame: Literal["world", "body"] = key("world", "axes of force and torque")
    offset: list[float] = key(
        [0.0, 0.0, 0.0], "half-ranges m of where the force acts, from the centre of mass in the body's axes", low=0.0
    )
    shape: Literal["constant", "half_sine"] = key("constant", "course of a push; half_sine has its size as its peak")
    interval: list[float] = key([1.0, 3.0], "[low, high] s from a reset or the end of a push to the next", low=0.0)
    probability: float = key(1.0, "that a push follows an interval (an episode, if sustained)", low=0.0, high=1.0)
    duration: list[float] = key([0.1, 0.3], "[low, high] s of a push", low=0.0)
    sustained: bool = key(False, "begins with the episode and lasts as long; interval and duration do not count")
    payload: list[float] = key([0.0, 0.0], "[low, high] kg whose weight each body carries through the episode", low=0.0)
    velocity: list[float] = key([0.0, 0.0, 0.0], "half-ranges m/s added to the root's velocity, world axes", low=0.0)
    angular_velocity: list[float] = key([0.0, 0.0, 0.0], "the same for its angular velocity, rad/s", low=0.0)
    velocity_magnitude: list[float] = key(
        [0.0, 0.0], "[low, high] m/s added to the root's velocity along a random heading", low=0.0
    )
    curriculum: CurriculumSettings = key(CurriculumSettings, "")


@dataclasses.dataclass(frozen=True)
class DisturbSettings:
    """Pushes while training; tests and evaluation are without."""

    observe: bool = key(
        False, "the critic sees the coming step's wrenches, the levels and whether the environment is pushed"
    )
    quiet: float = key(0.0, "share of the environments that are never pushed, for precision", low=0.0, high=1.0)
    profiles: dict[str, PushSettings] = key({}, "profiles, all at work at once; null removes an inherited one")
