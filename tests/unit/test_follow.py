"""A reference that follows the robot: its motion in closed form, and what an environment sees of it."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small
from conftest import DT, STILL, assert_identical, scope_g1

from mimicjax import config, rotation
from mimicjax.config.settings import EnvSettings, FollowSettings, ObservationSettings, RunSettings, TerminationSettings
from mimicjax.engine import state as engine_state
from mimicjax.env import discriminator, follow
from mimicjax.env import env as environment
from mimicjax.env.follow import Displacement
from mimicjax.env.view import View
from mimicjax.errors import UserError
from mimicjax.evaluation.push import sweep
from mimicjax.motion import library
from mimicjax.names import NAMES
from mimicjax.robot import kinematics
from mimicjax.run import checks, rollout
from mimicjax.types import FAILED, RUNNING, Pose

BY = Displacement(jnp.asarray([1.5, -2.0]), jnp.float32(0.7))
SEEN = ObservationSettings(terms=["character", "target"], frame="robot", target_steps=[1, 2])
AT_ONCE = EnvSettings(observations=SEEN, follow=FollowSettings(time=0.0))
NEAR = {"pose": TerminationSettings(0.5), "fall": TerminationSettings(-5.0)}


@pytest.fixture(scope="module")
def clip_pose() -> Pose:
    """The small robot in the clip at 0.4 s."""
    return jax.jit(lambda clips: library.query(small.robot(), clips, 0, 0.4))(small.packed())


def close(got: Pose, want: Pose, atol: float = 2e-5):
    """Quaternions up to sign."""
    for name in Pose._fields:
        a, b = np.asarray(getattr(got, name)), np.asarray(getattr(want, name))
        if name.endswith("quat"):
            a, b = (np.sign(np.sum(a * b, axis=-1, keepdims=True)) * a), b
        np.testing.assert_allclose(a, b, atol=atol, err_msg=name)


def test_a_displaced_pose_is_that_of_the_robot_with_a_displaced_root(clip_pose):
    qpos, qvel = (np.array(x, np.float64) for x in kinematics.qpos_of(small.robot(), clip_pose))
    c, s = np.cos(0.7), np.sin(0.7)
    turn = np.asarray([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    w, x, y, z = qpos[3:7]
    half_c, half_s = np.cos(0.35), np.sin(0.35)
    qpos[:3], qvel[:3] = turn @ qpos[:3] + [1.5, -2.0, 0.0], turn @ qvel[:3]
    qpos[3:7] = half_c * w - half_s * z, half_c * x - half_s * y, half_c * y + half_s * x, half_c * z + half_s * w
    want = jax.jit(lambda q, v: kinematics.pose_of(small.robot(), q, v))(np.float32(qpos), np.float32(qvel))
    close(follow.moved(clip_pose, BY), want)


def steps(settings: FollowSettings, robot: Pose, reference: Pose, count: int, first: Displacement | None = None):
    """Displacements after 1, 2, ... count control steps, robot and reference standing still; [count,...]."""
    rules = follow.make(settings, DT)
    assert rules is not None
    begin = first or rules.begin()
    advance = jax.jit(lambda by: (rules.advance(by, robot, reference),) * 2)
    return jax.lax.scan(lambda by, _: advance(by), begin, None, length=count)[1]


def test_what_is_missing_shrinks_by_the_time_constant(clip_pose):
    robot = follow.moved(clip_pose, BY)
    got = steps(FollowSettings(time=0.4), robot, clip_pose, 30)
    made_up = 1.0 - np.exp(-DT * np.arange(1, 31) / 0.4)
    np.testing.assert_allclose(got.yaw, 0.7 * made_up, atol=1e-5)
    roots = jax.vmap(lambda by: follow.moved(clip_pose, by).root_pos)(got)
    gap = np.asarray(robot.root_pos - clip_pose.root_pos)
    np.testing.assert_allclose(roots, clip_pose.root_pos + made_up[:, None] * gap, atol=1e-5)


def test_at_once_it_is_where_the_robot_is(clip_pose):
    by = jax.tree.map(lambda x: x[0], steps(FollowSettings(time=0.0), follow.moved(clip_pose, BY), clip_pose, 1))
    np.testing.assert_allclose([*by.shift, by.yaw], [1.5, -2.0, 0.7], atol=1e-5)
    # neither height nor tilt are followed, and half a turn is the shorter way round
    fallen = clip_pose._replace(
        root_pos=clip_pose.root_pos - jnp.asarray([0, 0, 0.5]),
        root_quat=rotation.multiply(rotation.exp(jnp.asarray([0.3, 0.0, 0.0])), clip_pose.root_quat),
    )
    by = jax.tree.map(lambda x: x[0], steps(FollowSettings(time=0.0), fallen, clip_pose, 1))
    assert abs(float(by.yaw)) < 0.05 and follow.moved(clip_pose, by).root_pos[2] == clip_pose.root_pos[2]
    turned = steps(FollowSettings(time=0.4), follow.moved(clip_pose, Displacement(jnp.zeros(2), jnp.float32(-3.0))), clip_pose, 1,
                   Displacement(jnp.zeros(2), jnp.float32(3.0)))  # fmt: skip
    assert float(turned.yaw[0]) == pytest.approx(3.0 + (2 * np.pi - 6.0) * (1 - np.exp(-DT / 0.4)), abs=1e-5)


def test_the_pull_holds_it_back_and_brings_it_home(clip_pose):
    settings = FollowSettings(time=0.5, heading=False, pull=0.3)
    share = 1.0 - np.exp(-DT / 0.5)
    away = follow.moved(clip_pose, Displacement(jnp.asarray([3.0, 4.0]), ()))
    got = steps(settings, away, clip_pose, 400)
    assert got.yaw == ()
    rest = 5.0 - 0.3 * DT / share  # nearly pull x time behind
    np.testing.assert_allclose(got.shift[-1], rest * np.asarray([0.6, 0.8]), atol=1e-4)
    home = np.linalg.norm(
        steps(settings, clip_pose, clip_pose, 40, Displacement(jnp.asarray([0.3, 0.4]), ())).shift, axis=-1
    )
    want, now = [], 0.5
    for _ in range(40):
        now = max(0.0, (1.0 - share) * now - 0.3 * DT)
        want.append(now)
    np.testing.assert_allclose(home, want, atol=1e-5)
    assert home[-1] == 0.0


def test_the_heading_is_pulled_back_too(clip_pose):
    first = Displacement(jnp.zeros(2), jnp.float32(-0.2))
    got = steps(FollowSettings(time=1e6, pull_heading=0.6), clip_pose, clip_pose, 12, first)
    np.testing.assert_allclose(got.yaw, np.minimum(0.0, -0.2 + 0.6 * DT * np.arange(1, 13)), atol=1e-5)


def stepped(settings: EnvSettings, by: Displacement, views=()):
    """A control step of two robots on the clip, both displaced, in an environment of these settings: (state, Step)."""
    env = environment.make(small.scope(settings), views=views)
    robot = small.robot()

    @jax.jit
    def run(clips, by):
        keys, start = jax.random.split(jax.random.key(0), 2), jnp.asarray([0.1, 0.35])
        clip = jnp.zeros(2, jnp.int32)
        state, _ = rollout.begin(env, STILL, clips, keys, clip, start)
        pose = jax.vmap(lambda c, t: follow.moved(library.query(robot, clips, c, t), by))(clip, start + DT)
        state = state._replace(physics=engine_state.init(*kinematics.qpos_of(robot, pose)))
        return rollout.control_step(env, STILL, clips, state, jnp.zeros((2, robot.num_dofs)))

    return run(small.packed(), by)


NOWHERE = Displacement(jnp.zeros(2), jnp.float32(0))


@pytest.fixture(scope="module")
def followed():
    settings = dataclasses.replace(AT_ONCE, terminations=NEAR)
    return stepped(settings, NOWHERE, ["difference"]), stepped(settings, BY, ["difference"])


def test_a_robot_that_was_followed_sees_and_earns_the_same(followed):
    (_, here), (state, there) = followed
    np.testing.assert_allclose(there.obs["actor"], here.obs["actor"], atol=3e-5)
    np.testing.assert_allclose(there.views["difference"], 0.0, atol=2e-4)
    np.testing.assert_allclose(there.reward, 1.0, atol=2e-3)
    assert (np.asarray(there.done) == RUNNING).all()
    np.testing.assert_allclose(state.follow.shift, np.tile(BY.shift, (2, 1)), atol=1e-4)
    np.testing.assert_allclose(state.follow.yaw, 0.7, atol=1e-4)
    for name, error in there.errors.items():
        np.testing.assert_allclose(error, 0.0, atol=2e-3, err_msg=name)


def test_without_it_such_a_robot_has_failed():
    _, step = stepped(dataclasses.replace(AT_ONCE, terminations=NEAR, follow=FollowSettings()), BY)
    assert (np.asarray(step.done) == FAILED).all() and np.asarray(step.reward).max() < 0.9


def test_every_episode_begins_in_place():
    """Too far for a slow reference: both fail, and begin anew."""
    settings = dataclasses.replace(AT_ONCE, terminations=NEAR, follow=FollowSettings(time=10.0))
    state, step = stepped(settings, BY)
    assert (np.asarray(step.done) == FAILED).all()
    assert_identical(state.follow, Displacement(jnp.zeros((2, 2)), jnp.zeros(2)))


def test_what_stays_in_place_costs_nothing(monkeypatch):
    """No field of the state, and not one call."""
    monkeypatch.setattr(follow, "moved", None)
    monkeypatch.setattr(follow, "to_origin", None)
    env = environment.make(small.scope(EnvSettings()))

    def both(clips):
        keys = jax.random.split(jax.random.key(0), 2)
        state, _ = rollout.begin(env, STILL, clips, keys, jnp.zeros(2, jnp.int32), jnp.zeros(2))
        return state, env.after(clips, state)[0]

    state, after = jax.eval_shape(both, small.packed())
    assert (state.follow, state.wait, after.follow, after.wait) == ((), (), (), ())


def test_adds_difference_in_the_robots_frame_does_not_depend_on_where_both_are(clip_pose):
    see = discriminator.difference(small.scope(EnvSettings(observations=SEEN))).see
    other = follow.moved(clip_pose, Displacement(jnp.asarray([0.1, 0.0]), jnp.float32(0.2)))
    here = see(View.of(other, clip_pose))
    there = see(View.of(follow.moved(other, BY), follow.moved(clip_pose, BY)))
    np.testing.assert_allclose(there, here, atol=2e-5)
    assert np.abs(here).max() > 0.05


@pytest.mark.parametrize(
    ("settings", "about"),
    [
        (FollowSettings(), "root"),
        (FollowSettings(time=0.5, heading=False), "root"),
        (FollowSettings(time=0.0), "root and heading"),
    ],
)
def test_a_sweeps_errors_are_about_the_heading_where_it_is_followed(reference, settings, about):
    scope = scope_g1(EnvSettings(follow=settings))
    assert sweep.error_about(scope) == about
    turned = follow.moved(reference, BY)
    bodies = np.asarray(reference.body_pos - reference.root_pos)
    chord = 2.0 * np.sin(0.35) * np.linalg.norm(bodies[:, :2], axis=-1).mean()
    want = chord if about == "root" else 0.0
    assert float(sweep._body_error(scope, turned, reference)) == pytest.approx(want, abs=2e-5)


REFUSED = {
    "a pull of what stays": ("deepmimic_g1", {"env.follow.pull": 0.2}, "env.follow.pull is 0.2, and env.follow.time is null"),
    "a turn of what never turns": (
        "deepmimic_g1",
        {"env.follow.time": 0.5, "env.follow.heading": False, "env.follow.pull_heading": 0.1},
        "env.follow.pull_heading is 0.1, and env.follow.heading is false",
    ),
    "a place that AMP judges": (
        "amp_g1",
        {"env.follow.time": 0.5, "env.observations.frame": "global", "env.observations.terms": ["character", "target"]},
        "env.follow.time is 0.5, and learn.algorithm AMP .* allowed: frame robot or heading",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_settings_that_cannot_be_meant(what):
    name, overrides, words = REFUSED[what]
    with pytest.raises(UserError, match=words):
        checks.settings_fit(config.load(RunSettings, name, overrides, NAMES))


def test_a_clip_waits_for_a_robot_that_is_far():
    """Shoved 0.4 m aside for two of five control steps, with a limit of 0.3 m: the clip stands still in the step after each."""
    settings = EnvSettings(observations=dataclasses.replace(SEEN, target_steps=[1]), follow=FollowSettings(wait=0.3))
    env, robot = environment.make(small.scope(settings)), small.robot()
    shoves, times = [0.0, 0.4, 0.4, 0.0, 0.0], [1, 2, 2, 2, 3]  # m; control steps that the clip has run by then

    @jax.jit
    def run(clips):
        keys, clip, start = jax.random.split(jax.random.key(0), 1), jnp.zeros(1, jnp.int32), jnp.asarray([0.1])
        state, _ = rollout.begin(env, STILL, clips, keys, clip, start)
        rows = []
        for shove, time in zip(shoves, times, strict=True):
            pose = jax.vmap(lambda c, t: library.query(robot, clips, c, t))(clip, start + DT * time)
            qpos, qvel = kinematics.qpos_of(robot, pose)
            state = state._replace(physics=engine_state.init(qpos.at[:, 1].add(shove), qvel))
            moment, state, step = rollout.watched_step(env, STILL, clips, state, jnp.zeros((1, robot.num_dofs)))
            rows.append((moment.time, state.wait.steps, step.errors, step.episode_length))
        return jax.tree.map(lambda *x: jnp.concatenate(x), *rows)

    time, waited, errors, length = jax.device_get(run(small.packed()))
    np.testing.assert_allclose(time, 0.1 + DT * np.asarray(times), atol=1e-6)
    assert waited.tolist() == [0, 1, 2, 2, 2] and length.tolist() == [1, 2, 3, 4, 5]
    np.testing.assert_allclose(errors["Root_Pos_Err"], shoves, atol=1e-5)
    np.testing.assert_allclose(errors["Body_Pos_Err"], 0.0, atol=1e-5)
    moving = errors["Dof_Vel_Err"] > 0.05  # the robot has the clip's velocities, the clip that waits has none
    assert moving.tolist() == [False, False, True, True, False]
