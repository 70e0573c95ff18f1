"""A task of its own through the env's protocol: state, scene, start, observation, reward and ends, in one file."""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest
import small
from conftest import DT, STILL, arrays

from mimicjax.config.settings import EngineSettings, EnvSettings, ObservationSettings
from mimicjax.engine import scene
from mimicjax.env import env as environment
from mimicjax.env.task import Task
from mimicjax.env.view import Part, Scope, Term, View
from mimicjax.motion import library
from mimicjax.robot import kinematics, symmetry
from mimicjax.run import rollout
from mimicjax.types import FAILED, RUNNING, SUCCEEDED, Array

BALL, BOX = [0.5, 0.1, 1.0], [1.0, 0.0, 0.1]  # m


class Goal(NamedTuple):
    """What the task remembers."""

    place: Array  # [2] m, drawn at a reset
    age: Array  # [] control steps


def furnish(spec: mujoco.MjSpec) -> None:
    box = spec.worldbody.add_body(name="box", pos=BOX)
    box.add_geom(type=mujoco.mjtGeom.mjGEOM_BOX, size=[0.1, 0.1, 0.1])
    ball = spec.worldbody.add_body(name="ball", pos=BALL)
    ball.add_freejoint()
    ball.add_geom(type=mujoco.mjtGeom.mjGEOM_SPHERE, size=[0.05, 0, 0], mass=0.5)


@functools.cache
def furnished() -> scene.Scene:
    return scene.build(small.robot(), EngineSettings(), furnish=[furnish])


def start(key: Array, qpos: Array, qvel: Array) -> tuple[Array, Array]:
    """The robot up to a metre beside the clip, the ball above it and falling."""
    layout = furnished().layout
    robot, ball = layout.robot_qpos.start, layout.objects["ball"]
    qpos = qpos.at[robot].add(jax.random.uniform(key))
    above = qpos[robot : robot + 3] + jnp.asarray([0.0, 0.0, 2.0])
    places = qpos.at[ball.qpos.start : ball.qpos.start + 3].set(above)
    return places, qvel.at[ball.qvel.start + 2].set(-1.0)


def seen(view: View) -> Array:
    place = view.task.place - view.pose.root_pos[:2]
    return jnp.concatenate([place, view.objects["ball"].vel[2:], view.objects["box"].pos])


TASK = Task(
    observation=Term(
        (Part("goal", 2, lambda robot: symmetry.same(2)), Part("things", 4, lambda robot: symmetry.same(4))), seen
    ),
    reward=lambda view: 0.5 * view.objects["ball"].pos[2] + 10.0 * view.task.age,
    init=lambda key, view: Goal(view.pose.root_pos[:2] + jax.random.normal(key, (2,)), jnp.float32(0)),
    update=lambda key, goal, view: goal._replace(age=goal.age + 1),
    done=lambda view: jnp.where(view.objects["ball"].pos[2] < 0.0, SUCCEEDED, RUNNING),
    start=start,
    furnish=furnish,
)
SETTINGS = EnvSettings(observations=ObservationSettings(terms=["character"]))
ROWS = ("goes on", "ball falls", "ball falls as time is up", "ball and robot fall", "time is up")
ENDS = [RUNNING, SUCCEEDED, SUCCEEDED, FAILED, 3]
B = len(ROWS)


@pytest.fixture(scope="module")
def ran():
    """(state at the beginning, its observation, state after a step without ends, its Step, state after ends, Step)."""
    layout = furnished().layout
    env = environment.make(Scope(small.robot(), SETTINGS, layout, DT), task=TASK)
    ball = layout.objects["ball"].qpos.start

    @jax.jit
    def run(clips):
        keys = jax.random.split(jax.random.key(0), B)
        state, obs = rollout.begin(env, STILL, clips, keys, jnp.zeros(B, jnp.int32), 0.1 * jnp.arange(B))
        states, steps = [state], [obs]
        for last in (False, True):
            if last:
                qpos = state.physics.qpos.at[jnp.asarray([1, 2, 3]), ball + 2].set(-1.0)
                qpos = qpos.at[3, layout.robot_qpos.start + 2].add(-0.8)
                count = jnp.where(jnp.asarray([False, False, True, False, True]), env.episode_steps - 1, state.step)
                state = state._replace(physics=state.physics._replace(qpos=qpos), step=count)
            state, step = rollout.control_step(env, STILL, clips, state, jnp.zeros((B, 11)))
            states.append(state)
            steps.append(step)
        return states, steps

    return layout, env, *jax.device_get(run(small.packed()))


def test_an_episode_begins_where_the_task_says(ran):
    layout, _, (first, *_), _ = ran
    robot, clips = small.robot(), small.packed()
    on_clip = jax.jit(jax.vmap(lambda time: kinematics.qpos_of(robot, library.query(robot, clips, 0, time))[0]))
    qpos = on_clip(0.1 * jnp.arange(B))
    moved = first.physics.qpos[:, layout.robot_qpos] - np.asarray(qpos)
    assert ((moved[:, 0] > 0.0) & (moved[:, 0] < 1.0)).all() and len(np.unique(moved[:, 0])) == B
    np.testing.assert_allclose(moved[:, 1:], 0.0, atol=1e-4)  # slerp in float32
    ball = layout.objects["ball"]
    above = first.physics.qpos[:, layout.robot_qpos][:, :3] + [0.0, 0.0, 2.0]
    np.testing.assert_allclose(first.physics.qpos[:, ball.qpos][:, :3], above, atol=1e-6)
    np.testing.assert_array_equal(first.physics.qvel[:, ball.qvel], np.tile(np.float32([0, 0, -1, 0, 0, 0]), (B, 1)))


def test_what_is_observed(ran):
    layout, env, (first, *_), (obs, *_) = ran
    assert [(part.name, part.size) for part in env.actor["actor"][-2:]] == [("goal", 2), ("things", 4)]
    roots = first.physics.qpos[:, layout.robot_qpos][:, :2]
    np.testing.assert_allclose(obs["actor"][:, -6:-4], first.task.place - roots, atol=1e-6)
    np.testing.assert_allclose(obs["actor"][:, -4:], np.tile([-1.0, *BOX], (B, 1)), atol=1e-6)


def test_its_state_is_drawn_for_those_that_begin_only(ran):
    _, _, (first, second, third), (_, _, step) = ran
    over = np.asarray(ENDS) != RUNNING
    np.testing.assert_array_equal(first.task.age, np.zeros(B))
    np.testing.assert_array_equal(second.task.age, np.ones(B))
    np.testing.assert_array_equal(second.task.place, first.task.place)
    np.testing.assert_array_equal(third.task.age, np.where(over, 0.0, 2.0))
    changed = (third.task.place != second.task.place).all(axis=1)
    np.testing.assert_array_equal(changed, over)
    assert len(np.unique(first.task.place)) == 2 * B
    # drawn about where the new episode's robot is
    np.testing.assert_array_equal((step.obs["actor"] != step.last_obs["actor"]).any(axis=1), over)
    assert all(np.isfinite(leaf).all() for leaf in arrays(third._replace(key=())))


def test_its_ends(ran):
    """It overrides the end of time, and a failure overrides it."""
    _, _, _, (_, step, last) = ran
    assert not step.done.any()
    np.testing.assert_array_equal(last.done, ENDS)


def test_its_reward_is_added_under_its_name(ran):
    layout, _, (_, second, _), (_, step, _) = ran
    height = second.physics.qpos[:, layout.objects["ball"].qpos][:, 2]
    np.testing.assert_allclose(step.terms["task"], 0.5 * height, rtol=1e-6)  # as the task was in the step: age 0
    weights = {name: term.weight for name, term in SETTINGS.rewards.items()}
    tracking = sum(weights[name] * value for name, value in step.terms.items() if name != "task")
    np.testing.assert_allclose(step.reward, tracking + step.terms["task"], rtol=1e-6)
    assert set(step.terms) == {*SETTINGS.rewards, "task"}
