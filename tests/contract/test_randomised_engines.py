"""Randomised models of the G1 on the native engine, bit for bit against mj_step on models that were changed by hand.

MJX has test_randomised_mjx.py, on a smaller robot.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest
from mujoco import batch

from mimicjax.config.settings import EngineSettings, RandomizeSettings
from mimicjax.engine import choose, native, randomisation, scene
from mimicjax.errors import UserError
from mimicjax.robot.load import load
from mimicjax.types import Physics

SETTINGS = EngineSettings(name="native", iterations=50, ls_iterations=50)
ALL = RandomizeSettings(
    variants=6, friction=[0.3, 1.2], friction_each=True, base_bodies=["torso_link"], base_mass=[-1.0, 3.0],
    base_com=[0.025, 0.05, 0.05], link_mass=[0.8, 1.2], armature=[1.0, 1.5], frictionloss=[0.5, 2.0],
    gravity=[0.1, 0.1, 0.3], kp=[0.75, 1.25], kd=[0.75, 1.25], torque_limit=[0.5, 1.0],
)  # fmt: skip
N = 14
ROWS = np.arange(N) % 7


@functools.cache
def robot():
    return load("g1")


@functools.cache
def alone() -> scene.Scene:
    return scene.build(robot(), SETTINGS)


def model() -> mujoco.MjModel:
    return alone().model


@functools.cache
def inputs(substeps: int = 0) -> tuple[np.ndarray, ...]:
    random = np.random.default_rng(0)
    qpos = np.tile(robot().start_qpos, (N, 1))
    qpos[:, 7:] += 0.05 * random.normal(size=(N, 29))
    qpos[: N // 2, 2] -= 0.02
    qvel = 0.3 * random.normal(size=(N, 35))
    shape = (N, substeps, 29) if substeps else (N, 29)
    ctrl = robot().start_qpos[7:] + 0.5 * random.uniform(-1, 1, size=shape)
    wrench = random.normal(size=(N, len(robot().wrench_bodies), 6)) * [10, 10, 10, 0.3, 0.3, 0.3]
    return tuple(x.astype(np.float32) for x in (qpos, qvel, ctrl, wrench))


def plain(models: list[mujoco.MjModel], qpos, qvel, ctrl, wrench) -> Physics:
    """One control step by mj_step, row i on models[i]."""
    rows, bodies = [], [model().body(robot().body_names[body]).id for body in robot().wrench_bodies]
    for own, *given in zip(models, qpos, qvel, ctrl, wrench, strict=True):
        data = mujoco.MjData(own)
        data.qpos, data.qvel, target, push = given
        data.xfrc_applied[bodies] = push
        for step in range(4):
            data.ctrl = target[step] if target.ndim == 2 else target
            mujoco.mj_step(own, data)
        rows.append([x.astype(np.float32) for x in (data.qpos, data.qvel, data.qacc_warmstart)] + [False])
    return Physics(*[np.stack(x) for x in zip(*rows, strict=True)])


def same(found: Physics, expected: Physics) -> None:
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(np.asarray(a), b)


def by_hand(row: int, table: randomisation.Variants) -> mujoco.MjModel:
    """The drawn values of a row put into a fresh model, and mj_setConst's word on what follows from them."""
    own = copy.copy(model())
    for name in randomisation.DRAWN:
        if name in table:
            randomisation.get(own, name)[:] = table[name][row]
    mujoco.mj_setConst(own, mujoco.MjData(own))
    own.stat.meaninertia = model().stat.meaninertia  # the one thing that batches have no rows of
    return own


@functools.cache
def table() -> randomisation.Variants:
    return randomisation.tabulate(alone(), ALL, 0)


def test_the_table_is_whole():
    """Nothing that mj_setConst derives is missing, for all fields that a batch could have rows of."""
    own, row = by_hand(3, table()), randomisation.changed(model(), table(), 3)
    for name in batch.MODEL_FIELDS:
        if name.startswith(("light_", "cam_")):
            continue
        try:
            want, got = randomisation.get(own, name), randomisation.get(row, name)
        except AttributeError:
            continue
        np.testing.assert_array_equal(got, want, err_msg=name)
    assert own.body_mass[1:].sum() != model().body_mass[1:].sum()
    for name, values in table().items():
        np.testing.assert_array_equal(values[0], randomisation.get(model(), name), err_msg=name)
    again = randomisation.tabulate(alone(), dataclasses.replace(ALL, kd=None), 0)
    np.testing.assert_array_equal(again["body_mass"], table()["body_mass"])
    other = randomisation.tabulate(alone(), ALL, 1)
    assert (other["body_mass"][1:] != table()["body_mass"][1:]).any()
    assert randomisation.tabulate(alone(), RandomizeSettings(), 0) == {}


def test_native_runs_each_environment_on_its_model():
    engine = native.make(alone(), 4, SETTINGS, table())
    step = jax.jit(engine.step)
    qpos, qvel, ctrl, wrench = inputs()
    models = [by_hand(row, table()) if row else model() for row in ROWS]
    want = plain(models, qpos, qvel, ctrl, wrench)
    same(step(engine.init(qpos, qvel), ctrl, wrench, jnp.asarray(ROWS)), want)
    # rows change places, and batches their size, without a trace
    turn = np.roll(np.arange(N), 3)
    mixed = step(engine.init(qpos[turn], qvel[turn]), ctrl[turn], wrench[turn], jnp.asarray(ROWS[turn]))
    same(mixed, Physics(*[np.asarray(x)[turn] for x in want]))
    few = step(engine.init(qpos[:3], qvel[:3]), ctrl[:3], wrench[:3], jnp.asarray(ROWS[:3]))
    same(few, Physics(*[np.asarray(x)[:3] for x in want]))
    nominal = jax.jit(native.make(alone(), N, SETTINGS).step)
    again = engine.init(qpos, qvel)
    same(step(again, ctrl, wrench, jnp.zeros(N, jnp.int32)), jax.device_get(nominal(again, ctrl, wrench)))


def test_native_takes_a_control_for_each_substep():
    qpos, qvel, ctrl, wrench = inputs(4)
    engine = native.make(alone(), N, SETTINGS, table())
    begin, step = engine.init(qpos, qvel), jax.jit(engine.step)
    same(step(begin, ctrl, wrench, jnp.zeros(N, jnp.int32)), plain([model()] * N, qpos, qvel, ctrl, wrench))
    broken = ctrl.copy()
    broken[5, 2, 7] = np.nan
    assert np.flatnonzero(step(begin, broken, wrench, jnp.asarray(ROWS)).unstable).tolist() == [5]
    held = np.repeat(inputs()[2][:, None], 4, axis=1)
    same(
        step(begin, held, wrench, jnp.asarray(ROWS)), jax.device_get(step(begin, held[:, 0], wrench, jnp.asarray(ROWS)))
    )


ONE_BY_ONE = {
    "friction": [0.2, 0.4], "base_mass": [3.0, 9.0], "base_com": [0.1, 0.1, 0.1], "link_mass": [0.5, 2.0],
    "armature": [2.0, 4.0], "frictionloss": [3.0, 9.0], "gravity": [1.0, 1.0, 1.0], "kp": [0.5, 0.8], "kd": [0.3, 0.6],
    "torque_limit": [0.01, 0.05],
}  # fmt: skip


@pytest.mark.parametrize("name", ONE_BY_ONE)
def test_every_key_is_felt_alone(name):
    settings = RandomizeSettings(variants=2, **{name: ONE_BY_ONE[name]})
    own = randomisation.tabulate(alone(), settings, 0)
    qpos, qvel, ctrl, wrench = inputs()
    if name == "friction":
        qvel = qvel + np.eye(35, dtype=np.float32)[0]  # feet that slide
    engine = native.make(alone(), N, SETTINGS, own)
    found = engine.step(engine.init(qpos, qvel), ctrl, wrench, jnp.ones(N, jnp.int32))
    same(found, plain([by_hand(1, own)] * N, qpos, qvel, ctrl, wrench))
    nominal = engine.step(engine.init(qpos, qvel), ctrl, wrench, jnp.zeros(N, jnp.int32))
    part = slice(0, N // 2) if name == "friction" else slice(None)  # the rest is in the air
    assert (np.abs(np.asarray(found.qvel) - np.asarray(nominal.qvel)).max(axis=1)[part] > 1e-4).all()


@pytest.mark.parametrize("self_collision", [False, True])
def test_a_slippery_robot_slides(self_collision):
    """Set down at 0.7 m/s, feet stop where the friction is 1, and slide on where it is 0.05."""
    settings = dataclasses.replace(SETTINGS, self_collision=self_collision)
    drawn = RandomizeSettings(variants=1, friction=[0.05, 0.05])
    engine = choose.make(scene.build(robot(), settings), settings, 2, drawn, 0)
    qpos, qvel = np.tile(robot().start_qpos, (2, 1)).astype(np.float32), np.zeros((2, 35), np.float32)
    qvel[:, 0] = 0.7
    physics, step = engine.init(qpos, qvel), jax.jit(engine.step)
    wrench, feet = np.zeros((2, len(robot().wrench_bodies), 6), np.float32), []
    for _ in range(7):
        physics = step(physics, qpos[:, 7:], wrench, jnp.asarray([0, 1]))
        feet.append([place_of_feet(np.asarray(row)) for row in physics.qpos])
    moved = np.subtract(feet[-1], feet[2])  # by then they have come down
    assert moved[1] > 0.005 and abs(moved[0]) < 0.1 * moved[1], moved


def place_of_feet(qpos: np.ndarray) -> float:
    data = mujoco.MjData(model())
    data.qpos = qpos
    mujoco.mj_kinematics(model(), data)
    return float(np.mean([data.body(f"{side}_ankle_roll_link").xpos[0] for side in ("left", "right")]))


def test_a_body_whose_frame_is_its_centre_of_mass_gets_another():
    """MuJoCo takes the one for the other where the model says that they are the same."""
    xml = (
        "<mujoco><worldbody><body name='a'><freejoint/><geom size='.1' mass='1'/><body name='b' pos='0 0 .3'>"
        "<joint axis='0 1 0'/><geom size='.1' mass='1'/></body></body></worldbody></mujoco>"
    )
    given = mujoco.MjModel.from_xml_string(xml)
    small = dataclasses.replace(robot(), body_names=("a", "b"), dof_joint=np.zeros(1, int))
    assert given.body_sameframe[1] == mujoco.mjtSameFrame.mjSAMEFRAME_BODY
    drawn = RandomizeSettings(variants=1, base_com=[0.05, 0.05, 0.05])
    there = scene.Scene(given, small, dataclasses.replace(alone().layout, robot_qvel=slice(0, 7)))
    own = randomisation.changed(given, randomisation.tabulate(there, drawn, 0), 1)
    data = mujoco.MjData(own)
    mujoco.mj_forward(own, data)
    np.testing.assert_allclose(data.xipos[1], own.body_ipos[1])
    np.testing.assert_allclose(data.geom_xpos[0], 0.0)
    assert np.abs(own.body_ipos[1]).max() > 0.001


def test_mistakes_are_named():
    for changes, words in (
        ({"friction": [1.2, 0.3]}, "friction.*low not above high"),
        ({"base_bodies": ["torso"], "base_mass": [0, 1]}, "unknown body.*'torso'.*torso_link"),
        ({"base_mass": [-50, 1]}, "must stay above 0"),
        ({"gravity": [1.0]}, "three numbers"),
    ):
        with pytest.raises(UserError, match=words):
            randomisation.check(alone(), dataclasses.replace(RandomizeSettings(), **changes))
    smooth = scene.build(robot(), dataclasses.replace(SETTINGS, frictionloss=False))
    with pytest.raises(UserError, match="dry friction"):
        randomisation.check(smooth, RandomizeSettings(frictionloss=[0.5, 2.0]))


SHARDED = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("these", {file!r})
these = importlib.util.module_from_spec(spec); spec.loader.exec_module(these)
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import AxisType, PartitionSpec as P
engine = these.native.make(these.alone(), 4, these.SETTINGS, these.table())
given = [np.resize(x, (16, *x.shape[1:])) for x in these.inputs()]
rows = jnp.arange(16) % 7
def chunk(physics, ctrl, wrench, rows):
    return jax.lax.scan(lambda p, _: (engine.step(p, ctrl, wrench, rows), None), physics, length=3)[0]
mesh = jax.make_mesh((4,), ("envs",), axis_types=(AxisType.Auto,))
split = jax.jit(jax.shard_map(chunk, mesh=mesh, in_specs=P("envs"), out_specs=P("envs"), check_vma=False))
begin = engine.init(*given[:2])
found, alone = split(begin, *given[2:], rows), jax.jit(chunk)(begin, *given[2:], rows)
assert all((np.asarray(a) == np.asarray(b)).all() for a, b in zip(found, alone))
print("same")
"""


def test_native_on_four_devices():
    env = {key: value for key, value in os.environ.items() if key != "NPROC"}
    env |= {"XLA_FLAGS": "--xla_force_host_platform_device_count=4", "JAX_PLATFORMS": "cpu"}
    program = SHARDED.format(file=__file__)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=200, env=env)
    assert done.stdout.endswith("same\n"), done.stderr[-2000:]
