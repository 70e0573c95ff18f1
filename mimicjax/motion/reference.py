"""The motion that env and evaluation are given, whichever way its poses are looked up."""

from __future__ import annotations

import jax

from mimicjax.motion import library
from mimicjax.motion.table import Table, lookup
from mimicjax.types import Clips, Pose, Robot

Motion = Clips | Table


def poses_at(robot: Robot, motion: Motion, clip: jax.Array, time: jax.Array) -> Pose:
    """The reference pose, from the table where there is one."""
    return lookup(motion, clip, time) if isinstance(motion, Table) else library.query(robot, motion, clip, time)


def clips_of(motion: Motion) -> Clips:
    """The clips behind a motion argument."""
    return motion.clips if isinstance(motion, Table) else motion
