"""Observations and rewards of tasks against MimicKit's (golden values B.7); how commands change, and that films show them."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mimicjax.config.settings import EnvSettings, LocationSettings, SteeringSettings
from mimicjax.env.tasks import location, of, steering
from mimicjax.env.view import View
from mimicjax.errors import UserError

DT = 1 / 30


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


def test_a_target_that_is_reached_earns_all(g1, view):
    task = location.make(g1, EnvSettings(), DT)
    root = view.pose.root_pos[:2]
    there = view._replace(
        task=location.LocationState(root + 0.5, jnp.float32(1), root)
    )  # 0.5 m^2 is not below the threshold
    here = view._replace(task=location.LocationState(root + 0.4, jnp.float32(1), root))
    assert float(task.reward(here)) == pytest.approx(0.5 * np.exp(-0.5 * 0.32) + 0.5, rel=1e-4)
    assert float(task.reward(there)) < 0.5 * np.exp(-0.25) + 0.11


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
    with pytest.raises(UserError, match="env.task: given 'stearing'.*did you mean steering"):
        of(g1, EnvSettings(task="stearing"), DT)
    with pytest.raises(UserError, match="env.location.tar_change_time: given .*low not above high"):
        of(g1, EnvSettings(task="location", location=LocationSettings(tar_change_time=[2.0, 1.0])), DT)
