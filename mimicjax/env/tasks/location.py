"""Go to a place on the ground that changes now and then (MimicKit 3.6)."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from mimicjax import rotation
from mimicjax.config.settings import EnvSettings
from mimicjax.env.observations import away
from mimicjax.env.task import Criterion, Mark, Task, check_range, drawn, facing_of
from mimicjax.env.view import Part, Term, View
from mimicjax.robot import symmetry
from mimicjax.types import Array, Robot


class LocationState(NamedTuple):
    """What the task remembers."""

    target: Array  # [2] m, world
    left: Array  # [] s until it changes
    before: Array  # [2] m, where the root was a control step ago


def make(robot: Robot, settings: EnvSettings, dt: float) -> Task:
    """The task; rewards are at most the sum of their weights a step."""
    s = settings.location
    check_range(s.tar_change_time, "env.location.tar_change_time")

    def draw(key: Array, root: Array) -> tuple[Array, Array]:
        turn, far, time = jax.random.uniform(key, (3,))
        angle, distance = 2.0 * jnp.pi * turn, s.tar_dist_min + (s.tar_dist_max - s.tar_dist_min) * far
        return root + distance * jnp.stack([jnp.cos(angle), jnp.sin(angle)]), drawn(s.tar_change_time, time)

    def init(key: Array, view: View) -> LocationState:
        root = view.pose.root_pos[:2]
        return LocationState(*draw(key, root), root)

    def update(key: Array, state: LocationState, view: View) -> LocationState:
        root = view.pose.root_pos[:2]
        target, time = draw(key, root)
        over = state.left <= dt
        return LocationState(jnp.where(over, target, state.target), jnp.where(over, time, state.left - dt), root)

    def see(view: View) -> Array:
        gap = jnp.append(view.task.target - view.pose.root_pos[:2], 0.0)
        return rotation.rotate(away(view.pose.root_quat), gap)[:2]

    def reward(view: View) -> Array:
        state, root = view.task, view.pose.root_pos[:2]
        gap = state.target - root
        square = jnp.sum(gap**2)
        way = gap / jnp.maximum(jnp.sqrt(square), 1e-6)
        speed = jnp.dot(way, root - state.before) / dt
        near = jnp.exp(-s.pos_err_scale * square)
        going = jnp.exp(-s.vel_err_scale * jnp.maximum(s.tar_speed - speed, 0.0) ** 2)
        going = jnp.where(speed <= 0.0, 0.0, going)
        facing = jnp.maximum(jnp.dot(way, facing_of(view.pose.root_quat)), 0.0)
        arrived = square < s.dist_threshold
        going, facing = jnp.where(arrived, 1.0, going), jnp.where(arrived, 1.0, facing)
        return s.pos_reward_w * near + s.vel_reward_w * going + s.face_reward_w * facing

    def marks(state: LocationState) -> list[Mark]:
        return [Mark(jnp.append(state.target, 0.05), None, 0.1, (0.9, 0.3, 0.1, 0.8))]

    def square(view: View) -> Array:
        return jnp.sum((view.task.target - view.pose.root_pos[:2]) ** 2)

    figures = {
        "Target_Distance": Criterion("m", lambda view: jnp.sqrt(square(view))),
        "Arrived": Criterion("share", lambda view: (square(view) < s.dist_threshold).astype(jnp.float32)),
    }
    part = Part("target_place", 2, lambda robot: symmetry.vectors([0], symmetry.PLACE[:2]))
    return Task(observation=Term((part,), see), reward=reward, init=init, update=update, draw=marks, figures=figures)
