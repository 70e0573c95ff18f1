"""The humanoid: its MJCF against its figures, its ball joints against MuJoCo, its clips; three hinges as one ball."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import jax.numpy as jnp
import mujoco
import numpy as np
import pytest
import yaml

from mimicjax import config, paths
from mimicjax.config.settings import ActionSettings, EngineSettings, RunSettings
from mimicjax.engine import scene
from mimicjax.motion import check
from mimicjax.motion.coordinates import dof_pos_of, qpos_of
from mimicjax.motion.files import read_clip
from mimicjax.motion.make.clips import make
from mimicjax.robot import actuation, kinematics, symmetry
from mimicjax.robot.load import load
from mimicjax.types import BALL

FIGURES = yaml.safe_load((Path(__file__).parents[1] / "data" / "humanoid_figures.yaml").read_text())
BODIES = FIGURES["bodies"]
HINGES = [joint for body in BODIES for joint in body["joints"] if joint["type"] == "hinge"]
SHIPPED = ("walk", "jog", "jump", "squat")
CLIPS = Path(__file__).parents[3] / "shared" / "data" / "motions" / "mimickit_humanoid"

# MimicKit's bounds of actions, rad: abdomen, neck, shoulder, elbow, shoulder, elbow, then hip, knee, ankle twice
LEG = ([2.9322] * 3, [3.351], [1.1519] * 3)
HIGH = np.concatenate([[1.885] * 3, [1.2566] * 3, [3.351] * 3, [3.351], [3.351] * 3, [0.5585], *LEG, *LEG])


@pytest.fixture(scope="module")
def robot():
    return load("humanoid")


@pytest.fixture(scope="module")
def model(robot):
    return mujoco.MjModel.from_xml_path(str(robot.xml))


def matrix(quat) -> np.ndarray:
    turn = np.zeros(9)
    mujoco.mju_quat2Mat(turn, np.asarray(quat, float))
    return turn.reshape(3, 3)


def test_figures(robot, model):
    assert (model.nq, model.nv, model.nu, robot.num_dofs) == (43, 34, 28, FIGURES["ndof"])
    np.testing.assert_allclose(model.body_mass.sum(), FIGURES["total_mass"], rtol=1e-6)
    assert robot.body_names == tuple(body["name"] for body in BODIES)
    for body in BODIES:
        got = model.body(body["name"])
        np.testing.assert_allclose([*got.mass, *got.ipos], [body["mass"], *body["com"]], rtol=1e-8, atol=1e-9)
        turn, wanted = matrix(got.iquat), matrix(body["inertia_quat_wxyz"])
        inertia, want = turn @ np.diag(got.inertia) @ turn.T, wanted @ np.diag(body["inertia_diag"]) @ wanted.T
        np.testing.assert_allclose(inertia, want, atol=1e-9)
        if body["parent"]:
            np.testing.assert_allclose(got.pos, body["pos"])
        shapes = [geom for geom in range(model.ngeom) if model.geom_bodyid[geom] == got.id and model.geom_contype[geom]]
        for shape, geom in zip(shapes, body["collision_geoms"], strict=True):
            np.testing.assert_allclose(model.geom_pos[shape], geom["pos"])
            np.testing.assert_allclose(model.geom_size[shape][: len(geom["size"])], geom["size"])


def test_gains_and_ranges(robot):
    assert robot.dof_names == tuple(joint["name"] for joint in HINGES)
    for gain, key in ((robot.kp, "stiffness"), (robot.kd, "damping")):
        np.testing.assert_allclose(gain, [joint[key] for joint in HINGES])
    np.testing.assert_allclose(robot.torque_limit, [joint["actuatorfrcrange"][1] for joint in HINGES])
    low, high = actuation.bounds(robot, zero_center=False)
    np.testing.assert_allclose(high, HIGH, atol=1e-4)
    elbow, knee = robot.dof_names.index("left_elbow"), robot.dof_names.index("left_knee")
    np.testing.assert_allclose(low[[elbow, knee, 0]], [-3.351, -0.5585, -1.885], atol=1e-4)
    weights = (1, 0.6, 0.6, 0.4, 0, 0.6, 0.4, 0, 1, 0.6, 0.4, 1, 0.6, 0.4)
    np.testing.assert_allclose(robot.joint_error_weights, weights)


def reference_pose(robot, seed: int):
    random = np.random.default_rng(seed)
    qpos = robot.start_qpos.copy()
    for at, kind in zip(kinematics.qpos_index(robot), robot.joint_kinds, strict=True):
        if kind == BALL:
            turn = random.normal(size=4) + [2.0, 0.0, 0.0, 0.0]
            qpos[at : at + 4] = turn / np.linalg.norm(turn)
    return qpos, kinematics.pose_of(robot, jnp.asarray(qpos), jnp.zeros(robot.nv))


def test_offsets_from_a_rotation_are_rotations(robot):
    """MuJoCo integrates the offset as an angular velocity of the child over a second: the target is where it arrives."""
    qpos, pose = reference_pose(robot, 0)
    offset = np.random.default_rng(1).normal(0.0, 0.15, robot.num_dofs)
    target = actuation.make(robot, ActionSettings(mode="reference", scale=1.0))(jnp.asarray(offset), pose)
    want = qpos.astype(float)
    model = mujoco.MjModel.from_xml_path(str(robot.xml))
    mujoco.mj_integratePos(model, want, np.concatenate([np.zeros(6), offset]), 1.0)
    low, high = actuation.bounds(robot, True)
    np.testing.assert_allclose(target, np.clip(dof_pos_of(robot, want[None])[0], low, high), atol=2e-5)
    sums = np.asarray(pose.dof_pos) + offset
    assert np.abs(sums - np.asarray(target)).max() > 0.02  # which sums of exponential maps would not be


def test_balls_follow_their_targets_as_mj_step_has_it(robot):
    """In free fall without gravity joints turn to targets far away along three axes, with kp (target - log q) - kd w."""
    built = scene.build(robot, EngineSettings(sim_freq=480))
    driven = built.model
    driven.opt.gravity[:] = 0.0
    target, data = np.zeros(robot.num_dofs, np.float64), mujoco.MjData(driven)
    parts = {"right_shoulder": [0.9, -0.5, 0.6], "left_hip": [0.3, -0.8, -0.2], "abdomen": [0.3, 0.4, -0.5]}
    for joint, turn in parts.items():
        first = robot.joint_dof[robot.joint_names.index(joint)]
        target[first : first + 3] = turn
    data.qpos[:], data.ctrl[:] = robot.start_qpos + np.eye(1, robot.nq, 2)[0] * 3.0, target
    for _ in range(960):
        mujoco.mj_step1(driven, data)
        position = dof_pos_of(robot, data.qpos[None])[0]
        torque = robot.kp * (target - position) - robot.kd * data.qvel[6:]
        mujoco.mj_step2(driven, data)
        np.testing.assert_allclose(
            data.qfrc_actuator[6:], np.clip(torque, -robot.torque_limit, robot.torque_limit), atol=1e-2
        )
    angles = dof_pos_of(robot, data.qpos[None])[0]
    for joint, turn in parts.items():
        first = robot.joint_dof[robot.joint_names.index(joint)]
        np.testing.assert_allclose(angles[first : first + 3], turn, atol=0.02)


def test_in_a_mirror(robot):
    """The mirrored state of MuJoCo has the mirrored bodies."""
    reflection = symmetry.dofs(robot)
    qpos, pose = reference_pose(robot, 3)
    other = np.asarray(pose.dof_pos)[reflection.index] * reflection.sign
    joints = kinematics.dof_quats(robot, jnp.asarray(other))
    places, _ = kinematics.forward(robot, pose.root_pos, pose.root_quat, joints)
    partner = symmetry.bodies(robot)
    np.testing.assert_allclose(places[partner], np.asarray(pose.body_pos) * [1, -1, 1], atol=1e-5)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_clips(robot, name):
    """What its command makes is what is shipped, and it is fit for imitation."""
    clip = read_clip(paths.MOTIONS / "humanoid" / f"{name}.npz", robot)
    again = make(name, robot)
    np.testing.assert_allclose(clip.dof_pos, again.dof_pos, atol=1e-5)
    np.testing.assert_allclose(clip.root_pos, again.root_pos, atol=1e-5)
    assert clip.licence == "MIT" and clip.robot == "humanoid"
    figures = check.check(robot, clip)
    assert [key for key, figure in figures.items() if figure.value > figure.limit] == []
    np.testing.assert_allclose(dof_pos_of(robot, qpos_of(robot, clip)), clip.dof_pos, atol=2e-5)


@pytest.mark.parametrize("name", ["jog", "jump"])
def test_flight_is_free_fall(robot, model, name):
    """While no foot is near the ground, the centre of mass falls with 9.81 m/s^2 and keeps its speed along x."""
    clip = read_clip(paths.MOTIONS / "humanoid" / f"{name}.npz", robot)
    qpos, data = qpos_of(robot, clip), mujoco.MjData(model)
    centre, lowest = [], []
    for row in qpos:
        data.qpos[:] = row
        mujoco.mj_forward(model, data)
        centre.append(data.subtree_com[1].copy())
        feet = [data.body(f"{side}_foot") for side in ("left", "right")]
        corners = [foot.xpos + foot.xmat.reshape(3, 3) @ [x, 0.0, -0.05] for foot in feet for x in (-0.0435, 0.1335)]
        lowest.append(min(corner[2] for corner in corners))
    air = np.asarray(lowest) > 0.001
    flying = air[:-2] & air[1:-1] & air[2:]
    assert flying.sum() >= 3
    moved = np.asarray(centre)
    acceleration = (moved[2:] - 2.0 * moved[1:-1] + moved[:-2])[flying] * clip.fps**2
    np.testing.assert_allclose(acceleration[:, 2], -9.81, atol=0.6)
    np.testing.assert_allclose(acceleration[:, 0], 0.0, atol=0.3)


@pytest.mark.skipif(not CLIPS.is_dir(), reason="MimicKit's clips are not there")
@pytest.mark.parametrize("name, frames", [("walk", 125), ("run", None), ("spinkick", 78)])
def test_mimickits_clips_load(robot, name, frames):
    if name == "walk":  # its neck is NaN
        with pytest.warns(UserWarning, match="ball joint neck is NaN in 125 of 125 frames"):
            clip = read_clip(CLIPS / "humanoid_walk.pkl", robot)
        neck = robot.joint_dof[robot.joint_names.index("neck")]
        assert np.all(clip.dof_pos[:, neck : neck + 3] == 0.0)
    else:
        clip = read_clip(CLIPS / f"humanoid_{name}.pkl", robot)
    assert frames in (None, len(clip.root_pos)) and np.isfinite(clip.dof_pos).all()


def test_three_hinges_on_one_body_are_a_ball(robot, tmp_path):
    """MimicKit's file, with degrees, springs for gains and motors: the robot that loads is the humanoid."""
    spec = mujoco.MjSpec.from_file(str(robot.xml))
    for actuator in list(spec.actuators):
        spec.delete(actuator)
    for body in BODIES:
        for joint in body["joints"]:
            if joint["type"] != "hinge":
                continue
            old = spec.body(body["name"])
            for ball in list(old.joints):
                if ball.type == mujoco.mjtJoint.mjJNT_BALL or ball.name == joint["name"]:
                    spec.delete(ball)
            old.add_joint(
                name=joint["name"], axis=joint["axis"], range=joint["range_rad"], armature=joint["armature"],
                stiffness=np.asarray([joint["stiffness"], 0.0, 0.0]), damping=np.asarray([joint["damping"], 0.0, 0.0]),
                actfrcrange=joint["actuatorfrcrange"],
            )  # fmt: skip
            spec.add_actuator(
                name=joint["name"], trntype=mujoco.mjtTrn.mjTRN_JOINT, target=joint["name"], gear=[200.0, 0, 0, 0, 0, 0]
            )
    spec.compile()
    (tmp_path / "robot.xml").write_text(spec.to_xml())
    (tmp_path / "robot.yaml").write_text(robot.xml.with_name("robot.yaml").read_text())
    assert (tmp_path / "robot.xml").read_text().count('name="abdomen_') >= 3
    loaded = load(tmp_path)
    for field in dataclasses.fields(robot):
        if field.name != "xml":
            got, want = getattr(loaded, field.name), getattr(robot, field.name)
            same = np.allclose(got, want, atol=1e-6) if isinstance(want, (np.ndarray, float)) else got == want
            assert same, field.name
    built, ours = (scene.build(each, EngineSettings()).model for each in (loaded, robot))
    assert (built.nq, built.nu) == (ours.nq, ours.nu)
    np.testing.assert_allclose(built.dof_armature, ours.dof_armature)


@pytest.mark.parametrize(
    "name, frame",
    [("deepmimic", "global"), ("add", "global"), ("amp", "global"), ("ase", "heading"), ("amp_location", "heading"),
     ("amp_steering", "heading"), ("smp", "global"), ("smp_location", "heading"), ("smp_steering", "heading")],
)  # fmt: skip
def test_mimickits_settings(name, frame):
    """Sections 2.1 and 3.3 of the reference: targets about the middle of the limits; tasks and ASE see by the heading."""
    env = config.load(RunSettings, f"mimickit/{name}_humanoid").env
    assert (env.action.mode, env.action.zero_center, env.observations.frame) == ("absolute", False, frame)
