"""A reference that waits: the clip's time stands still while the robot is far off, so that it is not left behind by a shove."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp

from mimicjax.types import Array, Pose


class Waiting(NamedTuple):
    """How long the clip has stood still."""

    steps: Array  # [] int32, control steps of this episode in which it did, the coming one included
    now: Array  # [] bool, whether it will in the coming one


def begin(limit: float | None) -> Any:
    """As every episode begins: the clip runs. (), which all of this passes on as it is, without a limit."""
    return () if limit is None else Waiting(jnp.int32(0), jnp.asarray(False))


def after(waiting: Any, limit: float | None, robot: Pose, reference: Pose) -> Any:
    """After a control step: the clip waits in the next one if bodies are on average more than `limit` m from the reference."""
    if limit is None:
        return waiting
    far = jnp.mean(jnp.linalg.norm(reference.body_pos - robot.body_pos, axis=-1)) > limit
    return Waiting(waiting.steps + far, far)


def standing(pose: Pose, waiting: Any) -> Pose:
    """The reference of a control step, without velocity if the clip stood still in it."""
    if waiting == ():
        return pose
    runs = 1.0 - waiting.now
    return pose._replace(
        root_vel=runs * pose.root_vel, root_ang_vel=runs * pose.root_ang_vel, dof_vel=runs * pose.dof_vel
    )
