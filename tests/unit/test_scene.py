"""The scene: what becomes of an MJCF, checked with MuJoCo's own dynamics on a robot small enough to reckon by hand."""

from __future__ import annotations

import dataclasses

import mujoco
import numpy as np
import pytest

from mimicjax.config.settings import EngineSettings
from mimicjax.engine import contacts, scene
from mimicjax.errors import UserError
from mimicjax.types import BALL, HINGE, Robot

SETTINGS = EngineSettings()
MJCF = """
<mujoco>
  <compiler angle="radian"/>
  <default>
    <motor ctrllimited="true" ctrlrange="-1 1" gear="7"/>
    <position ctrllimited="true" ctrlrange="-1 1" gear="7"/>
  </default>
  <worldbody>{ground}
    <body name="trunk" pos="0 0 1">
      <freejoint/>
      <geom name="trunk" type="box" size=".1 .1 .1" condim="1"/>
      <geom name="skin" type="sphere" size=".3" contype="0" conaffinity="0"/>
      <body name="arm" pos="0 0 .15">
        <joint name="shoulder" type="ball" stiffness="30" damping="2" armature=".01" frictionloss=".1"/>
        <geom name="arm" type="capsule" fromto="0 0 0 .3 0 0" size=".05"/>
        <body name="hand" pos=".3 0 0">
          <joint name="wrist" axis="0 1 0" range="-1 1" springdamper=".1 1" armature=".02" frictionloss=".2"/>
          <geom name="hand" type="sphere" pos="-.2 0 -.1" size=".06" condim="1"/>
        </body>
      </body>
    </body>
  </worldbody>
  <actuator><motor joint="wrist"/></actuator>
  <sensor><jointpos joint="wrist"/></sensor>
  <keyframe><key name="home" qpos="0 0 1 1 0 0 0 1 0 0 0 0"/></keyframe>
</mujoco>
"""
KP, KD, LIMIT = np.array([10.0, 20.0, 30.0, 40.0]), np.array([0.1, 0.2, 0.3, 0.4]), np.array([5.0, 5.0, 5.0, 2.0])


def make_robot(folder, ground: str = "") -> Robot:
    path = folder / "robot.xml"
    path.write_text(MJCF.format(ground=ground))
    none = np.zeros(0, int)
    return Robot(
        name="small",
        xml=path,
        body_names=("trunk", "arm", "hand"),
        joint_names=("shoulder", "wrist"),
        dof_names=("shoulder_x", "shoulder_y", "shoulder_z", "wrist"),
        joint_kinds=np.array([BALL, HINGE]),
        parents=np.array([-1, 0, 1]),
        body_pos=np.zeros((3, 3)),
        body_quat=np.tile([1.0, 0, 0, 0], (3, 1)),
        joint_axis=np.array([[0.0, 0, 0], [0, 1, 0]]),
        joint_dof=np.array([0, 3]),
        dof_joint=np.array([0, 0, 0, 1]),
        dof_range=np.tile([-1.0, 1.0], (4, 1)),
        kp=KP,
        kd=KD,
        torque_limit=LIMIT,
        armature=np.zeros(4),
        joint_error_weights=np.ones(2),
        key_bodies=none,
        contact_bodies=none,
        wrench_bodies=np.array([2, 0]),
        start_qpos=np.array([0, 0, 1.0, 1, 0, 0, 0, 1, 0, 0, 0, 0]),
        ground_points=np.zeros((0, 3)),
        ground_radius=np.zeros(0),
        ground_body=none,
        mass=1.0,
    )


def test_control_is_the_target_of_a_limited_pd_drive_per_dof(tmp_path):
    """Torque of dof d = clip(kp (target - position) - kd velocity, limit); a ball's position is its exponential map."""
    model = scene.build(make_robot(tmp_path), SETTINGS).model
    data = mujoco.MjData(model)
    position = np.array([0.2, -0.1, 0.05, 0.3])
    angle = np.linalg.norm(position[:3])
    data.qpos[7] = np.cos(angle / 2)
    data.qpos[8:11] = np.sin(angle / 2) * position[:3] / angle
    data.qpos[11] = position[3]
    data.qvel[6:] = velocity = np.array([1.0, -2.0, 0.5, 1.5])
    data.ctrl[:] = target = np.array([0.1, 0.1, 1.0, 3.0])  # the last two reach the limit, the last ctrlrange too
    mujoco.mj_forward(model, data)
    expected = np.clip(KP * (target - position) - KD * velocity, -LIMIT, LIMIT)
    np.testing.assert_allclose(data.qfrc_actuator[6:], expected, atol=1e-12)
    assert expected[2] == 5.0 and expected[3] == 2.0
    assert [model.actuator(i).name for i in range(4)] == ["shoulder_x", "shoulder_y", "shoulder_z", "wrist"]


def test_only_the_drives_act_on_joints(tmp_path):
    model = scene.build(make_robot(tmp_path), SETTINGS).model
    data = mujoco.MjData(model)
    data.qpos[11], data.qvel[6:] = 0.5, 3.0
    mujoco.mj_forward(model, data)
    assert not data.qfrc_passive.any()
    assert (model.nu, model.nsensor, model.nkey) == (4, 0, 0)
    np.testing.assert_array_equal(model.dof_armature[6:], [0.01, 0.01, 0.01, 0.02])
    np.testing.assert_array_equal(model.dof_frictionloss[6:], [0.1, 0.1, 0.1, 0.2])
    slick = scene.build(make_robot(tmp_path), dataclasses.replace(SETTINGS, frictionloss=False)).model
    assert not slick.dof_frictionloss.any()


def touching(model: mujoco.MjModel, height: float) -> set[tuple[str, str]]:
    data = mujoco.MjData(model)
    data.qpos[2] = height
    mujoco.mj_forward(model, data)
    return {tuple(sorted(model.geom(int(geom)).name for geom in pair)) for pair in data.contact.geom}


@pytest.mark.parametrize("ground", ["", '<geom name="floor" type="plane" size="1 1 1" friction=".2" condim="1"/>'])
def test_shapes_meet_the_floor_and_each_other_only_if_asked(tmp_path, ground):
    robot = make_robot(tmp_path, ground)
    model = scene.build(robot, SETTINGS).model
    assert touching(model, 5.0) == set()
    assert touching(model, 0.09) == {("floor", "trunk")}  # the skin, lower still, is only to look at
    floor = model.geom("floor")
    assert floor.condim[0] == 3 and floor.friction[0] == 1.0
    meeting = scene.build(robot, dataclasses.replace(SETTINGS, self_collision=True)).model
    assert touching(meeting, 5.0) == {("hand", "trunk")}  # arm and trunk are parent and child


def test_named_pairs_are_the_contacts_that_masks_give(tmp_path, monkeypatch):
    """Bit for bit, with friction that differs, a shape without a name, and a pair that the file names itself."""
    ground = '<geom name="ground" type="plane" size="1 1 1" friction=".3 .01 .01"/>'
    own = '</worldbody><contact><pair geom1="hand" geom2="ground" friction="2 2 .1 .1 .1"/></contact>'
    robot = make_robot(tmp_path, ground)
    text = robot.xml.read_text().replace('<geom name="arm"', '<geom friction="1.5 .1 .1"')
    robot.xml.write_text(text.replace("</worldbody>", own))
    named = scene.build(robot, SETTINGS).model
    with monkeypatch.context() as context:
        context.setattr(contacts, "_pairs", lambda spec, own: None)
        masks = scene.build(robot, SETTINGS).model
    assert (named.npair, masks.npair) == (3, 1)
    ours, theirs = falls(named), falls(masks)
    assert {shape for geoms, _ in ours for shape in geoms.ravel()} == {0, 1, 3, 4}  # all but the skin
    for (geoms, values), (their_geoms, their_values) in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(geoms, their_geoms)
        np.testing.assert_array_equal(values, their_values)


def falls(model: mujoco.MjModel) -> list[tuple[np.ndarray, np.ndarray]]:
    """(geoms of the contacts, positions and contact parameters) of every step of three falls."""
    found = []
    for start in ((0.09, 1, 0, 0, 0), (0.4, 0.7, 0, 0.7, 0), (0.15, 0, 1, 0.1, 0)):
        data = mujoco.MjData(model)
        data.qpos[2:7] = start
        for _ in range(80):
            mujoco.mj_step(model, data)
            con = data.contact
            values = [data.qpos, con.dist, con.friction, con.solref, con.solimp, con.dim, con.includemargin]
            found.append((con.geom.copy(), np.concatenate([np.ravel(x) for x in values])))
    return found


@pytest.mark.parametrize("old,new", [
    ('<geom name="arm"', '<geom name="arm" solref=".05 1"'), ('<geom name="arm"', '<geom name="arm" margin=".01"'),
    ("</worldbody>", '</worldbody><contact><exclude body1="world" body2="hand"/></contact>'),
])  # fmt: skip
def test_masks_stay_where_pairs_would_change_contacts(tmp_path, old, new):
    robot = make_robot(tmp_path)
    assert scene.build(robot, SETTINGS).model.npair == 3
    robot.xml.write_text(robot.xml.read_text().replace(old, new))
    model = scene.build(robot, SETTINGS).model
    assert model.npair == 0 and touching(model, 0.09) == {("floor", "trunk")}


def test_robots_without_light_floor_or_sky_get_them(tmp_path, g1):
    """The small robot brings none of them, the G1 all; names that are taken are left alone."""
    floor = '<geom name="squares" type="plane" size="0 0 1"/><light name="lamp" pos="0 0 3" diffuse="1 0 0"/>'
    for ground, lamps in (("", 1), (floor, 1)):
        made = scene.build(make_robot(tmp_path, ground), EngineSettings()).model
        plane = int(np.flatnonzero(made.geom_type == mujoco.mjtGeom.mjGEOM_PLANE)[0])
        assert made.nlight == lamps and made.ntex == 2 and made.geom_matid[plane] >= 0
        np.testing.assert_allclose(made.light_diffuse[0], [1, 0, 0] if ground else [0.6, 0.6, 0.58], rtol=1e-6)
    own, made = mujoco.MjModel.from_xml_path(str(g1.xml)), scene.build(g1, EngineSettings()).model
    assert (own.nlight, own.ntex, own.nmat) == (made.nlight, made.ntex, made.nmat)
    np.testing.assert_array_equal(own.vis.headlight.ambient, made.vis.headlight.ambient)


def test_options_come_from_settings(tmp_path):
    settings = EngineSettings(
        sim_freq=200,
        control_freq=50,
        integrator="euler",
        solver="cg",
        iterations=7,
        ls_iterations=9,
        cone="elliptic",
        jacobian="sparse",
        impratio=2.0,
    )
    option = scene.build(make_robot(tmp_path), settings).model.opt
    assert option.timestep == 1 / 200 and (option.iterations, option.ls_iterations, option.impratio) == (7, 9, 2.0)
    assert option.integrator == mujoco.mjtIntegrator.mjINT_EULER and option.solver == mujoco.mjtSolver.mjSOL_CG
    assert option.cone == mujoco.mjtCone.mjCONE_ELLIPTIC and option.jacobian == mujoco.mjtJacobian.mjJAC_SPARSE
    assert scene.substeps(settings) == 4


def test_wrench_bodies_are_found_by_name(tmp_path):
    robot = make_robot(tmp_path)
    built = scene.build(robot, SETTINGS)
    assert [built.model.body(int(body)).name for body in built.layout.wrench_ids] == ["hand", "trunk"]
    other = scene.with_wrench_bodies(built, [1]).layout
    assert [built.model.body(int(body)).name for body in other.wrench_ids] == ["arm"] and other.nq == 12


def test_what_does_not_fit_is_said(tmp_path):
    robot = make_robot(tmp_path)
    with pytest.raises(UserError, match="sim_freq = 100 is not a multiple of engine.control_freq = 30; use 90"):
        scene.build(robot, EngineSettings(sim_freq=100))
    with pytest.raises(UserError, match="use 30"):
        scene.substeps(EngineSettings(sim_freq=10))
    with pytest.raises(UserError, match="nq, nv = 12, 10"):
        scene.build(dataclasses.replace(robot, start_qpos=np.zeros(13)), SETTINGS)
    with pytest.raises(UserError, match="joint wrist"):
        scene.build(dataclasses.replace(robot, joint_kinds=np.array([BALL, BALL])), SETTINGS)
    with pytest.raises(UserError, match="height 0.5 m"):
        scene.build(make_robot(tmp_path, '<geom type="plane" size="1 1 1" pos="0 0 .5"/>'), SETTINGS)
    robot.xml.write_text("<mujoco><nonsense/></mujoco>")
    with pytest.raises(UserError, match="no valid MJCF"):
        scene.build(robot, SETTINGS)
