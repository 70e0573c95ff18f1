"""Gains from armature and actions in shares of the effort, against BeyondMimic's table for the G1."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mimicjax import build, config
from mimicjax.config.settings import ActionSettings, EngineSettings, RunSettings
from mimicjax.engine import scene
from mimicjax.errors import UserError
from mimicjax.names import NAMES
from mimicjax.robot import actuation, gains
from mimicjax.robot.load import load

# the motors of the G1: armature kg m^2, kp, kd, effort N m, action scale rad
MOTORS = {
    "7520_14": (0.010177520, 40.1792, 2.55789, 88.0, 0.547546),
    "7520_22": (0.025101925, 99.0984, 6.30880, 139.0, 0.350661),
    "2x5020": (0.007219450, 28.5012, 1.81445, 50.0, 0.438577),
    "5020": (0.003609725, 14.2506, 0.907223, 25.0, 0.438577),
    "4010": (0.00425, 16.7783, 1.06814, 5.0, 0.0745009),
}
JOINTS = {
    "hip_pitch": "7520_14", "hip_yaw": "7520_14", "waist_yaw": "7520_14", "hip_roll": "7520_22", "knee": "7520_22",
    "ankle": "2x5020", "waist_roll": "2x5020", "waist_pitch": "2x5020", "shoulder": "5020", "elbow": "5020",
    "wrist_roll": "5020", "wrist_pitch": "4010", "wrist_yaw": "4010",
}  # fmt: skip
FROM_ARMATURE = EngineSettings(gains="armature")


def table(robot) -> np.ndarray:
    """[D,5] rows of MOTORS."""
    motors = [next(MOTORS[motor] for part, motor in JOINTS.items() if part in name) for name in robot.dof_names]
    return np.asarray(motors)


def test_gains_of_every_joint_are_the_tables(g1):
    armature, kp, kd, effort, scale = table(g1).T
    np.testing.assert_allclose(g1.armature, armature, rtol=1e-6)
    # of another origin: what the files say must not matter
    robot = gains.of(dataclasses.replace(g1, kp=np.ones(29), kd=np.ones(29)), FROM_ARMATURE)
    np.testing.assert_allclose(robot.kp, kp, rtol=1e-5)
    np.testing.assert_allclose(robot.kd, kd, rtol=1e-5)
    np.testing.assert_array_equal(robot.torque_limit, g1.torque_limit)
    theirs = dataclasses.replace(robot, torque_limit=effort)
    action = ActionSettings(unit="effort", scale=0.25)
    np.testing.assert_allclose(actuation.offsets(theirs, action), scale, rtol=1e-5)
    np.testing.assert_allclose(actuation.offsets(theirs, action) * robot.kp, effort / 4, rtol=1e-5)
    assert actuation.offsets(theirs, ActionSettings(scale=0.3)) == pytest.approx([0.3] * 29)


def test_frequency_and_damping(g1):
    """A motor alone on its joint rings at this frequency if it is not damped: kp / I = (2 pi f)^2; kd^2 = 4 z^2 I kp."""
    robot = gains.of(g1, EngineSettings(gains="armature", natural_frequency=6.0, damping_ratio=0.7))
    np.testing.assert_allclose(np.sqrt(robot.kp / robot.armature) / (2 * np.pi), 6.0, rtol=1e-6)
    np.testing.assert_allclose(robot.kd**2 / (4 * robot.armature * robot.kp), 0.49, rtol=1e-5)


def test_they_are_in_the_model_that_every_engine_gets():
    overrides = {"engine.gains": "armature", "engine.natural_frequency": 5.0, "engine.name": "native", "num_envs": 1}
    world = build.world(config.load(RunSettings, "deepmimic_g1", overrides, NAMES))
    model, own = world.scene.model, load("g1")
    np.testing.assert_allclose(model.actuator_gainprm[:, 0], own.kp / 4, rtol=1e-5)
    np.testing.assert_allclose(-model.actuator_biasprm[:, 2], own.kd / 2, rtol=1e-5)
    np.testing.assert_allclose(world.robot.kp, own.kp / 4, rtol=1e-5)
    assert build.facts(world)["config"]["engine"]["natural_frequency"] == 5.0


def test_the_g1s_own_gains_are_those(g1):
    """So the switch alone changes nothing for it."""
    derived = scene.build(gains.of(g1, FROM_ARMATURE), EngineSettings()).model
    np.testing.assert_allclose(
        derived.actuator_gainprm, scene.build(g1, EngineSettings()).model.actuator_gainprm, rtol=1e-5
    )


def test_balls_have_the_armature_of_their_joint():
    robot = gains.of(load("humanoid"), FROM_ARMATURE)
    neck = [name.startswith("neck") for name in robot.dof_names]
    np.testing.assert_allclose(robot.kp[neck], 0.01 * (20 * np.pi) ** 2, rtol=1e-5)
    assert sum(neck) == 3


def test_effort_counts_from_the_reference_or_from_the_start_pose(g1, reference):
    share = 0.1 * g1.torque_limit / g1.kp
    for mode, middle in (("reference", reference.dof_pos), ("start", g1.start_qpos[7:])):
        target = actuation.make(g1, ActionSettings(mode=mode, unit="effort", scale=0.1))  # pyright: ignore[reportArgumentType]
        low, high = actuation.bounds(g1, True)
        np.testing.assert_allclose(target(jnp.zeros(29), reference), np.clip(middle, low, high), atol=1e-6)
        got = jax.jit(target)(jnp.linspace(-1, 1, 29), reference)
        np.testing.assert_allclose(got, np.clip(middle + share * np.linspace(-1, 1, 29), low, high), atol=1e-5)


def test_what_cannot_be_meant(g1):
    without = g1.armature.copy()
    without[3] = 0.0
    with pytest.raises(UserError, match="joint left_knee_joint has no armature in .*robot.xml"):
        gains.of(dataclasses.replace(g1, armature=without), FROM_ARMATURE)
    with pytest.raises(UserError, match="engine.natural_frequency is 8, and engine.gains robot does not read it"):
        gains.of(g1, EngineSettings(natural_frequency=8.0))
