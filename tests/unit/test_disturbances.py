"""Pushes of one environment against MuJoCo, closed forms and what the config promises."""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest
from conftest import DT, scene_g1, scope_g1
from scipy import stats

from mimicjax import rotation, statistics
from mimicjax.config.push import CurriculumSettings, PushSettings
from mimicjax.config.settings import EnvSettings
from mimicjax.env import disturbances, push_profiles
from mimicjax.env.disturbances import PushState
from mimicjax.env.view import View
from mimicjax.errors import UserError
from mimicjax.robot import kinematics
from mimicjax.types import FAILED, RUNNING, SUCCEEDED, Physics

COUNT = 64
TORSO = "torso_link"


def push(**given) -> PushSettings:
    return dataclasses.replace(PushSettings(bodies=[TORSO]), **given)


def make(profiles: dict[str, PushSettings], envs: int = 1, observe: bool = True, quiet: float = 0.0):
    disturb = disturbances.make(scope_g1(), profiles, envs, observe, quiet)
    assert disturb is not None
    return disturb


def run(profiles: dict[str, PushSettings], steps: int, done=None, count: int = COUNT, envs: int = 1, quiet=0.0):
    """[steps,B] PushStates: before each of `steps` control steps in the start pose. done: [steps] at their ends."""
    disturb, robot = make(profiles, envs, quiet=quiet), scope_g1().robot
    pose = kinematics.pose_of(robot, jnp.asarray(robot.start_qpos), jnp.zeros(robot.nv))

    def alone(key):
        def step(state, done):
            ongoing = disturb.advance(state, pose, done)
            begun = disturb.renew(ongoing, pose)
            return jax.tree.map(lambda a, b: jnp.where(done != RUNNING, a, b), begun, ongoing), state

        ends = jnp.zeros(steps, jnp.int8) if done is None else jnp.asarray(done, jnp.int8)
        return jax.lax.scan(step, disturb.init(key, pose), ends)[1]

    return jax.jit(jax.vmap(alone, out_axes=1))(jax.random.split(jax.random.key(0), count))


def statistics_of(profiles: dict[str, PushSettings], states: PushState, done=None) -> list[dict[str, float]]:
    """What the log shows of each control step, over the environments of `run`. done: as there."""
    steps, count = states.onset.shape
    ends = jnp.zeros(steps, jnp.int8) if done is None else jnp.asarray(done, jnp.int8)
    each = jax.jit(jax.vmap(make(profiles).statistics))(states, jnp.broadcast_to(ends[:, None], (steps, count)))
    return [statistics.values(jax.tree.map(lambda x, n=n: x[n], each)) for n in range(steps)]


def whole(profiles: dict[str, PushSettings], states: PushState) -> dict[str, float]:
    """What the log shows of all control steps of `run`, none of which ended an episode."""
    each = jax.jit(jax.vmap(make(profiles).statistics))(states, jnp.zeros(states.onset.shape, jnp.int8))
    return statistics.values(statistics.along(each))


@functools.cache
def model() -> mujoco.MjModel:
    return scene_g1().model


@pytest.mark.parametrize("shape,area", [("constant", 1.0), ("half_sine", 2 / np.pi)])
def test_impulse_is_exact_for_any_duration(g1, shape, area):
    """Sum of wrench x dt over the control steps = force x duration x (1 or 2 / pi); shorter than a step, and longer."""
    settings = push(force=[50.0, 90.0], torque=[1.0, 3.0], shape=shape, duration=[0.005, 0.4], interval=[0.1, 0.5])
    states = run({"p": settings}, 40)
    pulse = jax.tree.map(lambda x: np.asarray(x[0]), states.timers["p"].pulse)
    first = np.asarray(states.timers["p"].draws) == 1  # the first push's wrenches alone
    slot = list(g1.wrench_bodies).index(g1.body_names.index(TORSO))
    impulse = np.sum(np.asarray(states.wrench) * first[..., None, None], axis=0) * DT
    want = area * np.concatenate([pulse.force, pulse.torque], axis=-1)[:, 0] * pulse.length[:, None]
    np.testing.assert_allclose(impulse[:, slot], want, rtol=1e-4, atol=1e-4)
    assert not np.delete(impulse, slot, axis=1).any()
    assert 0.005 <= pulse.length.min() < DT < pulse.length.max() <= 0.4


def test_times_between_pushes(g1):
    settings = push(force=[10.0, 10.0], duration=[0.2, 0.2], interval=[0.5, 1.0])
    states = run({"p": settings}, 1500)
    onset = np.asarray(states.onset)
    gaps = np.concatenate([np.diff(np.flatnonzero(row)) for row in onset.T]) * DT - 0.2
    assert gaps.min() > 0.5 - 1.01 * DT and gaps.max() < 1.0 + 1.01 * DT
    np.testing.assert_allclose(gaps.mean(), 0.75, atol=0.01)
    share = np.mean(np.abs(np.asarray(states.wrench)).sum(axis=(-2, -1)) > 0)
    np.testing.assert_allclose(share, (0.2 + DT) / 0.95, atol=0.02)  # 0.2 s touch 7 control steps as a rule


@pytest.mark.parametrize(
    "name,law",
    [
        ("uniform", stats.uniform(20, 80)),
        ("normal", stats.truncnorm(0, 2, loc=20, scale=40)),
        ("log_uniform", stats.loguniform(20, 100)),
    ],
)
def test_sizes_follow_their_distribution(g1, name, law):
    profile = push_profiles.check(g1, scene_g1().layout, "p", push(force=[20.0, 100.0], distribution=name))
    _, pulse = jax.jit(jax.vmap(lambda k: push_profiles.draw(profile, k)))(jax.random.split(jax.random.key(1), 2000))
    force = np.asarray(pulse.force[:, 0], np.float64)
    assert stats.kstest(np.linalg.norm(force, axis=-1), law.cdf).pvalue > 0.01
    assert (
        stats.kstest(force[:, 2] / np.linalg.norm(force, axis=-1), stats.uniform(-1, 2).cdf).pvalue > 0.01
    )  # Archimedes


def test_axes_and_bodies(g1):
    flat = push(
        bodies=[], force=[20.0, 30.0], force_axes=[1.0, 1.0, 0.0], torque=[1.0, 1.0], torque_axes=[0.0, 0.0, 2.0]
    )
    states = run({"p": flat}, 1, count=1000)
    pulse = jax.tree.map(lambda x: np.asarray(x[0, :, 0]) if x.ndim > 2 else x, states.timers["p"].pulse)
    assert not pulse.force[:, 2].any() and np.linalg.norm(pulse.force, axis=-1).min() > 19.99
    np.testing.assert_allclose(np.abs(pulse.torque), np.tile([0.0, 0.0, 1.0], (1000, 1)), atol=1e-6)
    np.testing.assert_array_equal(np.unique(pulse.place), np.arange(len(g1.wrench_bodies)))
    box = push(force=[1.0, 1.0], force_axes=[10.0, 20.0, 0.0], direction="box")
    profile = push_profiles.check(g1, scene_g1().layout, "p", box)
    draw = jax.jit(jax.vmap(lambda key: push_profiles.draw(profile, key)))
    _, drawn = draw(jax.random.split(jax.random.key(1), 1000))
    sides = np.asarray(drawn.force[:, 0])
    np.testing.assert_allclose(sides.max(axis=0), [10, 20, 0], rtol=0.02)
    np.testing.assert_allclose(sides.min(axis=0), [-10, -20, 0], rtol=0.02)


@pytest.mark.parametrize("frame", ["world", "body"])
def test_frame_and_offset_are_mujocos(g1, frame):
    """Generalised forces of our wrench at the centre of mass = mj_applyFT of the push where it acts."""
    robot = g1
    settings = push(
        bodies=["left_elbow_link"], force=[40.0, 60.0], torque=[1.0, 2.0], frame=frame, offset=[0.1, 0.2, 0.3]
    )
    disturb = make({"p": push(**{**vars(settings), "sustained": True})}, observe=False)
    random = np.random.default_rng(0)
    qpos = robot.start_qpos + 0.3 * random.normal(size=robot.nq).astype(np.float32)
    qpos[3:7] /= np.linalg.norm(qpos[3:7])
    pose = kinematics.pose_of(robot, jnp.asarray(qpos, jnp.float32), jnp.zeros(robot.nv))
    state = disturb.init(jax.random.key(2), pose)
    pulse = jax.tree.map(np.asarray, state.timers["p"].pulse)
    data = mujoco.MjData(model())
    data.qpos = qpos
    mujoco.mj_forward(model(), data)
    body = model().body("left_elbow_link").id
    turn = data.xmat[body].reshape(3, 3)
    axes = turn if frame == "body" else np.eye(3)
    force, torque = (axes @ v[0].astype(np.float64) for v in (pulse.force, pulse.torque))
    want, got = np.zeros(robot.nv), np.zeros(robot.nv)
    point = data.xipos[body] + turn @ pulse.offset[0]
    mujoco.mj_applyFT(model(), data, force, torque, point, body, want)
    slot = list(robot.wrench_bodies).index(body - 1)
    ours = np.asarray(state.wrench, np.float64)[slot]
    mujoco.mj_applyFT(model(), data, ours[:3], ours[3:], data.xipos[body], body, got)
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)
    assert np.abs(want).max() > 1.0 and np.abs(pulse.offset).max() > 0.01


def test_root_velocities_are_mujocos(g1):
    """The world velocity that MuJoCo reports for the root jumps by what was drawn, in world axes."""
    settings = push(
        bodies=[], velocity=[0.5, 0.5, 0.2], angular_velocity=[0.52, 0.52, 0.78], velocity_magnitude=[0.1, 2.0],
        interval=[0.0, 0.01], duration=[0.0, 0.0],
    )  # fmt: skip
    disturb = make({"p": settings})
    random = np.random.default_rng(1)
    qpos = np.array(g1.start_qpos, np.float32)
    qpos[3:7] = rotation.normalize(jnp.asarray(random.normal(size=4), jnp.float32))
    qvel = random.normal(size=g1.nv).astype(np.float32)
    state = disturb.init(jax.random.key(5), kinematics.pose_of(g1, jnp.asarray(qpos), jnp.asarray(qvel)))
    after = disturb.push(Physics(jnp.asarray(qpos), jnp.asarray(qvel), jnp.zeros(g1.nv), jnp.asarray(False)), state)
    velocities = []
    for velocity in (qvel, after.qvel):
        data = mujoco.MjData(model())
        data.qpos, data.qvel = qpos, velocity
        mujoco.mj_forward(model(), data)
        found = np.zeros(6)
        mujoco.mj_objectVelocity(model(), data, mujoco.mjtObj.mjOBJ_XBODY, 1, found, 0)  # angular, linear; world axes
        velocities.append(np.concatenate([found[3:], found[:3]]))
    drawn = np.asarray(state.timers["p"].pulse.velocity)
    np.testing.assert_allclose(velocities[1] - velocities[0], drawn, atol=1e-5)
    assert (np.abs(drawn[[2, 3, 4, 5]]) <= [0.2, 0.52, 0.52, 0.78]).all() and np.abs(drawn).min() > 0.001
    assert not np.asarray(state.wrench).any() and bool(state.onset)
    np.testing.assert_array_equal(np.asarray(after.qvel)[6:], qvel[6:])


def test_velocity_pushes_come_once_each(g1):
    settings = push(bodies=[], velocity_magnitude=[1.0, 1.0], interval=[0.1, 0.3], duration=[0.0, 0.0])
    states = run({"p": settings}, 900)
    speed = np.linalg.norm(np.asarray(states.velocity)[..., :3], axis=-1)
    np.testing.assert_allclose(speed, np.asarray(states.onset), atol=1e-6)
    np.testing.assert_allclose(speed.mean(), DT / 0.2, rtol=0.03)


def test_payloads_and_sustained_loads_last_an_episode(g1):
    hands = ["left_wrist_yaw_link", "right_wrist_yaw_link"]
    profiles = {
        "load": push(bodies=hands, payload=[0.5, 1.0]),
        "pull": push(force=[10.0, 20.0], sustained=True, probability=0.5),
    }
    done = np.zeros(300)
    done[[99, 199]] = FAILED, SUCCEEDED
    states = run(profiles, 300, done)
    wrench = np.asarray(states.wrench)
    slots = [list(g1.wrench_bodies).index(g1.body_names.index(name)) for name in (*hands, TORSO)]
    kilograms = -wrench[:, :, slots[:2], 2] / 9.81
    assert kilograms.min() >= 0.5 and kilograms.max() <= 1.0
    episodes = wrench.reshape(3, 100, COUNT, -1, 6)
    np.testing.assert_array_equal(episodes, np.broadcast_to(episodes[:, :1], episodes.shape))
    assert len(np.unique(kilograms)) == 3 * COUNT * 2
    pulled = np.linalg.norm(episodes[:, 0, :, slots[2], :3], axis=-1) > 0
    assert 0.35 < pulled.mean() < 0.65
    assert np.asarray(states.onset).sum() == pulled.sum()


def test_together_gives_every_body_its_own(g1):
    states = run({"p": push(bodies=[], together=True, force=[10.0, 10.0], interval=[0.0, 0.01])}, 2)
    size = np.linalg.norm(np.asarray(states.wrench)[1, :, :, :3], axis=-1)
    np.testing.assert_allclose(size, 10.0, rtol=1e-5)
    assert len(np.unique(np.asarray(states.wrench)[1, :, :, 0])) == COUNT * len(g1.wrench_bodies)


def test_mimickits_keys(g1):
    """Each control step with its probability, independent of the last; every axis within its scale."""
    keys = EnvSettings(
        enable_random_force=True, random_force_scale=[30.0, 20.0, 0.0], random_force_bodies=[TORSO, "head_link"],
        random_force_probability=0.2,
    )  # fmt: skip
    profiles = push_profiles.collect({}, keys, DT)
    states = run(profiles, 500)
    wrench = np.asarray(states.wrench)
    acts = np.abs(wrench).sum(axis=(-2, -1)) > 0
    np.testing.assert_allclose(acts.mean(), 0.2, atol=0.01)
    np.testing.assert_allclose((acts[1:] & acts[:-1]).mean(), 0.04, atol=0.005)
    slots = [list(g1.wrench_bodies).index(g1.body_names.index(name)) for name in (TORSO, "head_link")]
    np.testing.assert_allclose(np.abs(wrench).max(axis=(0, 1))[slots, :3], [[30, 20, 0]] * 2, rtol=0.02)
    assert not np.delete(wrench, slots, axis=2).any() and not wrench[..., 3:].any()
    with pytest.raises(UserError, match="same profile"):
        push_profiles.collect({"random_force": push(force=[1.0, 2.0])}, keys, DT)


def test_curriculum_by_samples(g1):
    grows = CurriculumSettings(by="samples", begin=0.2, samples=1000.0)
    states = run({"p": push(payload=[1.0, 1.0], curriculum=grows)}, 20, envs=100)
    weight = -np.asarray(states.wrench).sum(axis=(2, 3))[:, 0] / 9.81
    np.testing.assert_allclose(weight, 0.2 + 0.8 * np.minimum(np.arange(20) / 10, 1), rtol=1e-5)


def test_curriculum_by_success(g1):
    grows = CurriculumSettings(by="success", begin=0.5, rise=0.2, fall=0.1)
    done = [SUCCEEDED, RUNNING, SUCCEEDED, FAILED, SUCCEEDED, FAILED, SUCCEEDED, SUCCEEDED, *[FAILED] * 6, RUNNING]
    states = run({"p": push(payload=[1.0, 1.0], curriculum=grows)}, len(done), done)
    weight = -np.asarray(states.wrench).sum(axis=(2, 3))[:, 0] / 9.81
    want = [0.5, 0.7, 0.7, 0.9, 0.8, 1.0, 0.9, 1.0, 1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.5]
    np.testing.assert_allclose(weight, want, rtol=1e-5)


def test_curriculum_by_pushes_survived(g1):
    """Pushes begin in steps 30, 71 and, after the failure in step 85, 116: 30 steps later they count as survived."""
    grows = CurriculumSettings(by="success", begin=0.2, rise=0.1, fall=0.05)
    pushes = push(force=[1.0, 1.0], duration=[10.2 * DT] * 2, interval=[30.5 * DT] * 2, curriculum=grows)
    done = np.zeros(160)
    done[85] = FAILED
    states = run({"p": pushes}, 160, done, count=1)
    level = np.asarray(states.timers["p"].level)[:, 0]
    changes = np.flatnonzero(np.diff(level)) + 1
    np.testing.assert_array_equal(changes, [60, 86, 146])
    np.testing.assert_allclose(level[[0, *changes]], [0.2, 0.3, 0.25, 0.35], rtol=1e-5)


def test_survival_within_a_second(g1):
    """Pulls that begin with the episode: survived after 30 steps, lost by a failure before; other ends tell nothing."""
    done = np.zeros(100)
    done[[9, 29, 64, 79]] = FAILED, SUCCEEDED, FAILED, FAILED
    profiles = {"p": push(force=[1.0, 1.0], sustained=True)}
    rows = statistics_of(profiles, run(profiles, 100, done, count=1), done)
    survival = np.asarray([row["Push_Survival"] for row in rows])
    tried, survived = np.flatnonzero(np.isfinite(survival)), np.flatnonzero(survival == 1.0)
    # begins 0, lost 9; begins 10, its clip ends 29; begins 30, survived 59 (failure 64 is later); begins 65, lost 79;
    # begins 80, undecided
    np.testing.assert_array_equal(tried, [9, 59, 79])
    np.testing.assert_array_equal(survived, [59])
    np.testing.assert_array_equal(np.flatnonzero([row["Push_Count"] for row in rows]), [0, 10, 30, 65, 80])


def test_statistics(g1):
    settings = push(force=[30.0, 30.0], duration=[10 * DT, 10 * DT], interval=[0.0, 0.0])
    row = whole({"p": settings}, run({"p": settings}, 100, count=1))
    assert row["Push_Count"] == 10 and row["Push_Active"] == row[f"Push_Body_{TORSO}"] == 1.0
    np.testing.assert_allclose(row["Push_Impulse"], 30.0 * 10 * DT, rtol=1e-3)
    np.testing.assert_allclose([row["Push_Force"], row["Push_Force_Max"]], 30.0, rtol=1e-5)
    assert row["Push_Torque_Max"] == row["Push_Speed_Max"] == 0.0 and row["Push_Level_p"] == 1.0
    assert [name for name in row if name.startswith(disturbances.BODY)] == [f"Push_Body_{TORSO}"]


def test_quiet_environments(g1):
    """Nothing acts in them and nothing counts; the others' pushes are what they are without them."""
    profiles = {
        "p": push(force=[30.0, 30.0], velocity=[1.0, 1.0, 0.0], interval=[0.2, 0.5]), "q": push(payload=[1.0, 2.0])
    }  # fmt: skip
    every = run(profiles, 60)
    states = run(profiles, 60, quiet=0.5)
    pushed = np.asarray(states.pushed[0], bool)
    assert 0.3 < pushed.mean() < 0.7
    for name in ("wrench", "velocity", "onset"):
        got, want = np.asarray(getattr(states, name)), np.asarray(getattr(every, name))
        assert not got[:, ~pushed].any()
        np.testing.assert_array_equal(got[:, pushed], want[:, pushed])
    row, those, others = (
        whole(profiles, jax.tree.map(lambda x, some=some: x[:, some], states))
        for some in (slice(None), pushed, ~pushed)
    )
    silent = ("Push_Count", "Push_Active", "Push_Force_Max", "Push_Speed_Max", f"Push_Body_{TORSO}")
    assert all(others[name] == 0.0 for name in silent) and all(those[name] > 0.0 for name in silent)
    assert np.isnan([others[name] for name in ("Push_Survival", "Push_Level_p", "Push_Impulse", "Push_Force")]).all()
    assert row["Push_Level_p"] == 1.0 and row["Push_Count"] == those["Push_Count"]


def test_the_critic_knows_the_wrench_the_levels_and_whether_there_are_any(g1):
    curriculum = CurriculumSettings(by="samples", begin=0.25, samples=1e9)
    profiles = {"p": push(force=[30.0, 30.0], sustained=True, curriculum=curriculum), "q": push(payload=[1.0, 2.0])}
    states = run(profiles, 1, quiet=0.5)
    term = make(profiles, quiet=0.5).term
    pose = kinematics.pose_of(g1, jnp.asarray(g1.start_qpos), jnp.zeros(g1.nv))
    view = View.of(pose, pose)
    seen = np.asarray(jax.vmap(lambda push: term.see(view._replace(push=push)))(jax.tree.map(lambda x: x[0], states)))
    assert [(part.name, part.size) for part in term.parts] == [
        ("wrenches", 6 * len(g1.wrench_bodies)),
        ("push_levels", 3),
    ]
    pushed = np.asarray(states.pushed[0], bool)
    wrench = np.asarray(states.wrench[0]).reshape(COUNT, -1) / np.tile(disturbances.CRITIC_SCALE, len(g1.wrench_bodies))
    np.testing.assert_allclose(seen[:, :-3], wrench, rtol=1e-6)
    np.testing.assert_array_equal(seen[pushed, -3:], [[0.25, 1.0, 1.0]] * pushed.sum())
    assert not seen[~pushed].any() and seen[pushed, :-3].any(axis=1).all()
    assert make(profiles, observe=False, quiet=0.5).term is None


def test_streams_do_not_depend_on_other_profiles(g1):
    one, other = push(force=[1.0, 9.0]), push(torque=[1.0, 2.0])
    alone, both = run({"one": one}, 50), run({"other": other, "one": one}, 50)
    same = jax.tree.map(lambda a, b: jnp.all(a == b), alone.timers["one"], both.timers["one"])  # keys among them
    assert all(jax.tree.leaves(same))
