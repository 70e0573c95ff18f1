"""Go at a commanded speed in a commanded direction, and face where one is told (MimicKit 3.7)."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from mimicjax import rotation
from mimicjax.config.settings import EnvSettings
from mimicjax.env.observations import away
from mimicjax.env.task import Criterion, Mark, Task, angle_between, check_range, drawn, facing_of
from mimicjax.env.view import Part, Term, View
from mimicjax.robot import symmetry
from mimicjax.types import Array, Reflection, Robot


class SteeringState(NamedTuple):
    """The command, and what the task remembers."""

    direction: Array  # [2] unit, world
    speed: Array  # [] m/s
    face: Array  # [2] unit, world
    left: Array  # [] s until the command changes
    before: Array  # [2] m, where the root was a control step ago
    root: Array  # [3] m, where it is; for films


def make(robot: Robot, settings: EnvSettings, dt: float) -> Task:
    """The task; rewards are at most the sum of their weights a step."""
    s = settings.steering
    check_range(s.tar_change_time, "env.steering.tar_change_time")
    check_range(s.tar_speed, "env.steering.tar_speed")

    def draw(key: Array) -> tuple[Array, Array, Array, Array]:
        way, fast, look, time = jax.random.uniform(key, (4,))
        angle = jnp.pi * (2.0 * way - 1.0) if s.rand_tar_dir else jnp.float32(0)
        face = jnp.pi * (2.0 * look - 1.0) if s.rand_face_dir else angle
        unit = lambda a: jnp.stack([jnp.cos(a), jnp.sin(a)])  # noqa: E731
        return unit(angle), drawn(s.tar_speed, fast), unit(face), drawn(s.tar_change_time, time)

    def init(key: Array, view: View) -> SteeringState:
        return SteeringState(*draw(key), view.pose.root_pos[:2], view.pose.root_pos)

    def update(key: Array, state: SteeringState, view: View) -> SteeringState:
        over = state.left <= dt
        root = view.pose.root_pos
        following = SteeringState(*draw(key), root[:2], root)
        same = state._replace(left=state.left - dt, before=root[:2], root=root)
        return jax.tree.map(lambda a, b: jnp.where(over, a, b), following, same)

    def see(view: View) -> Array:
        state, back = view.task, away(view.pose.root_quat)
        turned = [rotation.rotate(back, jnp.append(way, 0.0))[:2] for way in (state.direction, state.face)]
        return jnp.concatenate([turned[0], state.speed[None], turned[1]])

    def velocity_of(view: View) -> Array:
        return (view.pose.root_pos[:2] - view.task.before) / dt

    def reward(view: View) -> Array:
        state, velocity = view.task, velocity_of(view)
        error = jnp.sum((state.speed * state.direction - velocity) ** 2)
        going = jnp.exp(-s.reward_steering_vel_scale * error)
        going = jnp.where(jnp.dot(state.direction, velocity) < 0.0, 0.0, going)
        facing = jnp.maximum(jnp.dot(state.face, facing_of(view.pose.root_quat)), 0.0)
        return s.reward_steering_tar_w * going + s.reward_steering_face_w * facing

    def marks(state: SteeringState) -> list[Mark]:
        foot = state.root * jnp.asarray([1.0, 1.0, 0.0]) + jnp.asarray([0.0, 0.0, 0.03])
        ways = ((state.speed * state.direction, (0.9, 0.3, 0.1, 0.9)), (0.5 * state.face, (0.1, 0.5, 0.9, 0.9)))
        return [Mark(foot, foot + jnp.append(way, 0.0), 0.02, colour) for way, colour in ways]

    def plane(robot: Robot) -> Reflection:
        return symmetry.vectors([0], symmetry.PLACE[:2])

    figures = {
        "Command_Speed_Err": Criterion(
            "m/s", lambda view: jnp.abs(jnp.dot(view.task.direction, velocity_of(view)) - view.task.speed)
        ),
        "Command_Direction_Err": Criterion("rad", lambda view: angle_between(view.task.direction, velocity_of(view))),
        "Facing_Err": Criterion("rad", lambda view: angle_between(view.task.face, facing_of(view.pose.root_quat))),
    }
    parts = (
        Part("target_direction", 2, plane),
        Part("target_speed", 1, lambda robot: symmetry.same(1)),
        Part("target_facing", 2, plane),
    )
    return Task(observation=Term(parts, see), reward=reward, init=init, update=update, draw=marks, figures=figures)
