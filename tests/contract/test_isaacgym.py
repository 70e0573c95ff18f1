"""The Isaac Gym adapter on a double of the vendor's API that is backed by MuJoCo, against the native engine.

Layout, order, frames, forces, drives and contact are what the double shows: it has an order of its own for bodies and
degrees of freedom, quaternions w last, velocities at centres of mass, and forces that hold for one step. What only the
vendor's binary could show is listed in docs/engines.md.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import importlib.metadata
import sys
import types
from pathlib import Path

import isaacgym_double
import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest
import small

from mimicjax.config.settings import EngineSettings, RandomizeSettings
from mimicjax.engine import choose, isaacgym, isaacgym_asset, isaacgym_frames, scene
from mimicjax.errors import UserError
from mimicjax.robot.load import load

SETTINGS = EngineSettings(name="native", iterations=50, ls_iterations=50)
GYM = dataclasses.replace(SETTINGS, name="isaacgym")
N = 6


@pytest.fixture
def vendor(monkeypatch):
    """The double in the vendor's place."""
    package = types.ModuleType("isaacgym")
    package.gymapi = isaacgym_double.module()
    monkeypatch.setitem(sys.modules, "isaacgym", package)
    monkeypatch.setitem(sys.modules, "isaacgym.gymapi", package.gymapi)
    return package.gymapi


@functools.cache
def place() -> scene.Scene:
    return scene.build(small.robot(), SETTINGS)


def inputs(height: float = 0.0, seed: int = 0) -> tuple[np.ndarray, ...]:
    """Turned, spinning, bent, pushed; half of the rows a centimetre in the ground."""
    random, robot = np.random.default_rng(seed), small.robot()
    qpos = np.tile(robot.start_qpos, (N, 1)).astype(np.float64)
    qpos[:, 3:7] += 0.05 * random.normal(size=(N, 4))
    qpos[:, 7:] += 0.1 * random.normal(size=(N, robot.nq - 7))
    qpos[:, 2] += height
    for joint in np.flatnonzero(robot.joint_kinds == 3):
        at = 7 + sum({1: 1, 3: 4}.get(int(kind), 0) for kind in robot.joint_kinds[:joint])
        qpos[:, at : at + 4] /= np.linalg.norm(qpos[:, at : at + 4], axis=1, keepdims=True)
    qpos[:, 3:7] /= np.linalg.norm(qpos[:, 3:7], axis=1, keepdims=True)
    qvel = 0.5 * random.normal(size=(N, robot.nv))
    ctrl = 0.4 * random.normal(size=(N, robot.num_dofs))
    wrench = random.normal(size=(N, len(robot.wrench_bodies), 6)) * [10, 10, 10, 1, 1, 1]
    return tuple(x.astype(np.float32) for x in (qpos, qvel, ctrl, wrench))


def both(there: scene.Scene, values: tuple[np.ndarray, ...], steps: int = 1):
    """Physics after as many control steps, of the native engine and of the adapter."""
    qpos, qvel, ctrl, wrench = values
    results = []
    for settings in (SETTINGS, GYM):
        engine = choose.make(there, settings, len(qpos))
        physics, step = engine.init(qpos, qvel), jax.jit(engine.step)
        for _ in range(steps):
            physics = step(physics, ctrl, wrench)
        results.append(physics)
    return results


@pytest.mark.parametrize("height", [0.0, 1.0])
def test_steps_like_the_native_engine(vendor, height):
    """On the ground and in the air; hinges, balls and a body without joint; every wrench body pushed and twisted."""
    want, got = both(place(), inputs(height))
    np.testing.assert_allclose(got.qpos, want.qpos, atol=2e-5)
    np.testing.assert_allclose(got.qvel, want.qvel, atol=2e-3)
    assert not np.asarray(got.unstable).any() and not np.asarray(got.warmstart).any()


def test_stays_with_it_and_stands_on_the_ground(vendor):
    values = inputs(0.0, 1)
    want, got = both(place(), values, 5)
    np.testing.assert_allclose(got.qpos, want.qpos, atol=1e-3)
    _, air = both(place(), inputs(1.0, 1), 5)
    assert np.abs(np.asarray(got.qpos)[:, 2] - (np.asarray(air.qpos)[:, 2] - 1.0)).max() > 0.05  # the ground carries it
    unpushed, _ = both(place(), (*values[:3], 0 * values[3]), 5)
    assert np.abs(np.asarray(unpushed.qpos) - np.asarray(want.qpos)).max() > 0.01


def test_controls_take_turns_and_torques_are_cut(vendor):
    """A control for each substep; one of 50 rad asks for 2,000 N m and gets 30."""
    qpos, qvel, ctrl, wrench = inputs(1.0)
    ctrl = np.repeat(ctrl[:, None], 4, axis=1)
    ctrl[:, 1, 0] += 50.0
    ctrl[:, 3] *= -1.0
    want, got = both(place(), (qpos, qvel, ctrl, wrench))
    np.testing.assert_allclose(got.qvel, want.qvel, atol=2e-3)


def test_root_states_are_the_vendors():
    """By hand: turned a quarter about z, spinning about its own x (the world's y), the centre of mass 0.1 m up."""
    there = scene.build(load("g1"), SETTINGS)
    centre = there.model.body_ipos[1]
    qpos = there.layout.start_qpos[None].astype(np.float64)
    qpos[0, :3], half = [1.0, 2.0, 3.0], np.sqrt(0.5)
    qpos[0, 3:7] = [half, 0.0, 0.0, half]
    qvel = np.zeros((1, there.layout.nv))
    qvel[0, :6] = [0.1, 0.2, 0.3, 2.0, 0.0, 0.0]
    root = isaacgym_frames.root_states(there, qpos, qvel)[0]
    arm = np.array([-centre[1], centre[0], centre[2]])
    speed = np.array([0.1, 0.2, 0.3]) + np.cross([0.0, 2.0, 0.0], arm)
    np.testing.assert_allclose(root, [1, 2, 3, 0, 0, half, half, *speed, 0, 2, 0], atol=1e-6)
    dofs = isaacgym_frames.dof_states(there.robot, qpos, qvel)
    back = isaacgym_frames.coordinates(there, root[None], dofs)
    np.testing.assert_allclose(back[0], qpos, atol=1e-6)
    np.testing.assert_allclose(back[1], qvel, atol=1e-6)


def test_the_asset_is_the_robot():
    """The G1's file, read by MuJoCo: masses, inertias, frames and colliding shapes of the scene, to the last digit."""
    there = scene.build(load("g1"), SETTINGS)
    model, other = there.model, mujoco.MjModel.from_xml_string(isaacgym_asset.write(there))
    assert [other.body(i).name for i in range(1, other.nbody)] == list(there.robot.body_names)
    for name in ("body_mass", "body_inertia", "body_ipos", "body_pos", "body_quat", "dof_armature", "jnt_axis"):
        np.testing.assert_allclose(getattr(other, name), getattr(model, name), atol=1e-12, err_msg=name)
    shapes = isaacgym_asset.shapes(there)
    np.testing.assert_allclose(other.geom_pos, model.geom_pos[shapes])
    assert len(shapes) == model.npair and (isaacgym_asset.friction(there) == model.pair_friction[:, 0]).all()


def test_bad_inputs_are_unstable_and_stay_at_home(vendor):
    qpos, qvel, ctrl, wrench = inputs()
    want, _ = both(place(), (qpos, qvel, ctrl, wrench))
    qvel[1, 0], ctrl[2, 3], wrench[3, 0, 0], qpos[4, 2] = np.nan, np.inf, np.nan, 2e4
    _, got = both(place(), (qpos, qvel, ctrl, wrench))
    assert np.flatnonzero(got.unstable).tolist() == [1, 2, 3, 4]
    np.testing.assert_allclose(np.asarray(got.qpos)[[0, 5]], np.asarray(want.qpos)[[0, 5]], atol=2e-5)
    np.testing.assert_array_equal(np.asarray(got.qpos)[1:5], np.tile(place().layout.start_qpos, (4, 1)))


def test_fewer_environments_and_vmap(vendor):
    values = inputs()
    engine = choose.make(place(), GYM, N)
    whole = jax.jit(engine.step)(engine.init(*values[:2]), *values[2:])
    few = [x[:2] for x in values]
    part = jax.jit(engine.step)(engine.init(*few[:2]), *few[2:])
    np.testing.assert_array_equal(part.qpos, np.asarray(whole.qpos)[:2])
    pairs = jax.tree.map(lambda x: x.reshape(2, 3, *x.shape[1:]), (engine.init(*values[:2]), *values[2:]))
    mapped = jax.jit(jax.vmap(engine.step))(*pairs)
    np.testing.assert_array_equal(np.asarray(mapped.qpos).reshape(N, -1), whole.qpos)
    with pytest.raises(UserError, match="made for 6 environments"):
        engine.step(engine.init(*[jnp.tile(x, (2, 1)) for x in values[:2]]), *values[2:])


def test_what_does_not_go_is_said(vendor, monkeypatch):
    with pytest.raises(UserError, match="no randomised models"):
        choose.make(place(), GYM, 2, RandomizeSettings(variants=2, base_mass=[1.0, 2.0]), 0)
    box = scene.build(small.robot(), SETTINGS, furnish=[lambda spec: spec.worldbody.add_body(name="box").add_geom(
        type=mujoco.mjtGeom.mjGEOM_BOX, size=[0.1, 0.1, 0.1]) and None])  # fmt: skip
    with pytest.raises(UserError, match="flat ground only"):
        choose.make(box, GYM, 2)
    monkeypatch.setattr(isaacgym_double.Gym, "get_asset_dof_names", lambda self, asset: ["other"])
    with pytest.raises(UserError, match="degrees of freedom.*other.*expected.*waist"):
        choose.make(place(), GYM, 2)
    monkeypatch.setitem(sys.modules, "isaacgym", None)
    with pytest.raises(UserError, match="needs NVIDIA's Isaac Gym"):
        choose.make(place(), GYM, 2)


# the vendor's signatures, from the public stubs


@functools.cache
def stubs() -> ast.Module:
    try:
        files = importlib.metadata.files("isaacgym-stubs") or []
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("isaacgym-stubs is not installed")
    (stub,) = [file for file in files if file.name == "gymapi.pyi"]
    text = Path(str(stub.locate())).read_text()
    return ast.parse(text.replace("def lambda(", "def lambda_("))  # a property of the vendor's that Python cannot name


def classes() -> dict[str, ast.ClassDef]:
    return {node.name: node for node in stubs().body if isinstance(node, ast.ClassDef)}


def test_the_double_has_the_vendors_signatures():
    """Every method with the stubs' arguments by name and order; those that the stubs leave open take anything."""
    vendor = {node.name: node.args for node in classes()["Gym"].body if isinstance(node, ast.FunctionDef)}
    for name, method in vars(isaacgym_double.Gym).items():
        if name.startswith("_"):
            continue
        theirs = vendor[name]
        code = method.__code__
        ours = list(code.co_varnames[: code.co_argcount])
        assert ours == [arg.arg for arg in theirs.args], name
        assert len(method.__defaults__ or ()) == len(theirs.defaults), name
    for record in isaacgym_double.Record.__subclasses__():
        names = {node.target.id for node in classes()[record.__name__].body if isinstance(node, ast.AnnAssign)}  # pyright: ignore
        assert set(record.fields) <= names, record


def test_the_adapter_uses_nothing_else():
    """Every name of the vendor's in the adapter is in the stubs, and calls give as many arguments as these have."""
    known = {node.target.id for node in stubs().body if isinstance(node, ast.AnnAssign)}  # pyright: ignore
    known |= {node.name for node in stubs().body if isinstance(node, ast.ClassDef | ast.FunctionDef)}
    vendor = {node.name: node.args for node in classes()["Gym"].body if isinstance(node, ast.FunctionDef)}
    tree, seen = ast.parse(Path(isaacgym.__file__).read_text()), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) in ("api", "self.api"):
            assert node.attr in known, node.attr
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if ast.unparse(node.func.value) not in ("gym", "self.gym"):
                continue
            theirs = vendor[node.func.attr]
            most = len(theirs.args) - 1
            assert theirs.vararg or most - len(theirs.defaults) <= len(node.args) <= most, node.func.attr
            seen.add(node.func.attr)
    assert seen <= set(vars(isaacgym_double.Gym)) and len(seen) > 15
