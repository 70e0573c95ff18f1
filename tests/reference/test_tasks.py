"""Observations and rewards of tasks against MimicKit's (golden values B.7); how commands change, and that films show them."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mimicjax.config.settings import EnvSettings, LocationSettings, ReachSettings, SteeringSettings
from mimicjax.env.task import facing_of
from mimicjax.env.tasks import location, of, reach, steering
from mimicjax.env.view import View
from mimicjax.errors import UserError
from mimicjax.robot import symmetry

DT = 1 / 30
HANDS = ["left_wrist_yaw_link", "right_wrist_yaw_link"]


@pytest.fixture
def view(simulated, reference) -> View:
    """Robot X(0.313); its root's place and rotation are the humanoid's too, for whom the values were taken."""
    return View.of(simulated, reference)


def test_location(g1, view, golden):
    task = location.make(g1, EnvSettings(), DT)
    before = view.pose.root_pos[:2] - jnp.asarray([0.02, -0.01])
    view = view._replace(task=location.LocationState(jnp.asarray([2.0, -1.0]), jnp.float32(1), before))
    golden(task.observation.see(view), (1.031982, -1.717862), rtol=2e-4)
    golden(task.reward(view), 0.375878, rtol=2e-4)


def test_steering(g1, view, golden):
    task = steering.make(g1, EnvSettings(), DT)
    before = view.pose.root_pos[:2] - jnp.asarray([0.02, -0.01])
    state = steering.SteeringState(
        jnp.asarray([0.6, -0.8]), jnp.float32(1.5), jnp.asarray([0.8, 0.6]), jnp.float32(1), before, view.pose.root_pos
    )
    view = view._replace(task=state)
    golden(task.observation.see(view), (0.171222, -0.985232, 1.5, 0.985232, 0.171222), rtol=2e-4)
    golden(task.reward(view), 0.741909, rtol=2e-4)
    velocity = (
        np.asarray([0.02, -0.01]) / DT
    )  # along the command 0.6 vx - 0.8 vy; 53.13 and 26.57 degrees below the x axis
    golden(task.figures["Command_Speed_Err"].of(view), abs(0.6 * velocity[0] - 0.8 * velocity[1] - 1.5), rtol=1e-3)
    golden(task.figures["Command_Direction_Err"].of(view), np.radians(53.1301 - 26.5651), rtol=1e-3)
    facing = view._replace(task=state._replace(face=-facing_of(view.pose.root_quat)))
    golden(task.figures["Facing_Err"].of(facing), np.pi, rtol=1e-4)


def test_a_target_that_is_reached_earns_all(g1, view):
    task = location.make(g1, EnvSettings(), DT)
    root = view.pose.root_pos[:2]
    there = view._replace(
        task=location.LocationState(root + 0.5, jnp.float32(1), root)
    )  # 0.5 m^2 is not below the threshold
    here = view._replace(task=location.LocationState(root + 0.4, jnp.float32(1), root))
    assert float(task.reward(here)) == pytest.approx(0.5 * np.exp(-0.5 * 0.32) + 0.5, rel=1e-4)
    assert float(task.reward(there)) < 0.5 * np.exp(-0.25) + 0.11
    for where, distance, arrived in ((here, np.sqrt(0.32), 1.0), (there, np.sqrt(0.5), 0.0)):
        assert float(task.figures["Target_Distance"].of(where)) == pytest.approx(distance, rel=1e-4)
        assert float(task.figures["Arrived"].of(where)) == arrived


def test_reach(g1, view):
    """Twenty centimetres from the right hand, and farther from the left, earns exp(-10 x 0.04)."""
    task = reach.make(g1, EnvSettings(reach=ReachSettings(bodies=HANDS)), DT)
    hand = view.pose.body_pos[g1.body_names.index(HANDS[1])]
    away = hand - view.pose.body_pos[g1.body_names.index(HANDS[0])]
    target = hand + 0.2 * away / jnp.linalg.norm(away)
    state = reach.ReachState(target, jnp.asarray([0.0, 0.3, -0.1]), jnp.float32(1))
    view = view._replace(task=state)
    assert float(task.reward(view)) == pytest.approx(np.exp(-0.4), rel=1e-4)
    assert float(task.figures["Hand_Distance"].of(view)) == pytest.approx(0.2, rel=1e-4)
    w, x, y, z = np.asarray(view.pose.root_quat)
    heading = np.arctan2(2 * (x * y + w * z), 1 - 2 * (y * y + z * z))  # of the root's x axis
    back = np.asarray([[np.cos(heading), np.sin(heading), 0], [-np.sin(heading), np.cos(heading), 0], [0, 0, 1]])
    want = [back @ np.asarray(target - view.pose.root_pos), back @ np.asarray(state.velocity)]
    np.testing.assert_allclose(task.observation.see(view), np.concatenate(want), atol=1e-5)
    mirrors = [part.mirror(g1) for part in task.observation.parts]
    np.testing.assert_array_equal(symmetry.join(mirrors).sign, [1, -1, 1, 1, -1, 1])


def test_what_is_to_be_reached_goes_evenly_from_place_to_place(g1, view):
    """Legs of 0.1 to 0.2 s, each straight, from where the one before ended; goals lie in their box about the root."""
    settings = ReachSettings(bodies=HANDS, tar_change_time=[0.1, 0.2], height=[0.7, 0.9])
    task = reach.make(g1, EnvSettings(reach=settings), DT)
    keys = jax.random.split(jax.random.key(1), 80)
    first = task.init(keys[0], view)
    states = jax.jit(lambda: jax.lax.scan(lambda s, k: (task.update(k, s, view),) * 2, first, keys)[1])()
    places, velocities = np.asarray(states.target), np.asarray(states.velocity)
    np.testing.assert_allclose(np.diff(places, axis=0), velocities[:-1] * DT, atol=1e-5)
    turns = np.flatnonzero(np.any(np.diff(velocities, axis=0) != 0, axis=1))
    assert set(np.diff(turns)) <= {3, 4, 5, 6} and len(set(np.diff(turns))) > 1
    assert places[:, 2].min() > 0.7 - 0.05 and places[:, 2].max() < 0.9 + 0.05  # a leg overshoots by less than a step
    far = np.linalg.norm(places[:, :2] - np.asarray(view.pose.root_pos[:2]), axis=1)
    assert far.max() < np.hypot(0.45, 0.4) + 0.1


@pytest.mark.parametrize("name", ["location", "steering"])
def test_commands_change_when_their_time_is_up(g1, view, name):
    """Times between changes lie in their range, and targets and speeds in theirs, over many draws."""
    settings = EnvSettings(
        task=name, location=LocationSettings(tar_change_time=[0.1, 0.2], tar_dist_min=1.0, tar_dist_max=2.0),
        steering=SteeringSettings(tar_change_time=[0.1, 0.2], tar_speed=[0.5, 0.7]),
    )  # fmt: skip
    task = of(g1, settings, DT)
    assert task is not None

    def steps(key):
        first = task.init(key, view)
        keys = jax.random.split(key, 60)
        return jax.lax.scan(lambda state, k: (task.update(k, state, view),) * 2, first, keys)[1]

    states = jax.jit(jax.vmap(steps))(jax.random.split(jax.random.key(0), 16))
    command = np.asarray(states.target if name == "location" else states.direction)
    changes = np.any(command[:, 1:] != command[:, :-1], axis=-1)
    gaps = np.concatenate([np.diff(np.flatnonzero(row)) for row in changes])
    assert set(gaps) <= {4, 5, 6} and len(set(gaps)) > 1  # 0.1 to 0.2 s are 3 to 6 control steps, the last one included
    if name == "location":
        distance = np.linalg.norm(command - np.asarray(view.pose.root_pos[:2]), axis=-1)
        assert distance.min() >= 1.0 and distance.max() <= 2.0 + 1e-5
    else:
        assert states.speed.min() >= 0.5 and states.speed.max() <= 0.7
        np.testing.assert_allclose(np.linalg.norm(command, axis=-1), 1.0, rtol=1e-5)
        np.testing.assert_array_equal(states.face, command)  # rand_face_dir is off


def test_mistakes_are_one_line(g1):
    with pytest.raises(UserError, match="env.task: unknown task 'stearing'.*did you mean steering"):
        of(g1, EnvSettings(task="stearing"), DT)
    with pytest.raises(UserError, match="env.location.tar_change_time: given .*low not above high"):
        of(g1, EnvSettings(task="location", location=LocationSettings(tar_change_time=[2.0, 1.0])), DT)
    with pytest.raises(UserError, match="env.reach.bodies: given \\[\\]"):
        of(g1, EnvSettings(task="reach"), DT)
    with pytest.raises(UserError, match="env.reach.bodies: unknown body of robot g1 'left_hand'"):
        of(g1, EnvSettings(task="reach", reach=ReachSettings(bodies=["left_hand"])), DT)
    one = reach.make(g1, EnvSettings(reach=ReachSettings(bodies=HANDS[:1])), DT)
    with pytest.raises(UserError, match="left_wrist_yaw_link is among the env.reach.bodies"):
        one.observation.parts[0].mirror(g1)
