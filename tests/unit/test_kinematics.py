"""Kinematics and ground clearance against MuJoCo, on the G1 and on a small robot with ball joints and every shape."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from mimicjax.robot import kinematics
from mimicjax.robot.load import load
from mimicjax.types import BALL, FIXED, HINGE

N = 8
# m, how far above its true lowest point a shape may seem, as it is 16 points on each rim, or 32 on a surface of 0.15 m
ROUGH = {int(mujoco.mjtGeom.mjGEOM_CYLINDER): 2e-3, int(mujoco.mjtGeom.mjGEOM_ELLIPSOID): 2e-2}
XML = """
<mujoco>
  <compiler angle="radian"/>
  <worldbody>
    <geom name="floor" type="plane" size="0 0 .1"/>
    <body name="trunk" pos="0 0 1">
      <freejoint/>
      <geom type="box" size=".1 .2 .05" pos=".02 0 .01" quat=".9 .1 .3 .2"/>
      <body name="arm" pos=".1 .2 .3" quat=".8 .2 -.4 .1">
        <joint name="shoulder" type="ball" range="0 1.5"/>
        <geom type="capsule" fromto="0 0 0 .3 .1 0" size=".05"/>
        <body name="wedge" pos=".3 .1 0" quat=".7 0 .7 .1">
          <geom type="cylinder" size=".08 .1" euler=".3 .2 .1"/>
          <body name="hand" pos="0 .1 .2">
            <joint name="wrist" axis="1 2 3" range="-1 1"/>
            <geom type="sphere" size=".07" pos="0 0 .05"/>
            <geom type="ellipsoid" size=".05 .1 .15" pos="0 .1 0"/>
          </body>
        </body>
      </body>
      <body name="leg" pos="0 -.1 -.3">
        <joint name="hip" type="ball" range="0 1.5"/>
        <inertial pos="0 0 0" mass="1" diaginertia=".1 .1 .1"/>
        <geom type="box" size=".2 .2 .2" contype="0" conaffinity="0"/>
      </body>
    </body>
  </worldbody>
</mujoco>
"""


@pytest.fixture(scope="module")
def ballbot(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ballbot")
    (folder / "robot.xml").write_text(XML)
    gains = "{kp: 9, kd: 1, torque_limit: 9}"
    (folder / "robot.yaml").write_text(
        f"name: ballbot\nkey_bodies: [hand]\ncontact_bodies: [leg]\n"
        f"gains: {{shoulder: {gains}, wrist: {gains}, hip: {gains}}}\n"
    )
    return load(folder)


@pytest.fixture(scope="module", params=["g1", "ballbot"])
def case(request):
    """A robot, MuJoCo's model and data at N random states, our poses of them."""
    robot = request.getfixturevalue(request.param)
    model = mujoco.MjModel.from_xml_path(str(robot.xml))
    rng = np.random.default_rng(1)
    datas, qpos, qvel = [], [], []
    for _ in range(N):
        data = mujoco.MjData(model)
        data.qpos[:] = rng.normal(size=robot.nq)
        data.qpos[2] += 2
        data.qvel[:] = rng.normal(size=robot.nv)
        mujoco.mj_normalizeQuat(model, data.qpos)
        mujoco.mj_forward(model, data)
        datas.append(data)
        qpos.append(data.qpos.copy())
        qvel.append(data.qvel.copy())
    qpos, qvel = np.asarray(qpos, np.float32), np.asarray(qvel, np.float32)
    pose = jax.jit(lambda qpos, qvel: kinematics.pose_of(robot, qpos, qvel))(qpos, qvel)
    return robot, model, datas, pose, qpos, qvel


def test_joint_kinds_of_the_small_robot(ballbot):
    np.testing.assert_array_equal(ballbot.joint_kinds, [BALL, FIXED, HINGE, BALL])
    np.testing.assert_array_equal(kinematics.qpos_index(ballbot), [7, -1, 11, 12])
    assert ballbot.nq == 16 and ballbot.nv == 13


def test_body_poses(case):
    robot, model, datas, pose, *_ = case
    ids = [model.body(name).id for name in robot.body_names]
    for i, data in enumerate(datas):
        np.testing.assert_allclose(pose.body_pos[i], data.xpos[ids], atol=5e-6)
        same = np.abs(np.sum(np.asarray(pose.body_quat[i]) * data.xquat[ids], axis=-1))
        np.testing.assert_allclose(same, 1.0, atol=2e-6)


def test_root_velocities_are_in_the_world(case):
    robot, model, datas, pose, *_ = case
    root = model.body(robot.body_names[0]).id
    for i, data in enumerate(datas):
        velocity = np.zeros(6)  # angular, linear; of the frame's origin, in world axes
        mujoco.mj_objectVelocity(model, data, mujoco.mjtObj.mjOBJ_XBODY, root, velocity, 0)
        np.testing.assert_allclose(pose.root_ang_vel[i], velocity[:3], atol=5e-6)
        np.testing.assert_allclose(pose.root_vel[i], velocity[3:], atol=5e-6)


def test_qpos_round_trip(case):
    robot, _, _, pose, qpos, qvel = case
    again, speed = jax.jit(lambda pose: kinematics.qpos_of(robot, pose))(pose)
    np.testing.assert_allclose(again, qpos, atol=2e-6)
    np.testing.assert_allclose(speed, qvel, atol=2e-6)


def test_joint_coordinates_round_trip(case):
    robot, *_ = case
    dofs = np.random.default_rng(2).uniform(-1.5, 1.5, (N, robot.num_dofs)).astype(np.float32)
    there = jax.jit(lambda x: kinematics.dof_quats(robot, x))
    back = jax.jit(lambda x: kinematics.joint_angles(robot, x))
    quats = there(dofs)
    assert (quats[..., 0] >= 0).all()
    np.testing.assert_allclose(back(quats), dofs, atol=1e-5)


def test_joint_velocities_are_the_change_of_joint_rotations(ballbot):
    """MuJoCo integrates a ball's velocity in the child's frame, as the library's differences are taken."""
    model = mujoco.MjModel.from_xml_path(str(ballbot.xml))
    rng, dt = np.random.default_rng(3), 1e-2
    qpos = rng.normal(size=ballbot.nq)
    mujoco.mj_normalizeQuat(model, qpos)
    qvel, later = rng.normal(size=ballbot.nv), qpos.copy()
    mujoco.mj_integratePos(model, later, qvel, dt)
    quats = [np.asarray(kinematics.joint_quats(ballbot, jnp.asarray(q, jnp.float32))) for q in (qpos, later)]
    turn = np.zeros(3)
    mujoco.mju_subQuat(turn, quats[1][0].astype(np.float64), quats[0][0].astype(np.float64))
    np.testing.assert_allclose(turn / dt, qvel[6:9], atol=1e-4)


def test_ground_clearance(case):
    robot, model, datas, pose, *_ = case
    model = mujoco.MjModel.from_xml_path(str(robot.xml)) if robot.name == "ballbot" else with_floor(robot)
    floor = np.flatnonzero(model.geom_type == mujoco.mjtGeom.mjGEOM_PLANE)[0]
    clearance = np.asarray(jax.jit(lambda pose: kinematics.ground_clearance(robot, pose))(pose))
    for i, old in enumerate(datas):
        data = mujoco.MjData(model)
        data.qpos[:] = old.qpos
        mujoco.mj_kinematics(model, data)
        for body, name in enumerate(robot.body_names):
            geoms = np.flatnonzero((model.geom_bodyid == model.body(name).id) & (model.geom_contype != 0))
            heights = [mujoco.mj_geomDistance(model, data, floor, geom, 100.0, None) for geom in geoms]
            want = min(heights, default=np.inf)
            atol = max((ROUGH.get(int(kind), 1e-5) for kind in model.geom_type[geoms]), default=0)
            np.testing.assert_allclose(clearance[i, body], want, atol=atol)
            assert clearance[i, body] >= want - 1e-5, "points of a surface cannot lie under it"


def with_floor(robot) -> mujoco.MjModel:
    spec = mujoco.MjSpec.from_file(str(robot.xml))
    spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_PLANE, size=[0, 0, 0.1])
    return spec.compile()


def test_clearance_above_another_ground_and_without_shapes(ballbot):
    flat, raised = standing(ballbot)
    np.testing.assert_allclose(raised, flat - 0.1, atol=1e-6)
    bare = [ballbot.body_names.index("leg")]
    assert np.isinf(flat[bare]).all() and np.isfinite(np.delete(flat, bare)).all()


def test_start_pose_of_the_g1_stands_near_the_ground(g1):
    clearance, _ = standing(g1)
    assert abs(clearance.min()) < 0.05
    assert clearance.argmin() in g1.contact_bodies


def standing(robot):
    """Clearance [N] in the start pose, over the ground and over one 0.1 m higher."""

    @jax.jit
    def clearances(qpos, qvel):
        pose = kinematics.pose_of(robot, qpos, qvel)
        higher = lambda xy: jnp.full(xy.shape[:-1], 0.1)  # noqa: E731
        return kinematics.ground_clearance(robot, pose), kinematics.ground_clearance(robot, pose, higher)

    return [np.asarray(x) for x in clearances(jnp.asarray(robot.start_qpos), jnp.zeros(robot.nv))]
