"""The motion that env and evaluation are given, whichever way its poses are looked up."""

from __future__ import annotations

from collections.abc import Sequence

import jax

from mimicjax.motion import library, memory, table
from mimicjax.motion.table import Table
from mimicjax.types import Clips, Device, Pose, Robot

Motion = Clips | Table


def prepare(robot: Robot, clips: Clips, control_dt: float, devices: Sequence[Device]) -> tuple[Motion, str]:
    """Clips made ready for lookups in control steps of control_dt s, and a note of how, for the user.

    A table as fine as the devices have memory for; the clips themselves where there is none for any.
    """
    limit = memory.budget(devices)
    plan = memory.plan(robot, clips, control_dt, limit)
    motion = table.tabulate(robot, clips, control_dt, plan.rows_per_step) if plan.rows_per_step else clips
    return motion, memory.note(plan, limit)


def poses_at(robot: Robot, motion: Motion, clip: jax.Array, time: jax.Array) -> Pose:
    """The reference pose of clip [...] at time [...] s, from the table where there is one; clip may broadcast."""
    return (
        table.lookup(robot, motion, clip, time)
        if isinstance(motion, Table)
        else library.query(robot, motion, clip, time)
    )


def now_and_ahead(
    robot: Robot, motion: Motion, clip: jax.Array, time: jax.Array, ahead: jax.Array
) -> tuple[Pose, Pose]:
    """The reference at time [...] s and at time + ahead, ahead [S] s: poses [...] and [...,S]."""
    if isinstance(motion, Table):
        return table.now_and_ahead(robot, motion, clip, time, ahead)
    # two lookups, because of a pose only what is used is computed: of the coming ones that is less
    coming = poses_at(robot, motion, clip[..., None], time[..., None] + ahead)
    return poses_at(robot, motion, clip, time), coming


def clips_of(motion: Motion) -> Clips:
    """What is known of the clips behind a motion: durations, loops, weights. A table's have no frames."""
    return motion.clips if isinstance(motion, Table) else motion


def rows_per_step(motion: Motion) -> int:
    """Rows of the table per control step; 0 without a table."""
    return int(motion.rows_per_step) if isinstance(motion, Table) else 0
