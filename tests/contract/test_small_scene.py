"""A robot with a ball joint among objects, small enough for MJX to compile in seconds; and objects with joints of their own."""

from __future__ import annotations

import dataclasses
import functools
import tempfile
from pathlib import Path

import jax
import mujoco
import numpy as np
import pytest

from mimicjax.config.settings import EngineSettings
from mimicjax.engine import choose, scene
from mimicjax.errors import UserError
from mimicjax.robot import kinematics
from mimicjax.robot.load import load
from mimicjax.types import Robot

XML = """
<mujoco><worldbody><body name="trunk" pos="0 0 0.2"><freejoint/><geom type="sphere" size=".1" mass="4"/>
  <body name="arm" pos="0 0 .1"><joint name="shoulder" type="ball" range="0 2" armature=".01"/>
    <geom type="capsule" fromto=".05 0 .05 .35 0 .05" size=".03" mass="1"/></body>
</body></worldbody></mujoco>
"""
YAML = """
name: tiny
key_bodies: [arm]
contact_bodies: [trunk]
wrench_bodies: [arm]
start_pose: {root_height: 0.1}
gains: {shoulder: {kp: [30, 30, 30], kd: [1, 1, 1], torque_limit: [40, 40, 40]}}
"""
SETTINGS = EngineSettings(name="native", iterations=50, ls_iterations=50)
SPHERE, BOX = mujoco.mjtGeom.mjGEOM_SPHERE, mujoco.mjtGeom.mjGEOM_BOX


@functools.cache
def robot() -> Robot:
    folder = Path(tempfile.mkdtemp())  # the scene reads it again
    (folder / "robot.xml").write_text(XML)
    (folder / "robot.yaml").write_text(YAML)
    return load(folder)


def add(spec: mujoco.MjSpec, name: str, pos: list[float], kind, size: list[float], free: bool = True, **more):
    body = spec.worldbody.add_body(name=name, pos=pos)
    if free:
        body.add_freejoint()
    body.add_geom(name=name, type=kind, size=[*size, 0, 0][:3], mass=0.5, **more)
    return body


def furnish(spec: mujoco.MjSpec) -> None:
    add(spec, "step", [0.6, 0, 0.05], BOX, [0.2, 0.2, 0.05], free=False)
    add(spec, "ball", [0.25, 0, 0.2], SPHERE, [0.08])


def touching(model: mujoco.MjModel, qpos: np.ndarray) -> set[frozenset[str]]:
    data = mujoco.MjData(model)
    data.qpos = qpos
    mujoco.mj_forward(model, data)
    return {frozenset(model.body(int(model.geom_bodyid[g])).name for g in pair) for pair in data.contact.geom}


@pytest.mark.parametrize("name,atol", [("native", 1e-6), ("mjx-jax", 2e-4)])
def test_a_ball_joint_and_a_ball(name, atol):
    """The arm swings against the ball, the ball falls onto the step; 10 control steps as by mj_step."""
    there = scene.build(robot(), SETTINGS, furnish=[furnish])
    layout, model = there.layout, there.model
    assert (layout.nq, layout.nv, layout.nu) == (7 + 4 + 7, 6 + 3 + 6, 3)
    assert (layout.objects["ball"].qpos, layout.objects["ball"].qvel) == (slice(11, 18), slice(9, 15))
    engine = choose.make(there, dataclasses.replace(SETTINGS, name=name), 2)
    qpos, qvel = np.tile(layout.start_qpos, (2, 1)), np.zeros((2, 15), np.float32)
    qpos[0, 11:14], qvel[1, 9:12] = [0.2, 0.0, 0.5], [2.0, 0.1, 0.0]
    ctrl, wrench = np.float32([[0.1, -0.4, 0.2], [0.2, -0.9, 0.5]]), np.zeros((2, 1, 6), np.float32)
    wrench[:, 0, 2] = 2.0
    physics, step = engine.init(qpos, qvel), jax.jit(engine.step)
    data, met = [mujoco.MjData(model) for _ in range(2)], set()
    for row, each in enumerate(data):
        each.qpos, each.qvel, each.ctrl = qpos[row], qvel[row], ctrl[row]
        each.xfrc_applied[model.body("arm").id] = wrench[row, 0]
    for _ in range(10):
        physics = step(physics, ctrl, wrench)
        for each in data:
            mujoco.mj_step(model, each, scene.substeps(SETTINGS))
            met |= touching(model, each.qpos)
    np.testing.assert_allclose(physics.qpos, [each.qpos for each in data], atol=atol)
    assert {frozenset(("ball", "arm")), frozenset(("ball", "step"))} <= met
    pose = jax.jit(lambda q, v: kinematics.pose_of(robot(), *layout.of_robot(q, v)))(physics.qpos, physics.qvel)
    for row, each in enumerate(data):
        mujoco.mj_kinematics(model, each)
        np.testing.assert_allclose(pose.body_pos[row, 1], each.body("arm").xpos, atol=10 * atol)


def test_masks_and_pairs():
    """All meet but the robot itself; what is only looked at meets nothing, and keeps the named pairs of a bare floor."""
    there = scene.build(robot(), SETTINGS, furnish=[furnish])
    bare = scene.build(robot(), SETTINGS)
    seen = scene.build(
        robot(), SETTINGS,
        furnish=[lambda spec: add(spec, "goal", [0, 0, 0.1], BOX, [1, 1, 1], free=False, contype=0, conaffinity=0)],
    )  # fmt: skip
    assert (bare.model.npair, seen.model.npair, there.model.npair) == (2, 2, 0)
    assert touching(seen.model, seen.layout.start_qpos) == touching(bare.model, bare.layout.start_qpos)
    met = set()
    for ball in ([0.3, 0, 0.34], [0.6, 0, 0.17], [0, 0, 0.25], [-1, 0, 0.07]):
        qpos = there.layout.start_qpos.copy()
        qpos[2], qpos[11:14] = 0.09, ball
        met |= touching(there.model, qpos)
    pairs = [("arm", "ball"), ("ball", "step"), ("trunk", "ball"), ("world", "ball"), ("trunk", "world")]
    assert met == {frozenset(pair) for pair in pairs}
    islands = [bool(each.model.opt.disableflags & mujoco.mjtDisableBit.mjDSBL_ISLAND) for each in (bare, seen, there)]
    assert islands == [True, True, False]


def test_objects_may_have_joints_and_damping_of_their_own():
    def door(spec: mujoco.MjSpec) -> None:
        frame = spec.worldbody.add_body(name="door", pos=[0, 1, 0.5], quat=[0, 0, 0, 1])
        wing = frame.add_body(name="wing")
        wing.add_joint(name="hinge", axis=[0, 0, 1], damping=[0.7, 0, 0])
        wing.add_geom(type=BOX, size=[0.3, 0.02, 0.4], mass=3.0)

    there = scene.build(robot(), SETTINGS, furnish=[door, furnish])
    door_of, ball = there.layout.objects["door"], there.layout.objects["ball"]
    assert (door_of.qpos, door_of.qvel, ball.qpos, ball.qvel) == (
        slice(11, 12),
        slice(9, 10),
        slice(12, 19),
        slice(10, 16),
    )
    np.testing.assert_array_equal(door_of.start, [0, 1, 0.5, 0, 0, 0, 1])
    assert there.model.dof_damping[9] == 0.7 and not there.model.dof_damping[6:9].any()


def test_what_does_not_fit_is_said():
    def motor(spec: mujoco.MjSpec) -> None:
        furnish(spec)
        spec.body("ball").first_joint().name = "free"
        spec.add_actuator(name="fan", trntype=mujoco.mjtTrn.mjTRN_JOINT, target="free")

    cases = [
        (lambda spec: add(spec, "", [0, 0, 1], SPHERE, [0.1]), "body 3 beside the robot has no name"),
        (lambda spec: add(spec, "arm", [0, 0, 1], SPHERE, [0.1]), "objects of its scene cannot be compiled.*arm"),
        (motor, "4 actuators, but only the robot's 3 degrees"),
        (lambda spec: spec.body("arm").add_body(name="glove").add_geom(size=[0.1, 0, 0]), "expected.*trunk.*arm"),
    ]
    for add_to, words in cases:
        with pytest.raises(UserError, match=words):
            scene.build(robot(), SETTINGS, furnish=[add_to])
