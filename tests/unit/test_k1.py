"""The K1: its MJCF against published figures, its gains against MuJoCo's inertias, its clips against similarity."""

from __future__ import annotations

from pathlib import Path

import mujoco
import numpy as np
import pytest
import yaml

from mimicjax import paths
from mimicjax.motion.__main__ import main
from mimicjax.motion.files import read_clip
from mimicjax.motion.make import balance, gait, hinge_legs, similar
from mimicjax.robot import symmetry
from mimicjax.robot.load import load

FIGURES = yaml.safe_load((Path(__file__).parents[1] / "data" / "k1_figures.yaml").read_text())
BODIES = FIGURES["bodies"]
W = 2.0 * np.pi * 5.0  # rad/s, of the gains
SHIPPED = {
    "walk": [], "back": [], "jog": [], "squat": [], "jump": [], "kick": [], "wave": [], "bow": [], "punch": [], "balance": [],
    "sidestep_left": ["sidestep"], "sidestep_right": ["sidestep", "--speed", "-0.2"],
}  # fmt: skip


@pytest.fixture(scope="module")
def robot():
    return load("k1")


@pytest.fixture(scope="module")
def model(robot):
    return mujoco.MjModel.from_xml_path(str(robot.xml))


def matrix(quat) -> np.ndarray:
    turn = np.zeros(9)
    mujoco.mju_quat2Mat(turn, np.asarray(quat, float) / np.linalg.norm(quat))
    return turn.reshape(3, 3)


def test_figures(robot, model):
    assert (model.nq, model.nv, model.nu) == (FIGURES["nq"], FIGURES["nv"], FIGURES["ndof"])
    np.testing.assert_allclose(model.body_mass.sum(), FIGURES["total_mass"], rtol=1e-9)
    assert robot.body_names == tuple(body["name"] for body in BODIES)
    for body in BODIES:
        got = model.body(body["name"])
        np.testing.assert_allclose([*got.mass, *got.ipos], [body["mass"], *body["com"]], rtol=1e-9, atol=1e-12)
        turn, wanted = matrix(got.iquat), matrix(body["inertia_quat_wxyz"])
        want = wanted @ np.diag(body["inertia_diag"]) @ wanted.T
        np.testing.assert_allclose(turn @ np.diag(got.inertia) @ turn.T, want, atol=1e-9 * np.abs(want).max())
        if body["parent"]:
            assert model.body(got.parentid[0]).name == body["parent"]
            np.testing.assert_allclose(got.pos, body["pos"])
        shapes = [g for g in range(model.ngeom) if model.geom_bodyid[g] == got.id and model.geom_contype[g]]
        for shape, geom in zip(shapes, body["collision_geoms"], strict=True):
            assert mujoco.mjtGeom(model.geom_type[shape]).name == f"mjGEOM_{geom['type'].upper()}"
            np.testing.assert_allclose(model.geom_size[shape][: len(geom["size"])], geom["size"])
            np.testing.assert_allclose(model.geom_pos[shape], geom["pos"])
            np.testing.assert_allclose(matrix(model.geom_quat[shape]), matrix(geom["quat_wxyz"]), atol=1e-5)
            np.testing.assert_allclose(model.geom_friction[shape], geom["friction"])


def test_joints(model):
    joints = [joint for body in BODIES for joint in body["joints"] if joint["type"] == "hinge"]
    for joint in joints:
        got = model.joint(joint["name"])
        np.testing.assert_allclose(got.axis, joint["axis"])
        np.testing.assert_allclose(got.range, joint["range_rad"])
        np.testing.assert_allclose(got.armature, joint["armature"])
        np.testing.assert_allclose(model.actuator(joint["name"]).forcerange, joint["motor"]["forcerange"])


def largest_inertias(model: mujoco.MjModel) -> np.ndarray:
    """[D] kg m^2, the most that each joint moves over random poses: the diagonal of MuJoCo's mass matrix."""
    data, most = mujoco.MjData(model), np.zeros(model.nv)
    draw, row = np.random.default_rng(0), np.zeros(model.nv)
    for _ in range(300):
        data.qpos[7:] = draw.uniform(*model.jnt_range[1:].T)
        mujoco.mj_forward(model, data)
        for dof, unit in enumerate(np.eye(model.nv)):
            mujoco.mj_mulM(model, data, row, unit)
            most[dof] = max(most[dof], row[dof])
    return most[6:]


def test_gains_follow_from_inertias(robot, model):
    """Legs: the motors' armature; arms and head: all that the joint moves. At 5 Hz, damped critically."""
    legs = np.arange(robot.num_dofs) >= robot.dof_names.index("Left_Hip_Pitch")
    inertia = np.where(legs, robot.armature, largest_inertias(model))
    np.testing.assert_allclose(robot.kp, inertia * W**2, rtol=0.03)
    np.testing.assert_allclose(robot.kd, 2.0 * robot.kp / W, rtol=1e-5)


def test_left_is_paired_with_right(robot):
    reflection = symmetry.dofs(robot)
    pairs = {robot.dof_names[a]: robot.dof_names[b] for a, b in enumerate(reflection.index)}
    assert pairs["ALeft_Shoulder_Pitch"] == "ARight_Shoulder_Pitch" and pairs["AAHead_yaw"] == "AAHead_yaw"
    low, high = robot.dof_range.T
    mirrored = np.where(reflection.sign > 0, low[reflection.index], -high[reflection.index])
    np.testing.assert_allclose(mirrored, low, atol=1e-6)


def test_a_plan_for_shorter_legs_needs_the_same_ground(robot):
    """Froude: places are `size` as large in a time of its root, and over a cycle the ground bears the weight."""
    body = hinge_legs.measure(robot)
    lengths = ("hips", "leg_length", "ankle", "sole", "heel", "toe")
    large = body._replace(size=1.0, **{name: getattr(body, name) / body.size for name in lengths})
    root, powers = body.size**0.5, {"speed": 0.5, "cadence": -0.75, "step_height": 1.0}
    of_large = gait.walk(large, speed=1.0, cadence=115.0, step_height=0.06, fps=100.0 * root)
    values = {"speed": root, "cadence": 115.0 * body.size**-0.75, "step_height": 0.06 * body.size, "fps": 100.0}
    plan = similar.planned(gait.walk, body, values, powers)
    np.testing.assert_allclose(plan.foot_pos, body.size * of_large.foot_pos)
    period, period_large = len(plan.support) / plan.fps, len(of_large.support) / of_large.fps
    np.testing.assert_allclose(period / period_large, root)
    np.testing.assert_allclose(plan.travel[0] / period, root, rtol=0.02)
    qpos = balance.solve(body, plan)
    force = balance.pushes(body.model, qpos, plan.fps, plan.travel)[0][:, 4]
    np.testing.assert_allclose(force.mean() / (robot.mass * 9.81), 1.0, rtol=5e-3)


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=[] if name in ("walk", "kick") else pytest.mark.slow) for name in SHIPPED
])  # fmt: skip
def test_the_shipped_file_is_what_its_command_makes(name, robot, tmp_path):
    clip = read_clip(paths.MOTIONS / "k1" / f"{name}.npz", robot)
    maker, *options = SHIPPED[name] or [name]
    wanted = f"python -m mimicjax.motion make {maker} --robot k1 --out motions/k1/{name}.npz {' '.join(options)}"
    assert clip.maker == wanted.strip()
    assert main(["make", maker, *options, "--robot", "k1", "--out", str(tmp_path / "again.npz")]) == 0
    again = read_clip(tmp_path / "again.npz", robot)
    for key in ("root_pos", "root_quat", "dof_pos"):
        np.testing.assert_allclose(getattr(again, key), getattr(clip, key), atol=1e-5)


def test_every_clip_that_ships_is_good(capsys):
    assert {file.stem for file in (paths.MOTIONS / "k1").glob("*.npz")} == set(SHIPPED)
    assert main(["check", str(paths.MOTIONS / "k1"), "--robot", "k1"]) == 0
    assert f"{len(SHIPPED)} good, 0 mendable, 0 broken" in capsys.readouterr().out


def test_options_are_those_of_its_legs(capsys, tmp_path):
    assert main(["make", "walk", "--robot", "k1", "--speed", "1.0", "--out", str(tmp_path / "fast.npz")]) == 2
    assert "allowed: 0.2492 to 0.9137 m/s" in capsys.readouterr().err  # 0.3 and 1.1 by the root of 0.69
