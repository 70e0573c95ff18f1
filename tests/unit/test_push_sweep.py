"""Push sweeps against closed forms: impulses and momentum, directions, the episodes of a sweep, profiles."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest
from restored_runs import untrained

from mimicjax.config.settings import (
    ActionSettings,
    EngineSettings,
    EnvSettings,
    LearnSettings,
    ObservationSettings,
    RunSettings,
)
from mimicjax.engine import choose, scene, state
from mimicjax.errors import UserError
from mimicjax.evaluation import progress
from mimicjax.evaluation.episodes import Player
from mimicjax.evaluation.push import cells, profile, sweep
from mimicjax.evaluation.push.cells import FOREVER, Cell, Plan
from mimicjax.motion import library
from mimicjax.robot import kinematics
from mimicjax.robot.load import load
from mimicjax.types import CLAMP, WRAP, Clip, Engine

LEARN = LearnSettings(actor_hidden=[8], critic_hidden=[8])


def plan_of(kinds: list[Cell], bodies: list[str], dt: float) -> Plan:
    """One episode of every cell, all from the start of clip 0."""
    count = len(kinds)
    wrench = np.stack([cells.vector(k.direction) * k.level / (k.duration or 1.0) for k in kinds])
    return Plan(
        clip=np.zeros(count, np.int32),
        start=np.zeros(count, np.float32),
        body=np.array([bodies.index(k.body) for k in kinds], np.int32),
        wrench=wrench.astype(np.float32),
        steps=np.array([FOREVER if k.duration is None else k.duration / dt for k in kinds], np.float32),
    )


def standing(robot, height: float, yaw: float = 0.0, seconds: float = 3.0) -> Clip:
    """The start pose, held at a height, turned by yaw."""
    frames = int(30 * seconds) + 1
    q = np.tile(robot.start_qpos, (frames, 1)).astype(np.float64)
    q[:, 2] = height
    q[:, 3:7] = [np.cos(yaw / 2), 0.0, 0.0, np.sin(yaw / 2)]
    return Clip("air", "g1", robot.dof_names, 30.0, CLAMP, q[:, :3], q[:, 3:7], q[:, 7:])


def momentum(model: mujoco.MjModel, qpos: np.ndarray, qvel: np.ndarray) -> np.ndarray:
    """[6] linear momentum and angular momentum about the centre of mass, from MuJoCo."""
    data = mujoco.MjData(model)
    data.qpos[:], data.qvel[:] = qpos, qvel
    mujoco.mj_forward(model, data)
    mujoco.mj_subtreeVel(model, data)
    return np.concatenate([model.body_mass.sum() * data.subtree_linvel[0], data.subtree_angmom[0]])


@pytest.fixture(scope="module")
def floating():
    """Momentum [E,6] gained by pushes on a robot that hangs high in the air, turned by 90 degrees; what was seen of it."""
    robot, dt = load("g1"), 1 / 30
    kinds = [
        Cell("torso_link", "forward", 0.1, 1e-6), Cell("torso_link", "forward", 0.1, 3.0),
        Cell("torso_link", "left", 0.05, 3.0), Cell("pelvis", "up", 0.12, 2.0),
        Cell("pelvis", "forward_left", None, 5.0), Cell("torso_link", "yaw-", 0.1, 0.5),
    ]  # fmt: skip
    bodies = ["torso_link", "pelvis"]
    settings = EngineSettings(name="native", threads=1, iterations=10)
    holds = EnvSettings(action=ActionSettings(mode="reference"), observations=ObservationSettings(joints="angle"))
    run = RunSettings(env=holds, learn=LEARN, engine=settings)
    restored = untrained(robot, [standing(robot, 50.0, np.pi / 2)], run, bodies)
    world, agent, plan = restored.world, restored.agent, plan_of(kinds, bodies, dt)
    player = Player(world.test_env, choose.make(world.scene, settings, len(kinds)), restored.policy)
    program = sweep.program(world, player, agent, plan, 2, 0)
    plan = jax.tree.map(jnp.asarray, plan)
    carry = program.begin(world.motion, plan)
    for _ in range(2):
        carry, rows = program.advance(agent, world.motion, plan, carry)
    physics, model = jax.device_get(carry.actors.env.physics), world.scene.model
    gained = np.stack([momentum(model, q, v) for q, v in zip(physics.qpos, physics.qvel, strict=True)])
    return gained - gained[0], jax.device_get(rows), dt


def test_a_push_changes_momentum_by_its_impulse_in_the_frame_of_the_robot(floating):
    gained, _, dt = floating
    # the robot faces along y: forward is y, left is -x; 0.05 and 0.12 s are 1.5 and 3.6 control steps
    wanted = {1: [0, 3, 0], 2: [-3, 0, 0], 3: [0, 0, 2]}
    wanted[4] = list(5.0 * 8 * dt * np.array([-np.sqrt(0.5), np.sqrt(0.5), 0]))  # sustained since step 2 of 10
    for row, impulse in wanted.items():
        np.testing.assert_allclose(gained[row, :3], impulse, atol=0.05)


def test_a_twist_changes_angular_momentum_only(floating):
    gained, _, _ = floating
    np.testing.assert_allclose(gained[5], [0, 0, 0, 0, 0, -0.5], atol=0.05)


def test_what_is_seen_of_a_robot_in_free_fall(floating):
    _, rows, dt = floating
    time = 10 * dt
    assert not rows.fallen.any() and rows.global_error[-1, 0] == pytest.approx(0.5 * 9.81 * time**2, rel=0.1)
    assert rows.body_error[-1, 0] < 0.05 and np.all(rows.load <= 1.0) and np.all(rows.torque > 0)


def test_joint_torques_are_those_of_mujocos_actuators(g1):
    model = scene.build(g1, EngineSettings()).model
    generator = np.random.default_rng(0)
    data = mujoco.MjData(model)
    data.qpos[:], data.qpos[7:] = g1.start_qpos, generator.normal(size=29)
    data.qvel[6:], data.ctrl[:] = generator.normal(size=29), generator.normal(size=29)
    mujoco.mj_forward(model, data)
    torque_of = jax.jit(lambda ctrl, *state: sweep.joint_torque(g1, ctrl, kinematics.pose_of(g1, *state)))
    torque = torque_of(*(jnp.asarray(values, jnp.float32) for values in (data.ctrl, data.qpos, data.qvel)))
    np.testing.assert_allclose(torque, data.actuator_force, rtol=1e-4, atol=1e-3)


def test_directions_go_anticlockwise_from_where_the_robot_looks():
    np.testing.assert_allclose(cells.vector("left")[:3], [0, 1, 0], atol=1e-12)
    np.testing.assert_allclose(cells.vector("back_right")[:3], [-np.sqrt(0.5), -np.sqrt(0.5), 0], atol=1e-12)
    assert cells.vector("pitch-").tolist() == [0, 0, 0, 0, -1, 0] and cells.vector("down")[2] == -1


def test_starts_are_uniform_over_phases_and_leave_room_in_clips_that_end(g1):
    clips = library.pack(g1, [standing(g1, 1.0), dataclasses.replace(standing(g1, 1.0, seconds=2.0), loop=WRAP)])
    clip, start = cells.starts(clips, 100, 2.5, seed=4)
    assert np.bincount(clip).tolist() == [50, 50]
    assert np.all(start[clip == 0] <= 0.5) and np.all(np.diff(start[clip == 1]) > 0)
    counts = np.histogram(start[clip == 1], 10, (0.0, 2.0))[0]
    assert counts.min() >= 4 and counts.max() <= 6


def test_every_cell_has_its_repeats_and_every_episode_its_unpushed_twin(g1):
    clips = library.pack(g1, [standing(g1, 1.0, seconds=9.0)])
    kinds = cells.expand(profile.load("tiny"), g1, "tiny")
    plan, rows = cells.plan(kinds, ["torso_link"], clips, profile.load("tiny"), 1 / 30, 0)
    assert len(kinds) == 4 * 8 and len(rows.cell) == 48 + 12 * 32 and np.all(np.bincount(rows.cell + 1)[1:] == 12)
    assert (
        np.array_equal(plan.start, plan.start[rows.phase]) and not plan.wrench[:48].any() and not plan.steps[:48].any()
    )
    first = np.flatnonzero(rows.cell == 0)
    np.testing.assert_allclose(plan.wrench[first, 0], 5.0 / 0.2)
    np.testing.assert_allclose(plan.steps[first], 6.0, rtol=1e-6)
    parts = [sweep.part_of(plan, n, 5) for n in range(5)]
    assert {len(p.clip) for p in parts} == {87}
    np.testing.assert_array_equal(np.concatenate([p.start for p in parts])[:432], plan.start)


def test_a_sweep_larger_than_memory_is_split():
    assert sweep.parts(1000, 10 << 30, 12 << 30) == 1 and sweep.parts(1000, 10 << 30, 3 << 30) == 4
    assert sweep.parts(2, 10 << 30, 1) == 2


GROUP = "pushes: {{a: {{{}}}}}"


@pytest.mark.parametrize(
    "text, says",
    [
        ("repeat: 3\n" + GROUP.format("impulses: [5]"), "unknown key.*repeats"),
        (GROUP.format("impulses: [5], durations: [-0.1]"), r"pushes.a.durations.0: given -0.1, allowed is .* above 0"),
        (GROUP.format("impulses: [20, 5]"), r"pushes.a.impulses: given \[20.0, 5.0\], allowed is .* rises"),
        (GROUP.format("impulses: [5], bodies: [torso]"), "unknown body 'torso'.*torso_link.*allowed: pelvis"),
        (GROUP.format("torques: [5], bodies: [head_link], directions: [yaw+]"), "head_link, which is fixed to torso_link"),
        (GROUP.format("impulses: [5], directions: [yaw+]"), "yaw\\+ is a torque, but neither"),
        (GROUP.format("torques: [5], directions: [left]"), "left is a force, but neither"),
        (GROUP.format("impulses: [5], directions: [north]"), "given 'north', allowed is one of headings"),
        (GROUP.format("impulses: [5], durations: [3.0]"), "3 s, but an episode ends 2 s after"),
        (GROUP.format("impulses: [5], bodies: []"), "bodies: the list is empty"),
        (GROUP.format("bodies: [all]"), "no levels"),
        ("repeats: 3", "pushes: none given"),
        ("watched: 0\n", "watched: given 0, allowed is .* above 0"),
    ],
)  # fmt: skip
def test_profiles_that_cannot_be(text: str, says: str, tmp_path: Path, g1):
    file = tmp_path / "p.yaml"
    file.write_text(text)
    with pytest.raises(UserError, match=says) as problem:
        cells.expand(profile.load(str(file)), g1, "p.yaml")
    assert "\n" not in str(problem.value)


def test_a_profile_that_does_not_exist():
    with pytest.raises(UserError, match="did you mean quick.*tiny, quick, punch, full"):
        profile.load("quik")


def test_built_in_profiles_fit_the_g1_and_leave_out_torques_on_welded_bodies(g1):
    for name, most in (("tiny", 500), ("quick", 20_000), ("punch", 4_000), ("full", 110_000)):
        sweep_settings = profile.load(name)
        kinds = cells.expand(sweep_settings, g1, name)
        assert len(set(kinds)) == len(kinds) and len(kinds) * sweep_settings.repeats < most
        assert sweep_settings.warm_up + sweep_settings.watched == 3.0
    assert len(kinds) * sweep_settings.repeats > 90_000
    assert not [k for k in kinds if k.body == "head_link" and k.kind == "torque"]
    assert len([k for k in kinds if k.body == "head_link"]) == 10 * 4 * 8


def test_progress_in_plain_lines():
    now, stream = [0.0], io.StringIO()
    bar = progress.Progress(90_000, 2, 90, stream, clock=lambda: now[0])
    for seconds, part, done in ((2.0, 0, 9), (3.0, 0, 18), (20.0, 0, 90), (40.0, 1, 90)):
        now[0] = seconds
        bar.update(part, done)
    lines = stream.getvalue().splitlines()
    assert lines == [
        "part 1 of 2, 5 % of 90k control steps, 2.25k/s, 38 s left", "part 1 of 2, 50 % of 90k control steps, 2.25k/s, 20 s left",
        "part 2 of 2, 100 % of 90k control steps, 2.25k/s, took 40 s",
    ]  # fmt: skip


def test_progress_of_items_that_are_watched():
    stream = io.StringIO()
    assert list(progress.watched(range(3), "frames", stream)) == [0, 1, 2]
    first, last = stream.getvalue().splitlines()
    assert first.startswith("33 % of 3 frames") and last.startswith("100 % of 3 frames") and ", took 0 s" in last


def test_episodes_end_with_their_time_and_nobody_begins_anew():
    """An engine without physics on a clip that ends: the robot stays where it was put, at the clip's last pose."""
    robot = load("g1")
    still = Engine("still", state.init, lambda physics, ctrl, wrench, variant: physics, state.write)
    settings = EnvSettings(observations=ObservationSettings(joints="angle"))
    clip = standing(robot, 0.8, seconds=0.2)  # ends after 6 steps: nobody begins anew
    restored = untrained(robot, [clip], RunSettings(env=settings, learn=LEARN))
    world, agent = restored.world, restored.agent
    plan = plan_of([Cell("torso_link", "left", 0.1, 1e4)], ["torso_link"], 1 / 30)
    player = Player(world.test_env, still, restored.policy)
    program = sweep.program(world, player, agent, plan, 3, 0)
    told: list[int] = []
    curves = sweep.collect(program, agent, world.motion, plan, 12, told.append)
    assert curves.fallen.shape == (12, 1) and not curves.fallen.any() and told == [5, 10, 12] and program.bytes > 0
    np.testing.assert_allclose(curves.global_error, 0.0, atol=1e-3)
