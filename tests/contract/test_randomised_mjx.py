"""Randomised models on a robot so small that MJX compiles it in seconds: a box with an arm, on native and on MJX alike."""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from mimicjax.config.settings import EngineSettings, RandomizeSettings
from mimicjax.engine import choose, randomisation, scene
from mimicjax.robot.load import load
from mimicjax.types import Physics

XML = """
<mujoco><worldbody><body name="box" pos="0 0 0.1"><freejoint/><geom type="box" size=".2 .15 .1" mass="4"/>
  <body name="arm" pos="0 0 .1"><joint name="swing" axis="0 1 0" range="-2 2" stiffness="30" damping="1"
    actuatorfrcrange="-40 40" armature=".01" frictionloss=".1"/>
    <geom type="capsule" fromto="0 0 0 0 0 .3" size=".03" mass="1" contype="0" conaffinity="0"/></body>
</body></worldbody></mujoco>
"""
YAML = """
name: tiny
key_bodies: [arm]
contact_bodies: [box]
wrench_bodies: [box, arm]
start_pose: {root_height: 0.1}
"""
SETTINGS = EngineSettings(name="native", iterations=50, ls_iterations=50)
ALL = RandomizeSettings(
    variants=4, friction=[0.2, 0.5], base_mass=[-1.0, 3.0], base_com=[0.05, 0.05, 0.05], link_mass=[0.8, 1.2],
    armature=[1.0, 1.5], frictionloss=[0.5, 2.0], gravity=[0.1, 0.1, 1.0], kp=[0.75, 1.25], kd=[0.75, 1.25],
    torque_limit=[0.9, 1.0],
)  # fmt: skip
WARP = importlib.util.find_spec("warp") is not None
ENGINES = [
    "native", "mjx-jax",
    pytest.param("mjx-warp", marks=[pytest.mark.slow, pytest.mark.skipif(not WARP, reason="Warp is not installed")]),
]  # fmt: skip
N = 5  # one environment for each row of the table


@functools.cache
def robot():
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "robot.xml").write_text(XML)
        (Path(folder) / "robot.yaml").write_text(YAML)
        tiny = load(folder)
        kept = Path(tempfile.mkdtemp()) / "robot.xml"  # the scene reads it again
        kept.write_text(XML)
    return dataclasses.replace(tiny, xml=kept)


@functools.cache
def alone() -> scene.Scene:
    return scene.build(robot(), SETTINGS)


def model() -> mujoco.MjModel:
    return alone().model


@functools.cache
def engine(name: str):
    return choose.make(alone(), dataclasses.replace(SETTINGS, name=name), N, ALL, 0)


@functools.cache
def compiled(name: str):
    return jax.jit(engine(name).step)


@functools.cache
def rows() -> list[mujoco.MjModel]:
    table = randomisation.tabulate(alone(), ALL, 0)
    return [randomisation.changed(model(), table, row) for row in range(N)]


def start(height: float) -> tuple[np.ndarray, np.ndarray]:
    qpos = np.tile(robot().start_qpos, (N, 1)).astype(np.float32)
    qpos[:, 2] = height
    qpos[:, 7] = 0.2
    return qpos, np.zeros((N, robot().nv), np.float32)


@pytest.mark.parametrize("name", ENGINES)
def test_rows_are_models_and_substeps_have_controls_of_their_own(name):
    """Sliding and swinging, against mj_step on the row's model; control row k in substep k."""
    qpos, qvel = start(0.099)
    qvel[:, 0] = 1.0
    ctrl = np.random.default_rng(0).uniform(-0.3, 0.6, (N, 4, 1)).astype(np.float32)
    wrench = np.zeros((N, 2, 6), np.float32)
    physics = compiled(name)(engine(name).init(qpos, qvel), ctrl, wrench, jnp.arange(N))
    want = []
    for own, place, speed, target in zip(rows(), qpos, qvel, ctrl, strict=True):
        data = mujoco.MjData(own)
        data.qpos, data.qvel = place, speed
        for row in target:
            data.ctrl = row
            mujoco.mj_step(own, data)
        want.append((data.qpos.copy(), data.qvel.copy()))
    places, speeds = (np.stack(x) for x in zip(*want, strict=True))
    np.testing.assert_allclose(physics.qpos, places, atol=1e-6 if name == "native" else 5e-5)
    np.testing.assert_allclose(physics.qvel, speeds, atol=1e-6 if name == "native" else 5e-3)
    assert (np.ptp(speeds[:, [0, 2, 6]], axis=0) > 0.01).all()  # the models differ by far more


@pytest.mark.parametrize("name", ENGINES)
def test_a_heavier_robot_weighs_more(name):
    """Held up by one and the same force it falls by Newton's law; at rest the ground carries m g of its variant."""
    weights = np.asarray([own.body_mass.sum() * -own.opt.gravity[2] for own in rows()])
    assert np.ptp(weights) > 10.0 and weights[0] == pytest.approx(5.0 * 9.81)
    lift = np.zeros((N, 2, 6), np.float32)
    lift[:, 0, 2] = 60.0
    held = np.repeat(np.float32([[[0.2]]]), N, axis=0).repeat(4, axis=1)
    qpos, qvel = start(2.0)
    after = compiled(name)(engine(name).init(qpos, qvel), held, lift, jnp.arange(N))
    gained = [momentum(own, after, row) / (1 / 30) for row, own in enumerate(rows())]
    np.testing.assert_allclose(gained, 60.0 - weights, atol=0.3)
    physics = engine(name).init(*start(0.1))
    for _ in range(90):
        physics = compiled(name)(physics, held, 0 * lift, jnp.arange(N))
    assert np.abs(np.asarray(physics.qvel)[:, 2]).max() < 1e-2
    carried = [ground_force(own, physics, row) for row, own in enumerate(rows())]
    np.testing.assert_allclose(carried, weights, rtol=0.02)


def momentum(own: mujoco.MjModel, physics: Physics, row: int) -> float:
    """Vertical momentum of the robot, N s."""
    data = at(own, physics, row)
    mujoco.mj_subtreeVel(own, data)
    return float(data.subtree_linvel[1, 2] * own.body_subtreemass[1])


def ground_force(own: mujoco.MjModel, physics: Physics, row: int) -> float:
    """Vertical force of all contacts, N, as MuJoCo finds it in the state that the engine has come to."""
    data, total, force = at(own, physics, row), np.zeros(3), np.zeros(6)
    for number in range(data.ncon):
        mujoco.mj_contactForce(own, data, number, force)
        total += data.contact[number].frame.reshape(3, 3).T @ force[:3]
    return abs(float(total[2]))


def at(own: mujoco.MjModel, physics: Physics, row: int) -> mujoco.MjData:
    data = mujoco.MjData(own)
    data.qpos, data.qvel, data.ctrl = np.asarray(physics.qpos)[row], np.asarray(physics.qvel)[row], 0.2
    mujoco.mj_forward(own, data)
    return data
