"""What terms look at, and what a term is: all for one environment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from mimicjax.config.settings import EnvSettings
from mimicjax.types import Array, Layout, Pose, Reflection, Robot


class ObjectState(NamedTuple):
    """Where an object of the scene is, and how it moves; world frame."""

    pos: Array  # [3] m
    quat: Array  # [4]
    vel: Array  # [3] m/s
    ang_vel: Array  # [3] rad/s


class View(NamedTuple):
    """What terms may look at."""

    pose: Pose  # the simulated robot
    reference: Pose  # the clip at the same moment, displaced if it follows the robot, as the targets
    targets: Pose  # [S,...] the clip at the coming control steps
    phase: Array  # [] phase of the clip in [0, 1]
    history: (
        Pose | tuple[()]
    )  # [K,...] the robot's last poses, the oldest first and the last one now; () if nobody asks
    objects: dict[str, ObjectState]  # by name
    task: Any  # the task's state; () without
    push: Any  # disturbances.PushState; () without

    @staticmethod
    def of(pose: Pose, reference: Pose) -> View:
        """Robot and clip at the same moment and nothing else, for errors and failures."""
        return View(
            pose=pose,
            reference=reference,
            targets=reference,
            phase=jnp.float32(0),
            history=(),
            objects={},
            task=(),
            push=(),
        )


class Scope(NamedTuple):
    """What terms are made for; static."""

    robot: Robot
    settings: EnvSettings
    layout: Layout
    dt: float  # s, a control step
    touching: np.ndarray = np.zeros(
        0, bool
    )  # [N] bodies that a clip brings near the ground, and no contact bodies; or none


class Part(NamedTuple):
    """Some numbers of an observation that belong together: sensors have noise by its name."""

    name: str
    size: int
    mirror: Callable[[Robot], Reflection]  # what they are in a mirror; raises UserError where they have no image


class Term(NamedTuple):
    """An observation."""

    parts: tuple[Part, ...]  # in the order of what `see` gives
    see: Callable[[View], Array]  # -> [sum of the parts' sizes]
    history: int = 0  # poses it wants in View.history


def join(terms: Sequence[Term]) -> Term:
    """All terms as one, one after the other."""
    return Term(
        tuple(part for term in terms for part in term.parts),
        lambda view: jnp.concatenate([term.see(view) for term in terms]),
        max((term.history for term in terms), default=0),
    )


def tracks_root(settings: EnvSettings) -> bool:
    """Whether errors are taken in world axes with the root's place: the policy must see where the reference is."""
    return settings.observations.frame != "heading" and "target" in settings.observations.terms
