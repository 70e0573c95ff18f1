"""Joint gains that follow from the motors instead of the robot's files."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from mimicjax.config.settings import EngineSettings
from mimicjax.errors import UserError
from mimicjax.types import Robot

READ = ("natural_frequency", "damping_ratio")  # keys of `engine` that only gains from armature read


def of(robot: Robot, settings: EngineSettings) -> Robot:
    """The robot with the gains that settings ask for: its own, or kp = I w^2 and kd = 2 z I w (BeyondMimic, mjlab).

    I is a joint's armature, the inertia of its motor reflected through the gears, w = 2 pi natural_frequency and z
    damping_ratio those of a joint whose motor moves nothing but itself. Raises UserError for a joint without armature, and
    for keys that nothing reads.
    """
    if settings.gains == "robot":
        defaults = EngineSettings()
        for name in READ:
            if getattr(settings, name) != getattr(defaults, name):
                raise UserError(
                    f"engine.{name} is {getattr(settings, name):g}, and engine.gains robot does not read it; leave it out, "
                    "or use engine.gains armature"
                )
        return robot
    missing = np.flatnonzero(~(robot.armature > 0))
    if len(missing):
        raise UserError(
            f"engine.gains armature: joint {robot.dof_names[missing[0]]} has no armature in {robot.xml}; give it one (kg m^2), "
            "or use engine.gains robot"
        )
    w = 2.0 * math.pi * settings.natural_frequency
    inertia = np.asarray(robot.armature, np.float64)
    stiffness, damping = inertia * w**2, 2.0 * settings.damping_ratio * inertia * w
    return dataclasses.replace(robot, kp=stiffness.astype(np.float32), kd=damping.astype(np.float32))
