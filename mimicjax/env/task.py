"""What the robot is asked to do beside imitating: a socket that env, scene and films ask, filled by files of env/tasks/."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import jax.numpy as jnp

from mimicjax import rotation
from mimicjax.env.view import Term, View
from mimicjax.errors import UserError
from mimicjax.types import Array

if TYPE_CHECKING:
    import mujoco


class Mark(NamedTuple):
    """Something that a film shows of a task: a ball at `place`, or an arrow from there to `tip`."""

    place: Array  # [3] m, world
    tip: Array | None
    size: float  # m, radius
    color: tuple[float, float, float, float]


class Criterion(NamedTuple):
    """A figure by which a task is judged, whatever its reward weighs."""

    unit: str  # "" for none
    of: Callable[[View], Array]  # [] of a control step; its mean over steps is logged and evaluated


class Task(NamedTuple):
    """Functions for one environment. `View.task` is the state that `init` and `update` give."""

    observation: Term  # actor and critic see it after what they see of the robot
    reward: Callable[[View], Array]  # [] added to the tracking reward
    init: Callable[[Array, View], Any]  # (random key, view at an episode's beginning) -> state
    update: Callable[[Array, Any, View], Any]  # (random key, state, view after a control step) -> state of the next one
    done: Callable[[View], Array] | None = None  # done code int8 []; RUNNING where the episode goes on
    # (random key, qpos [nq], qvel [nv] of the scene on the clip) -> where an episode begins instead
    start: Callable[[Array, Array, Array], tuple[Array, Array]] | None = None
    furnish: Callable[[mujoco.MjSpec], None] | None = None  # adds its objects to the scene
    draw: Callable[[Any], list[Mark]] | None = None  # what a film shows of a state
    figures: Mapping[str, Criterion] = {}  # name -> figure of tests and evaluation


def check_range(limits: list[float], key: str) -> None:
    """Raises UserError for what is no range."""
    if len(limits) != 2 or limits[0] > limits[1]:
        raise UserError(f"{key}: given {limits}, allowed is [low, high] with low not above high")


def drawn(limits: list[float], u: Array) -> Array:
    """A uniform number in [0, 1) stretched to a range."""
    return limits[0] + (limits[1] - limits[0]) * u


def angle_between(a: Array, b: Array) -> Array:
    """[] rad, 0 to pi, between two directions [2] of any length above 0."""
    return jnp.abs(jnp.arctan2(a[0] * b[1] - a[1] * b[0], jnp.dot(a, b)))


def facing_of(root_quat: Array) -> Array:
    """[2] unit: where a root of this rotation is headed, in the world."""
    return rotation.rotate(rotation.heading_quat(root_quat), jnp.asarray([1.0, 0.0, 0.0]))[:2]
