"""The protocol of a control step, with physics that does as it is told: one batch in which every row meets one case."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import DT, STILL, assert_identical, compiled_once, scope_g1

from mimicjax.config.settings import (
    ActionSettings,
    EnvSettings,
    ObservationSettings,
    RewardSettings,
    TerminationSettings,
)
from mimicjax.engine import state as engine_state
from mimicjax.env import env as environment
from mimicjax.errors import UserError
from mimicjax.motion import library
from mimicjax.robot import kinematics
from mimicjax.run import rollout
from mimicjax.types import FAILED, RUNNING, SUCCEEDED, TIME_UP, Physics

LOOPS, ENDS = 0, 1  # clips
# name -> clip, start, steps before this one, shift of the robot from the reference, done code
CASES = {
    "runs": (LOOPS, 0.2, 7, (0, 0, 0), RUNNING),
    "before its time": (LOOPS, 0.2, 298, (0, 0, 0), RUNNING),
    "at its time": (LOOPS, 0.2, 299, (0, 0, 0), TIME_UP),
    "loop begins again": (LOOPS, 0.99, 0, (0, 0, 0), RUNNING),
    "clip ends": (ENDS, 0.99, 0, (0, 0, 0), SUCCEEDED),
    "clip does not end yet": (ENDS, 0.95, 0, (0, 0, 0), RUNNING),
    "clip ends at its time": (ENDS, 0.99, 299, (0, 0, 0), SUCCEEDED),
    "falls": (LOOPS, 0.2, 0, (0, 0, -0.72), FAILED),
    "falls as the clip ends": (ENDS, 0.99, 0, (0, 0, -0.72), FAILED),
    "is away": (LOOPS, 0.2, 0, (0.7, 0.6, 0), RUNNING),
    "strays": (LOOPS, 0.2, 0, (0.8, 0.7, 0), FAILED),
    "strays at its time": (LOOPS, 0.2, 299, (0.8, 0.7, 0), FAILED),
    "unstable": (LOOPS, 0.2, 0, (0, 0, 0), FAILED),
    "not a number": (LOOPS, 0.2, 0, (np.nan, 0, 0), FAILED),
}
NAMES = list(CASES)
OVER = [name for name, case in CASES.items() if case[-1] != RUNNING]


def physics_at(robot, clips, clip, time, shift):
    """Physics on the reference, shifted by [B,3] m."""
    qpos, qvel = jax.vmap(lambda c, t: kinematics.qpos_of(robot, library.query(robot, clips, c, t)))(clip, time)
    return engine_state.init(qpos.at[:, :3].add(shift), qvel)


@pytest.fixture(scope="module")
def env():
    return environment.make(scope_g1(EnvSettings(retry_start=1.0)))


@pytest.fixture(scope="module")
def columns():
    clip, start, steps, shift, _ = zip(*CASES.values(), strict=True)
    return jnp.asarray(clip, jnp.int32), jnp.asarray(start), jnp.asarray(steps, jnp.int32), jnp.asarray(shift)


@pytest.fixture(scope="module")
def run(g1, clips, env, columns):
    """The function (shift [B,3]) -> (state before, state after, Step), one program for all tests."""
    clip, start, steps, _ = columns

    @compiled_once
    def run(clips, shift):
        keys = jax.random.split(jax.random.key(3), len(CASES))
        state, obs = rollout.begin(env, STILL, clips, keys, clip, start)
        physics = physics_at(g1, clips, clip, start + DT * (steps + 1), shift)
        physics = physics._replace(unstable=jnp.asarray([name == "unstable" for name in NAMES]))
        state = state._replace(physics=physics, step=steps, reward_sum=jnp.full(len(CASES), 5.0))
        return state, *rollout.control_step(env, STILL, clips, state, jnp.zeros((len(CASES), 29)))

    return lambda shift: run(clips, shift)


@pytest.fixture(scope="module")
def ran(run, columns):
    return run(columns[3])


def test_an_episode_has_300_steps(env):
    assert env.episode_steps == 300


@pytest.mark.parametrize("name", NAMES)
def test_done(name, ran):
    assert int(ran[2].done[NAMES.index(name)]) == CASES[name][-1]


def test_counters(ran, columns):
    before, after, step = ran
    over = np.asarray(step.done) != RUNNING
    clip, start, steps, _ = (np.asarray(x) for x in columns)
    np.testing.assert_array_equal(after.step, np.where(over, 0, steps + 1))
    np.testing.assert_array_equal(np.asarray(after.clip)[~over], clip[~over])
    np.testing.assert_array_equal(np.asarray(after.start)[~over], start[~over])
    np.testing.assert_array_equal(step.episode_length, steps + 1)
    np.testing.assert_allclose(step.episode_return, 5.0 + np.asarray(step.reward), rtol=1e-6)
    np.testing.assert_allclose(after.reward_sum, np.where(over, 0.0, 5.0 + np.asarray(step.reward)), rtol=1e-6)
    assert (jax.random.key_data(before.key) != jax.random.key_data(after.key)).any(axis=-1).all()


def test_reward_on_the_reference_is_the_sum_of_the_weights(ran):
    for name in ("runs", "at its time", "loop begins again", "clip ends"):
        np.testing.assert_allclose(ran[2].reward[NAMES.index(name)], 1.0, atol=2e-3, err_msg=name)


def test_a_reset_is_on_the_reference(g1, clips, ran):
    _, after, _ = ran
    rows = np.asarray([NAMES.index(name) for name in OVER])
    physics = jax.jit(lambda clips, clip, start: physics_at(g1, clips, clip, start, jnp.zeros((len(CASES), 3))))
    want = physics(clips, after.clip, after.start)
    # slerp in float32 is good to 5e-5: it takes the arc cosine of what is nearly 1
    np.testing.assert_allclose(after.physics.qpos[rows], want.qpos[rows], atol=1e-4)
    np.testing.assert_allclose(after.physics.qvel[rows], want.qvel[rows], atol=5e-4)
    assert not np.asarray(after.physics.unstable).any()


def test_observations_before_and_after_the_reset(ran):
    step = ran[2]
    same = (np.asarray(step.obs["actor"]) == np.asarray(step.last_obs["actor"])).all(axis=-1)
    np.testing.assert_array_equal(same, np.asarray(step.done) == RUNNING)


def test_what_is_not_finite_ends_there(ran):
    _, after, step = ran
    for leaf in jax.tree.leaves((step, after._replace(key=0))):
        assert np.isfinite(leaf).all()
    for name in ("unstable", "not a number"):
        row = NAMES.index(name)
        assert step.reward[row] == 0 and step.unstable[row]
    assert np.asarray(step.unstable).sum() == 2


def test_neighbours_do_not_notice(run, ran, columns):
    sound = columns[3].at[NAMES.index("not a number")].set(0.0)
    others = np.asarray([name != "not a number" for name in NAMES])
    assert_identical(*(jax.tree.map(lambda x: x[others], part[1:]) for part in (run(sound), ran)))


def test_episodes_that_may_not_end_early(g1, clips, columns):
    """Without resets, which are the same."""
    env = environment.make(scope_g1(EnvSettings(early_termination=False)))
    clip, start, steps, shift = columns

    @jax.jit
    def codes(clips):
        state = jax.eval_shape(env.place, clips, jax.random.split(jax.random.key(3), len(CASES)), clip, start)[0]
        state = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), state._replace(key=()))
        physics = physics_at(g1, clips, clip, start + DT * (steps + 1), shift)
        keys = jax.random.split(jax.random.key(3), len(CASES))
        state = state._replace(physics=physics, step=steps, clip=clip, start=start, key=keys)
        return env.advance(clips, state)[1].done

    done = dict(zip(NAMES, np.asarray(codes(clips)).tolist(), strict=True))
    assert done["falls"] == done["strays"] == RUNNING
    assert done["strays at its time"] == TIME_UP and done["falls as the clip ends"] == SUCCEEDED
    assert done["not a number"] == FAILED, "whatever else, this episode cannot go on"


def test_what_failed_starts_again(ran, columns):
    """As retry_start says; every other end draws its own start."""
    clip, start, *_ = (np.asarray(x) for x in columns)
    _, after, step = ran
    done = np.asarray(step.done)
    failed, others = done == FAILED, (done != FAILED) & (done != RUNNING)
    assert failed.sum() > 3 and others.sum() > 2
    np.testing.assert_array_equal(np.asarray(after.clip)[failed], clip[failed])
    np.testing.assert_array_equal(np.asarray(after.start)[failed], start[failed])
    drawn = np.asarray(after.start)[others]
    assert (drawn != start[others]).all() and len(np.unique(drawn)) == len(drawn)


def test_actions_lead_the_reference_by_a_step(g1, clips):
    settings = EnvSettings(action=ActionSettings(mode="reference"), random_start=False)
    env = environment.make(scope_g1(settings))
    keys = jax.random.split(jax.random.key(0), 2)
    clip, start = env.draw(clips, keys)
    np.testing.assert_array_equal(start, [0, 0])

    @jax.jit
    def control(clips):
        state, _, begin = env.place(clips, keys, jnp.asarray([0, 1]), jnp.asarray([0.2, 0.4]))
        state = state._replace(step=jnp.asarray([3, 0]))
        ahead = jax.vmap(lambda c, t: library.query(g1, clips, c, t))(state.clip, state.start + DT * (state.step + 1))
        return env.before(clips, state, jnp.zeros((2, 29))), ahead.dof_pos, begin.mask

    (_, ctrl, wrench), want, mask = control(clips)
    np.testing.assert_allclose(ctrl, want, atol=1e-6)
    np.testing.assert_array_equal(wrench, np.zeros((2, len(g1.wrench_bodies), 6)))
    assert mask.all()


UNKNOWN = [
    (
        EnvSettings(rewards={"key_poss": RewardSettings(1.0)}),
        r"env\.rewards: unknown term .key_poss.*did you mean key_pos",
    ),
    (
        EnvSettings(terminations={"falls": TerminationSettings()}),
        r"env\.terminations: unknown failure .falls.*did you mean fall",
    ),
    (EnvSettings(observations=ObservationSettings(terms=["targets"])), r"observations\.terms.*did you mean target"),
]


@pytest.mark.parametrize(("settings", "words"), UNKNOWN)
def test_unknown_terms_name_the_nearest(settings, words):
    with pytest.raises(UserError, match=words):
        environment.make(scope_g1(settings))


def test_physics_is_all_that_the_engine_gives(env, clips):
    """Shapes from shapes alone: what place gives is what after takes, and gives back."""

    def both(clips):
        keys = jax.random.split(jax.random.key(0), 2)
        state, obs, _ = env.place(clips, keys, jnp.zeros(2, jnp.int32), jnp.zeros(2))
        return state, obs, env.after(clips, state)

    state, obs, (after, step, _) = jax.eval_shape(both, clips)
    assert jax.tree.map(lambda x: (x.shape, x.dtype), state) == jax.tree.map(lambda x: (x.shape, x.dtype), after)
    assert [leaf.weak_type for leaf in jax.tree.leaves(after)] == [False] * len(jax.tree.leaves(after))
    assert isinstance(after.physics, Physics) and step.done.dtype == jnp.int8
    assert obs["actor"].shape == (2, 849) and ObservationSettings().target_steps == [1, 2, 3]
