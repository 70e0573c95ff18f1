"""Keep a hand at a target that moves: from place to place about the robot, straight and at an even speed."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mimicjax import rotation
from mimicjax.config.settings import EnvSettings
from mimicjax.env.observations import away
from mimicjax.env.task import Criterion, Mark, Task, check_range, drawn
from mimicjax.env.view import Part, Term, View
from mimicjax.errors import UserError
from mimicjax.robot import symmetry
from mimicjax.types import Array, Reflection, Robot


class ReachState(NamedTuple):
    """The target, and where it is going."""

    target: Array  # [3] m, world
    velocity: Array  # [3] m/s
    left: Array  # [] s until it goes elsewhere


def _hands(robot: Robot, names: list[str]) -> np.ndarray:
    from mimicjax.robot import bodies  # here: it loads MuJoCo, which commands that only list tasks do without

    if not names:
        raise UserError("env.reach.bodies: given [], allowed is at least one body, of which the nearest counts")
    return bodies.indices(robot, names, "env.reach.bodies")


def make(robot: Robot, settings: EnvSettings, dt: float) -> Task:
    """The task; rewards are at most its weight a step. Raises UserError for bodies that the robot lacks."""
    s = settings.reach
    hands = _hands(robot, s.bodies)
    for name in ("forward", "sideways", "height", "tar_change_time"):
        check_range(getattr(s, name), f"env.reach.{name}")

    def draw(key: Array, view: View) -> tuple[Array, Array]:
        """A place about the robot, and how long the target takes to it."""
        x, y, z, time = jax.random.uniform(key, (4,))
        pose = view.pose
        aside = jnp.stack([drawn(s.forward, x), drawn(s.sideways, y), jnp.float32(0)])
        place = pose.root_pos + rotation.rotate(rotation.heading_quat(pose.root_quat), aside)
        return place.at[2].set(drawn(s.height, z)), drawn(s.tar_change_time, time)

    def leg(target: Array, goal: Array, time: Array) -> ReachState:
        return ReachState(target, (goal - target) / time, time)

    def init(key: Array, view: View) -> ReachState:
        first, second = jax.random.split(key)
        return leg(draw(first, view)[0], *draw(second, view))

    def update(key: Array, state: ReachState, view: View) -> ReachState:
        target = state.target + dt * state.velocity
        same = ReachState(target, state.velocity, state.left - dt)
        return jax.tree.map(lambda a, b: jnp.where(state.left <= dt, a, b), leg(target, *draw(key, view)), same)

    def see(view: View) -> Array:
        back = away(view.pose.root_quat)
        place = rotation.rotate(back, view.task.target - view.pose.root_pos)
        return jnp.concatenate([place, rotation.rotate(back, view.task.velocity)])

    def square(view: View) -> Array:
        """m^2, of the nearest hand to the target."""
        return jnp.min(jnp.sum((view.pose.body_pos[hands] - view.task.target) ** 2, axis=-1))

    def reward(view: View) -> Array:
        return s.reward_w * jnp.exp(-s.err_scale * square(view))

    def image(robot: Robot) -> Reflection:
        symmetry.among(robot, hands, "env.reach.bodies")  # in a mirror the other hand reaches
        return symmetry.vectors([0], symmetry.PLACE)

    parts = (Part("target_place", 3, image), Part("target_velocity", 3, image))
    return Task(
        observation=Term(parts, see),
        reward=reward,
        init=init,
        update=update,
        figures={"Hand_Distance": Criterion("m", lambda view: jnp.sqrt(square(view)))},
        draw=lambda state: [Mark(state.target, None, 0.05, (0.9, 0.3, 0.1, 0.9))],
    )
