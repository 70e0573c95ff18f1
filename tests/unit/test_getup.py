"""Getting up: what lies on the ground, the reward for rising, who is given how long, and how it is measured."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small
from conftest import DT, STILL, assert_identical, compiled_once, synthetic_clip
from restored_runs import untrained

from mimicjax import rotation
from mimicjax.config.getup import GetupSettings
from mimicjax.config.settings import EngineSettings, EnvSettings, RewardSettings, RunSettings, TerminationSettings
from mimicjax.engine import fallen, native
from mimicjax.env import env as environment
from mimicjax.env import getup, rewards
from mimicjax.env.view import View
from mimicjax.errors import UserError
from mimicjax.evaluation import getup as falls
from mimicjax.evaluation.getup import Falls
from mimicjax.motion import library
from mimicjax.robot import kinematics
from mimicjax.run import rollout
from mimicjax.types import CLAMP, FAILED, RUNNING

STATES = 12
UP_AGAIN = GetupSettings(grace=0.5, hold=0.1)  # 15 and 3 control steps


@pytest.fixture(scope="module")
def bank():
    return fallen.make(small.alone(), EngineSettings(), STATES, seed=5)


@pytest.fixture(scope="module")
def standing():
    """The small robot in its start pose."""
    robot = small.robot()
    return kinematics.pose_of(robot, jnp.asarray(robot.start_qpos, jnp.float32), jnp.zeros(robot.nv))


def turned(pose, turn):
    """The pose with its root turned about itself by a rotation in the world."""
    quat = rotation.multiply(turn, pose.root_quat)
    bodies = kinematics.forward(small.robot(), pose.root_pos, quat, pose.joint_quat)
    return pose._replace(root_quat=quat, body_pos=bodies[0], body_quat=bodies[1])


def lowered(pose, by):
    return pose._replace(root_pos=pose.root_pos.at[2].add(-by), body_pos=pose.body_pos.at[:, 2].add(-by))


def test_what_is_fallen_lies_still(bank):
    robot = small.robot()
    assert bank.qpos.shape == (STATES, robot.nq) and bank.qvel.shape == (STATES, robot.nv)
    assert (bank.qpos[:, :2] == 0).all() and np.abs(bank.qvel[:, :3]).max() < 0.1 and np.abs(bank.qvel).max() < 0.5
    pose = kinematics.pose_of(robot, jnp.asarray(bank.qpos), jnp.asarray(bank.qvel))
    lowest = np.asarray(kinematics.ground_clearance(robot, pose)).min(axis=1)
    assert pose.root_pos[:, 2].max() < 0.6 * robot.start_qpos[2]
    assert (np.abs(lowest) < 0.02).all()  # on the ground, neither in it nor above it
    assert len({tuple(row) for row in bank.qpos.round(3)}) == STATES


def test_it_lies_there_when_the_engine_goes_on(bank):
    """A second in which motors hold what they have: the root stays within a few centimetres."""
    robot, engine = small.robot(), native.make(small.alone(), STATES, EngineSettings())
    pose = kinematics.pose_of(robot, jnp.asarray(bank.qpos), jnp.asarray(bank.qvel))
    wrench, variant = jnp.zeros((STATES, len(robot.wrench_bodies), 6)), jnp.zeros(STATES, jnp.int32)
    physics = engine.init(jnp.asarray(bank.qpos), jnp.asarray(bank.qvel))
    step = jax.jit(lambda physics: engine.step(physics, pose.dof_pos, wrench, variant))
    for _ in range(30):
        physics = step(physics)
    assert np.abs(physics.qpos[:, :3] - bank.qpos[:, :3]).max() < 0.1


def test_the_same_seed_gives_the_same_falls(bank):
    assert_identical(fallen.make(small.alone(), EngineSettings(), STATES, seed=5), bank)
    assert not np.array_equal(fallen.make(small.alone(), EngineSettings(), STATES, seed=6).qpos, bank.qpos)


def test_the_reward_of_height_and_uprightness(standing):
    error = rewards.ERRORS["getup"](small.scope())
    root, top = 0.78, float(standing.body_pos[:, 2].max())
    about = lambda axis, angle: rotation.about(jnp.asarray(axis), jnp.float32(angle))  # noqa: E731
    cases = {
        "as the reference": (standing, 0.0),
        "heading and place do not count": (turned(standing, about([0.0, 0.0, 1.0], 2.0)), 0.0),
        "lower": (lowered(standing, 0.3), (0.3 / root) ** 2 + (0.3 / top) ** 2),
        "upside down": (turned(standing, about([1.0, 0.0, 0.0], np.pi)), (2 * (top - root) / top) ** 2 + 1.0),
    }
    for name, (pose, want) in cases.items():
        np.testing.assert_allclose(error(View.of(pose, standing)), want, atol=1e-4, err_msg=name)


def test_gated_terms_count_by_how_far_up_it_is(standing):
    terms = {"pose": RewardSettings(0.5, 1.0), "getup": RewardSettings(2.0, 1.0)}
    settings = EnvSettings(rewards=terms, getup=GetupSettings(gated=True))
    down = lowered(standing, 0.5)
    value = float(jnp.exp(-rewards.ERRORS["getup"](small.scope())(View.of(down, standing))))
    total, values = rewards.make(small.scope(settings))(View.of(down, standing))
    np.testing.assert_allclose(values["pose"], value, rtol=1e-5)  # its joints are right: 1 without the gate
    np.testing.assert_allclose(total, (2.0 + 0.5) * value, rtol=1e-5)
    with pytest.raises(UserError, match=r"env\.getup\.gated is true"):
        rewards.make(small.scope(dataclasses.replace(settings, rewards={"pose": terms["pose"]})))


def course(settings, standing, words, grounded=True):
    """States and whether the episode failed, after every word: 'up', 'low' (not up, no failure) or 'down' (a failure)."""
    scope = small.scope(EnvSettings(getup=settings))
    rise = getup.make(scope, None, 1.0 if grounded else 1e-9)
    assert rise is not None
    state, rows = rise.init(jax.random.key(0)), []
    advance = jax.jit(rise.advance)
    for word in words:
        view = View.of(standing if word == "up" else lowered(standing, 0.5), standing)
        state, ends = advance(state, view, jnp.asarray(word == "down"))
        rows.append((bool(state.down), bool(ends)))
    return state, rows


def test_a_grace_on_the_ground(standing):
    _, rows = course(UP_AGAIN, standing, ["down"] * 15)
    assert rows == [(True, False)] * 14 + [(True, True)]


def test_up_for_long_enough_and_the_usual_rules_hold_again(standing):
    words = ["down"] * 5 + ["up"] * 2 + ["low"] + ["up"] * 3 + ["low"] * 20 + ["down"]
    _, rows = course(UP_AGAIN, standing, words)
    assert [down for down, _ in rows] == [True] * 10 + [False] * 22
    assert [number for number, (_, ends) in enumerate(rows) if ends] == [31]


def test_up_in_the_last_moment_is_up(standing):
    _, rows = course(UP_AGAIN, standing, ["down"] * 12 + ["up"] * 3 + ["low"] * 5)
    assert not any(ends for _, ends in rows) and rows[14] == (False, False)


def test_a_fall_in_mid_episode(standing):
    assert course(UP_AGAIN, standing, ["up", "down"], grounded=False)[1] == [(False, False), (False, True)]
    again = dataclasses.replace(UP_AGAIN, falls=True)
    _, rows = course(again, standing, ["up"] + ["down"] * 16, grounded=False)
    assert rows == [(False, False)] + [(True, False)] * 15 + [(True, True)]


def test_help_shrinks_where_it_is_not_needed(standing):
    settings = dataclasses.replace(UP_AGAIN, lift=0.5, lift_step=0.1)
    risen, _ = course(settings, standing, ["down"] + ["up"] * 3)
    late, _ = course(settings, standing, ["down"] * 15)
    np.testing.assert_allclose([risen.level, late.level], [0.9, 1.0], rtol=1e-5)
    rise = getup.make(small.scope(EnvSettings(getup=settings)), None, 1.0)
    assert rise is not None
    down, weight = risen._replace(down=jnp.asarray(True)), small.robot().mass * 9.81
    # half of the start pose's height of 0.78 m is missing
    np.testing.assert_allclose(
        rise.lift(down, jnp.float32(0.5), jnp.float32(0.89)), 0.5 * 0.9 * 0.5 * weight, rtol=1e-5
    )
    assert float(rise.lift(risen, jnp.float32(0.0), jnp.float32(1.0))) == 0.0


def test_off_there_is_nothing():
    assert getup.make(small.scope(), None, 0.0) is None


@pytest.fixture(scope="module")
def begun(bank):
    """(env, state) of 64 environments, half of which begin on the ground, with physics that stands still."""
    settings = EnvSettings(getup=UP_AGAIN, terminations={"fall": TerminationSettings(0.0)}, retry_start=0.0)
    scope = small.scope(settings)
    env = environment.make(scope, getup=getup.make(scope, bank, 0.5))
    keys = jax.random.split(jax.random.key(1), 64)
    clip, start = jnp.ones(64, jnp.int32), jnp.full(64, 0.8)  # of 1 s, which does not loop
    state, _ = jax.jit(lambda clips: rollout.begin(env, STILL, clips, keys, clip, start))(small.packed())
    return env, state


def test_episodes_that_begin_on_the_ground(begun, bank):
    _, state = begun
    grounded = np.asarray(state.getup.grounded) > 0
    assert 20 < grounded.sum() < 44 and (np.asarray(state.getup.down) == grounded).all()
    reference = library.query(small.robot(), small.packed(), jnp.int32(1), jnp.float32(0.8))
    qpos = np.asarray(state.physics.qpos)
    np.testing.assert_allclose(qpos[:, :2], np.tile(reference.root_pos[:2], (64, 1)), atol=1e-6)
    rows = [np.abs(bank.qpos[:, 7:] - row[7:]).max(axis=1).argmin() for row in qpos[grounded]]
    np.testing.assert_array_equal(qpos[grounded][:, 7:], bank.qpos[rows, 7:])
    np.testing.assert_array_equal(qpos[grounded][:, 2], bank.qpos[rows, 2])
    vertical = lambda quat: rotation.rotate(rotation.conjugate(quat), jnp.asarray([0.0, 0.0, 1.0]))  # noqa: E731
    lying, thrown = jnp.asarray(qpos[grounded][:, 3:7]), jnp.asarray(bank.qpos[rows, 3:7])
    np.testing.assert_allclose(jax.vmap(vertical)(lying), jax.vmap(vertical)(thrown), atol=1e-5)
    assert np.abs(np.asarray(lying) - thrown).max() > 0.5  # but for the heading
    np.testing.assert_allclose(qpos[~grounded][:, 2], reference.root_pos[2], atol=1e-6)


def test_neither_the_clip_nor_a_fall_ends_what_is_on_the_ground(begun):
    env, state = begun
    step = compiled_once(
        lambda clips, state: rollout.control_step(env, STILL, clips, state, jnp.zeros((64, small.robot().num_dofs)))
    )
    grounded, done, count = np.asarray(state.getup.grounded) > 0, [], []
    for _ in range(15):
        state, seen = step(small.packed(), state)
        done.append(np.asarray(seen.done))
        count.append(seen.statistics["Getup_Success"])
    lying = np.stack(done)[:, grounded]
    assert (lying[:14] == RUNNING).all() and (lying[14] == FAILED).all()  # 0.5 s; the clip ended after 6 steps
    assert (float(count[-1].total), float(count[-1].count)) == (0.0, float(grounded.sum()))
    assert np.asarray(state.getup.down)[grounded].all() and (np.asarray(state.getup.waited)[grounded] == 0).all()


def test_when_a_robot_is_with_the_clip_again():
    """Four falls at ten steps a second: after 1 s; never for long enough; at once, but it falls later; never."""
    bodies = np.full((100, 4), 0.5)
    bodies[10:, 0], bodies[20:24, 1], bodies[:50, 2] = 0.05, 0.05, 0.05
    fallen_ = np.zeros((100, 4), bool)
    fallen_[60:, 2] = True
    given = Falls(np.asarray([0, 0, 1, 1]), np.zeros(4), bodies, np.zeros((100, 4)), fallen_, 0.1)
    outcomes = falls.judge(given)
    np.testing.assert_allclose(outcomes.time, [1.1, np.inf, 0.1, np.inf])
    np.testing.assert_array_equal(outcomes.stayed, [True, False, False, False])
    data = falls.data(given, ["walk", "squat"], {"run": "r", "checkpoint": 1, "engine": "native", "seed": 0})
    assert data["overall"]["Rejoined_5s"]["value"] == 0.5 and data["overall"]["Stayed"]["value"] == 0.25
    low, high = 0.150, 0.850  # Wilson's, of 2 of 4
    assert data["overall"]["Rejoined_5s"]["low"] == pytest.approx(low, abs=1e-3)
    assert data["overall"]["Rejoined_5s"]["high"] == pytest.approx(high, abs=1e-3)
    assert data["overall"]["Time"]["value"] is None and [row["clip"] for row in falls.rows(data)] == [
        "",
        "walk",
        "squat",
    ]
    late = given._replace(bodies=np.where(np.arange(100)[:, None] >= 60, 0.05, 0.5))
    figures = falls.figures(falls.judge(late._replace(fallen=np.zeros((100, 4), bool))))
    assert (figures["Rejoined_5s"].value, figures["Rejoined"].value) == (0.0, 1.0)
    assert figures["Time"].value == pytest.approx(6.1)


def test_the_interval_of_a_median():
    """Order statistics 40 and 61 of 100 (Conover): 95 % between them."""
    estimate = falls.median(np.arange(1.0, 101.0))
    assert (estimate.value, estimate.low, estimate.high) == (50.5, 40.0, 61.0)


def test_an_untrained_policy_is_measured(bank):
    robot, run = small.robot(), RunSettings()
    restored = untrained(robot, [synthetic_clip(robot.num_dofs, CLAMP)], run)
    asked = GetupSettings(grace=np.inf)
    scope = restored.world.scope._replace(settings=dataclasses.replace(run.env, getup=asked))
    env = environment.make(scope, getup=getup.make(scope, bank, 1.0))
    engine = native.make(restored.world.scene, 3, run.engine)
    seen = falls.run(restored, env, engine, 3, seed=0)
    assert seen.bodies.shape == (300, 3) and np.isfinite(seen.bodies).all() and seen.dt == pytest.approx(DT)
    assert (seen.height[0] > 0.2).all()  # it begins on the ground
