"""The G1's MJCF against its figures; the loader against small robots and every mistake it must name."""

from __future__ import annotations

from pathlib import Path

import mujoco
import numpy as np
import pytest
import yaml

from mimicjax import paths
from mimicjax.errors import UserError
from mimicjax.robot.__main__ import main
from mimicjax.robot.load import load
from mimicjax.types import BALL, FIXED

FIGURES = yaml.safe_load((Path(__file__).parents[1] / "data" / "g1_figures.yaml").read_text())
BODIES = FIGURES["bodies"]
JOINTS = [(body, joint) for body in BODIES for joint in body["joints"] if joint["type"] == "hinge"]
LEG = ["hip_pitch", "hip_roll", "hip_yaw", "knee", "ankle_pitch", "ankle_roll"]
ARM = ["shoulder_pitch", "shoulder_roll", "shoulder_yaw", "elbow", "wrist_roll", "wrist_pitch", "wrist_yaw"]

# MimicKit's table: kp, kd, torque limit, range in degrees, half of the action range in rad, error weight
TABLE = {
    "left_hip_pitch_joint": (40.179238471, 2.557889765, 88, -145, 165, 4.03171, 1.0),
    "right_hip_roll_joint": (99.098427777, 6.308801853, 88, -170, 30, 4.15388, 1.0),
    "left_hip_yaw_joint": (40.179238471, 2.557889765, 88, -158, 158, 3.86067, 1.0),
    "right_knee_joint": (99.098427777, 6.308801853, 139, -5, 165, 4.03171, 0.6),
    "left_ankle_pitch_joint": (28.501246196, 1.814445686, 50, -50, 30, 1.22173, 0.5),
    "right_ankle_roll_joint": (28.501246196, 1.814445686, 50, -15, 15, 0.36652, 0.5),
    "waist_yaw_joint": (40.179238471, 2.557889765, 88, -150, 150, 3.66519, 1.0),
    "waist_pitch_joint": (28.501246196, 1.814445686, 50, -29.8, 29.8, 0.72815, 1.0),
    "left_shoulder_pitch_joint": (14.250623098, 0.907222843, 25, -177, 153, 4.32493, 1.0),
    "left_shoulder_roll_joint": (14.250623098, 0.907222843, 25, -91, 129, 3.15206, 1.0),
    "right_elbow_joint": (14.250623098, 0.907222843, 25, -60, 120, 2.93215, 0.6),
    "left_wrist_roll_joint": (14.250623098, 0.907222843, 25, -113, 113, 2.76111, 0.5),
    "right_wrist_yaw_joint": (16.778327481, 1.068141502, 25, -92.5, 92.5, 2.26020, 0.5),
}


@pytest.fixture(scope="module")
def model():
    return mujoco.MjModel.from_xml_path(str(paths.ROBOTS / "g1" / "robot.xml"))


@pytest.fixture(scope="module")
def g1():
    return load("g1")


def near(got, want, rtol=1e-6):
    np.testing.assert_allclose(got, want, rtol=rtol, atol=1e-6)


def exact(got, want):
    """For what is written in the MJCF: doubles, as many digits as the figures have."""
    np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-12)


def same_turn(got, want):
    """Quaternions are equal up to sign."""
    want = np.asarray(want) / np.linalg.norm(want)
    exact(got * np.sign(np.dot(got, want)), want)


# --- the MJCF against the figures


def test_sizes_and_mass(model):
    assert (model.nq, model.nv, model.nu, model.nbody) == (36, 35, 29, 32)
    near(model.body_mass.sum(), 36.016921)
    assert model.geom("floor").type == mujoco.mjtGeom.mjGEOM_PLANE and model.geom("floor").condim == 3


@pytest.mark.parametrize("body", BODIES, ids=lambda body: body["name"])
def test_body_figures(model, body):
    got = model.body(body["name"])
    exact(got.mass, body["mass"])
    exact(got.ipos, body["com"])
    # MuJoCo's compiler may reorder principal axes, so compare the inertia matrices
    want = inertia(body["inertia_quat_wxyz"], body["inertia_diag"])
    np.testing.assert_allclose(inertia(got.iquat, got.inertia), want, rtol=0, atol=1e-9 * np.abs(want).max())
    if body["parent"]:  # the root is free: its position in the file is only where the viewer shows it
        assert model.body(got.parentid[0]).name == body["parent"]
        exact(got.pos, body["pos"])
        same_turn(got.quat, body["quat_wxyz"])
    ids = [g for g in range(model.ngeom) if model.geom_bodyid[g] == got.id]
    assert [model.geom(g).name for g in ids if model.geom_group[g] == 3] == [g["name"] for g in body["collision_geoms"]]
    for g in ids:
        collides = bool(model.geom_contype[g] or model.geom_conaffinity[g])
        assert collides == (model.geom_group[g] == 3) and model.geom_group[g] in (2, 3)


def inertia(quat, diagonal):
    turn = np.empty(9)
    mujoco.mju_quat2Mat(turn, np.asarray(quat) / np.linalg.norm(quat))
    turn = turn.reshape(3, 3)
    return turn @ np.diag(diagonal) @ turn.T


@pytest.mark.parametrize("geom", [geom for body in BODIES for geom in body["collision_geoms"]], ids=lambda g: g["name"])
def test_collision_figures(model, geom):
    got = model.geom(geom["name"])
    assert mujoco.mjtGeom(int(got.type[0])).name == f"mjGEOM_{geom['type'].upper()}"
    exact(got.size[: len(geom["size"])], geom["size"])
    exact(got.pos, geom["pos"])
    same_turn(got.quat, geom["quat_wxyz"])
    assert got.condim == geom["condim"]
    exact(got.friction, geom["friction"])


@pytest.mark.parametrize("body,joint", JOINTS, ids=lambda value: value["name"])
def test_joint_figures(model, body, joint):
    got, motor = model.joint(joint["name"]), model.actuator(joint["name"])
    assert model.body(got.bodyid[0]).name == body["name"] and motor.trnid[0] == got.id
    exact(got.axis, joint["axis"])
    exact(got.range, joint["range_rad"])
    exact(got.armature, joint["armature"])
    exact(got.frictionloss, joint["frictionloss"])
    exact([np.sum(got.stiffness), np.sum(got.damping)], [0, 0])  # the gains are the actuators', never passive
    exact([motor.gainprm[0], -motor.biasprm[1], -motor.biasprm[2]], [joint["stiffness"]] * 2 + [joint["damping"]])
    exact(motor.forcerange, joint["actuatorfrcrange"])
    assert not motor.ctrllimited[0]  # targets may lie outside the joint's range


# --- the loaded G1


def test_g1_order(g1):
    legs = [f"{side}_{part}" for side in ("left", "right") for part in LEG]
    arms = [f"{side}_{part}" for side in ("left", "right") for part in ARM]
    links = [*legs, "waist_yaw", "waist_roll", "torso", "head", *arms]
    assert g1.body_names == ("pelvis", *(f"{link}_link" for link in links))
    dofs = [*legs, "waist_yaw", "waist_roll", "waist_pitch", *arms]
    assert g1.dof_names == tuple(f"{dof}_joint" for dof in dofs)
    assert (g1.num_bodies, g1.num_joints, g1.num_dofs, g1.nq, g1.nv) == (31, 30, 29, 36, 35)
    assert np.flatnonzero(g1.joint_kinds == FIXED).tolist() == [15] and g1.joint_names[15] == "head_link"
    assert g1.joint_dof[14:17].tolist() == [14, -1, 15] and g1.dof_joint[14:16].tolist() == [14, 16]
    assert [g1.body_names[i] if i >= 0 else None for i in g1.parents] == [body["parent"] for body in BODIES]
    near(g1.mass, 36.016921)


@pytest.mark.parametrize("name", TABLE)
def test_g1_table(g1, name):
    kp, kd, limit, low, high, half, weight = TABLE[name]
    d = g1.dof_names.index(name)
    near([g1.kp[d], g1.kd[d], g1.torque_limit[d]], [kp, kd, limit])
    near(g1.dof_range[d], np.radians([low, high]), rtol=1e-5)
    near(1.4 * np.abs(g1.dof_range[d]).max(), half, rtol=1e-5)
    near(g1.joint_error_weights[g1.dof_joint[d]], weight)


def test_g1_facts(g1):
    def named(bodies):
        return [g1.body_names[i] for i in bodies]

    assert named(g1.key_bodies) == [
        "left_ankle_roll_link", "right_ankle_roll_link", "head_link", "left_wrist_yaw_link", "right_wrist_yaw_link",
    ]  # fmt: skip
    assert named(g1.contact_bodies) == [
        f"{side}_{part}_link" for side in ("left", "right") for part in ("knee", "ankle_pitch", "ankle_roll")
    ]
    assert named(g1.wrench_bodies)[:2] == ["torso_link", "head_link"] and len(g1.wrench_bodies) == 16
    assert g1.joint_error_weights[15] == 0
    start = np.zeros(36)
    start[[2, 3, 7 + 18, 7 + 25]] = 0.8, 1, 1.57, 1.57
    near(g1.start_qpos, start)
    for field in ("body_pos", "joint_axis", "kp", "dof_range", "start_qpos", "ground_points", "ground_radius"):
        assert getattr(g1, field).dtype == np.float32
    for field in ("joint_kinds", "parents", "dof_joint", "key_bodies", "ground_body"):
        assert getattr(g1, field).dtype == np.int32


def test_g1_ground_points(g1):
    # three capsules a foot, the middle one the longest: x = 0.0395 +- 0.0865, z = -0.015, radius 0.02
    foot = g1.ground_points[g1.ground_body == g1.body_names.index("left_ankle_roll_link")]
    assert foot.shape == (6, 3)
    near(foot[:, 2], -0.015)
    near([foot[:, 0].min(), foot[:, 0].max()], [-0.047, 0.126], rtol=1e-5)
    assert len(g1.ground_radius) == 50 and not np.any(g1.ground_body == g1.body_names.index("waist_yaw_link"))


def test_the_lowest_point_is_mujocos_distance_to_the_floor(model, g1):
    data, rng, floor = mujoco.MjData(model), np.random.default_rng(0), model.geom("floor").id
    for _ in range(5):
        data.qpos[:] = model.qpos0
        data.qpos[3:7] = rng.normal(size=4)
        data.qpos[7:] = rng.uniform(*g1.dof_range.T)
        mujoco.mj_kinematics(model, data)
        body = g1.ground_body + 1
        z = data.xpos[body, 2] + np.einsum("pk,pk->p", data.xmat[body][:, 6:], g1.ground_points) - g1.ground_radius
        geoms = np.flatnonzero(model.geom_group == 3)
        got = min(mujoco.mj_geomDistance(model, data, floor, int(g), 10.0, None) for g in geoms)
        near(z.min(), got, rtol=1e-4)


# --- other robots

ROOT = '<body name="base" pos="0 0 1"><freejoint/><geom type="sphere" size="0.1" mass="1"/>{}</body>'
HINGE_BODY = '<body name="arm" pos="0 0 0.2">{}<geom name="arm_geom" {} mass="1"/></body>'
GOOD_JOINT = '<joint name="swing" axis="0 2 0" range="-1 1.5" stiffness="30" damping="2" actuatorfrcrange="-9 9"/>'
GOOD_GEOM = 'type="sphere" size="0.05"'
INERTIAL = '<inertial><mass value="{}"/><inertia ixx=".1" iyy=".1" izz=".1" ixy="0" ixz="0" iyz="0"/></inertial>'
URDF = f"""<robot name="two"><link name="base">{INERTIAL.format(2)}</link><link name="arm">{INERTIAL.format(1)}</link>
<joint name="swing" type="revolute"><parent link="base"/><child link="arm"/><axis xyz="0 1 0"/>
<limit lower="-1" upper="1" effort="9" velocity="5"/></joint></robot>"""


def write(folder, joint=GOOD_JOINT, geom=GOOD_GEOM, facts=None, extra="", body=None):
    """A two-body robot folder; the floor and a crate are not part of the robot."""
    body = ROOT.format(HINGE_BODY.format(joint, geom)) if body is None else body
    (folder / "robot.xml").write_text(
        f'<mujoco><compiler angle="radian"/>{extra}<worldbody><geom name="floor" type="plane" size="0 0 1"/>{body}'
        '<body name="crate"><freejoint/><geom type="box" size="1 1 1" mass="50"/></body></worldbody></mujoco>'
    )
    (folder / "robot.yaml").write_text(yaml.safe_dump({"key_bodies": ["arm"], "contact_bodies": [], **(facts or {})}))
    return folder


def test_defaults_and_mimickit_gains(tmp_path):
    robot = load(write(tmp_path))
    assert (robot.name, robot.body_names, robot.dof_names) == (tmp_path.name, ("base", "arm"), ("swing",))
    near([robot.kp[0], robot.kd[0], robot.torque_limit[0], robot.mass], [30, 2, 9, 2])
    near(robot.joint_axis, [[0, 1, 0]])
    near(robot.dof_range, [[-1, 1.5]])
    near(robot.start_qpos, [0, 0, 1, 1, 0, 0, 0, 0])
    near(robot.joint_error_weights, [1])
    assert len(robot.wrench_bodies) == 0 and robot.xml == tmp_path / "robot.xml"


@pytest.mark.parametrize("at", ["", "robot.yaml", "robot.xml"])
def test_load_by_path(tmp_path, at):
    assert load(str(write(tmp_path) / at)).body_names == ("base", "arm")


def test_gains_come_from_the_yaml_then_actuators(tmp_path):
    servo = '<actuator><position joint="swing" kp="50" kv="3" forcerange="-7 7"/></actuator>'
    near(load(write(tmp_path, extra=servo)).kp, [50])
    robot = load(write(tmp_path, extra=servo, facts={"gains": {"swing": {"kp": 60, "torque_limit": 8}}}))
    near([robot.kp[0], robot.kd[0], robot.torque_limit[0]], [60, 3, 8])
    # a plain motor says nothing about gains
    motor = '<actuator><motor joint="swing" gear="88"/></actuator>'
    near(load(write(tmp_path, extra=motor)).kp, [30])


def test_ball_joint(tmp_path):
    facts = {
        "gains": {"shoulder": {"kp": 10, "kd": [1, 2, 3], "torque_limit": 5}},
        "start_pose": {"root_height": 0.5, "joints": {"shoulder": [0, 0, np.pi / 2]}},
    }
    robot = load(write(tmp_path, joint='<joint name="shoulder" type="ball" range="0 1.2"/>', facts=facts))
    assert robot.joint_kinds.tolist() == [BALL] and robot.dof_names == ("shoulder_x", "shoulder_y", "shoulder_z")
    assert (robot.nq, robot.nv, robot.dof_joint.tolist()) == (11, 9, [0, 0, 0])
    near(robot.dof_range, [[-1.2, 1.2]] * 3)
    near(np.stack([robot.kp, robot.kd, robot.torque_limit]), [[10, 10, 10], [1, 2, 3], [5, 5, 5]])
    near(robot.start_qpos, [0, 0, 0.5, 1, 0, 0, 0, np.sqrt(0.5), 0, 0, np.sqrt(0.5)])


def test_ball_joint_actuators(tmp_path):
    ball = '<joint name="shoulder" type="ball" range="0 1.2"/>'
    servos = [(2, "0 1 0"), (1, "1 0 0"), (3, "0 0 1")]
    lines = "".join(
        f'<position joint="shoulder" kp="{k}" kv="1" forcerange="-7 7" gear="{g} 0 0 0"/>' for k, g in servos
    )
    near(load(write(tmp_path, joint=ball, extra=f"<actuator>{lines}</actuator>")).kp, [1, 2, 3])


@pytest.mark.parametrize(
    "geom,count,low,high",
    [
        ('type="box" size="0.1 0.2 0.3" pos="0 0 1" euler="0 1.5707963 0"', 8, [-0.3, -0.2, 0.9], [0.3, 0.2, 1.1]),
        ('type="cylinder" size="0.1 0.3"', 32, [-0.1, -0.1, -0.3], [0.1, 0.1, 0.3]),
        ('type="ellipsoid" size="0.1 0.2 0.3"', 32, [-0.1, -0.2, -0.3], [0.1, 0.2, 0.3]),
        ('type="capsule" size="0.1 0.3"', 2, [0, 0, -0.3], [0, 0, 0.3]),
        ('type="sphere" size="0.1" contype="0" conaffinity="0"', 0, None, None),
    ],
)
def test_shapes(tmp_path, geom, count, low, high):
    robot = load(write(tmp_path, geom=geom))
    points = robot.ground_points[robot.ground_body == 1]
    assert len(points) == count
    if count:
        near(points.min(0), low)
        near(points.max(0), high)


def test_mesh(tmp_path):
    # a pyramid with a point inside, off centre and turned: MuJoCo moves its vertices, we must give them back
    tip = [(0, 0, 0), (0.4, 0, 0), (0, 0.3, 0), (0, 0, 0.2), (0.04, 0.03, 0.02)]
    faces = [(1, 3, 2), (1, 2, 4), (2, 3, 4), (1, 4, 3), (1, 5, 2), (1, 2, 5)]
    lines = [f"v {x} {y} {z}" for x, y, z in tip] + ["f {} {} {}".format(*face) for face in faces]
    (tmp_path / "tip.obj").write_text("\n".join(lines))
    asset = '<asset><mesh name="tip" file="tip.obj"/></asset>'
    robot = load(write(tmp_path, geom='type="mesh" mesh="tip" pos="0 0 1"', extra=asset))
    points = robot.ground_points[robot.ground_body == 1]
    got = points[np.lexsort(points.round(4).T)]
    want = np.array(tip[:4]) + [0, 0, 1]
    near(got, want[np.lexsort(want.T)], rtol=1e-5)
    assert np.all(robot.ground_radius[robot.ground_body == 1] == 0)


# --- mistakes

SLIDE = GOOD_JOINT.replace("<joint", '<joint type="slide"')
MESH = dict(geom='type="mesh" mesh="m"', extra='<asset><mesh name="m" file="gone.obj"/></asset>')


@pytest.mark.parametrize(
    "given,words",
    [
        (dict(joint=SLIDE), ["robot.xml", "swing", "slide", "hinge"]),
        (
            dict(joint=GOOD_JOINT + GOOD_JOINT.replace("swing", "twist").replace("0 2 0", "1 0 0")),
            ["robot.xml", "arm", "2 joints", "swing, twist"],
        ),
        (dict(joint=GOOD_JOINT.replace("axis", 'pos="0 0 0.1" axis')), ["robot.xml", "swing", "pos", "0 0 0"]),
        (dict(joint=GOOD_JOINT.replace("axis", 'ref="0.3" axis')), ["robot.xml", "swing", "ref"]),
        (dict(joint=GOOD_JOINT.replace('range="-1 1.5"', "")), ["robot.xml", "swing", "limits"]),
        (dict(joint=GOOD_JOINT.replace('name="swing"', "")), ["robot.xml", "arm", "no name"]),
        (dict(joint='<joint name="swing" range="-1 1"/>'), ["robot.xml", "swing", "kp", "gains"]),
        (dict(joint=GOOD_JOINT.replace('actuatorfrcrange="-9 9"', "")), ["robot.xml", "swing", "torque_limit"]),
        (dict(body='<body name="base"><geom size="0.1"/></body>'), ["robot.xml", "base", "freejoint"]),
        (dict(body=ROOT.format("")), ["robot.xml", "no joint that moves"]),
        (dict(body="<body"), ["robot.xml", "no XML"]),
        (MESH, ["robot.xml", "gone.obj"]),
        (dict(facts={"key_bodies": ["arn"]}), ["robot.yaml", "key_bodies", "arn", "did you mean arm"]),
        (dict(facts={"key_bodies": "arm"}), ["robot.yaml", "key_bodies", "list"]),
        (dict(facts={"wrench_body": []}), ["robot.yaml", "wrench_body", "did you mean wrench_bodies"]),
        (dict(facts={"start_pose": {"height": 1}}), ["robot.yaml", "start_pose", "root_height"]),
        (dict(facts={"start_pose": {"joints": {"swin": 1}}}), ["robot.yaml", "swin", "did you mean swing"]),
        (dict(facts={"start_pose": {"joints": {"swing": "up"}}}), ["robot.yaml", "swing", "number", "up"]),
        (dict(facts={"joint_error_weights": {"sving": 1}}), ["robot.yaml", "sving", "did you mean swing"]),
        (dict(facts={"gains": {"swing": {"kv": 1}}}), ["robot.yaml", "gains: swing", "kv", "allowed: kp, kd"]),
        (dict(facts={"gains": {"swing": 5}}), ["robot.yaml", "gains: swing", "5"]),
        (dict(facts={"xml": "other.xml"}), ["other.xml", "no such"]),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
def test_mistakes_are_named(tmp_path, given, words):
    with pytest.raises(UserError) as caught:
        load(write(tmp_path, **given))
    for word in words:
        assert word in str(caught.value)


def test_unknown_robot():
    with pytest.raises(UserError, match=r"g11.*did you mean g1\b"):
        load("g11")
    with pytest.raises(UserError, match="robots: .*g1"):
        load("/no/such/folder")


def test_the_command_prints_a_table_or_one_line(tmp_path, capsys):
    assert main([str(write(tmp_path))]) == 0
    lines = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()]
    rows = dict(line for line in lines if len(line) == 2)  # a long path stands in a line of its own
    assert (rows["bodies"], rows["joints"], rows["mass"], rows["kp"]) == (
        "2: base, arm; the first is the root",
        "1 hinge",
        "2.000 kg",
        "30 N m/rad",
    )
    # a sphere of 0.1 m at 1 m, and one of 0.05 m at 1.2 m
    assert rows["height"].startswith("0.350 m") and "lowest 0.900 m" in rows["height"]
    write(tmp_path, facts={"key_bodies": ["amr"]})
    assert main([str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("mimicjax.robot: error: ") and "did you mean arm" in error and error.count("\n") == 1


def test_a_urdf_becomes_a_robot_as_the_docs_say(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "robot.urdf").write_text(URDF)
    text = (paths.ROOT / "docs" / "robots.md").read_text()
    exec(next(block for block in text.split("```python")[1:] if "urdf" in block).partition("```")[0])  # noqa: S102
    facts = {"key_bodies": ["arm"], "contact_bodies": [], "gains": {"swing": {"kp": 10, "kd": 1}}}
    (tmp_path / "robot.yaml").write_text(yaml.safe_dump(facts))
    robot = load(tmp_path)
    assert (robot.body_names, robot.dof_names) == (("base", "arm"), ("swing",))
    near([robot.mass, robot.torque_limit[0]], [3, 9])


def test_missing_yaml_and_missing_keys(tmp_path):
    write(tmp_path)
    (tmp_path / "robot.yaml").write_text("name: x\n")
    with pytest.raises(UserError, match="key_bodies is missing"):
        load(tmp_path)
    (tmp_path / "robot.yaml").write_text("name: [x\n")
    with pytest.raises(UserError, match="YAML"):
        load(tmp_path)
    (tmp_path / "robot.yaml").unlink()
    with pytest.raises(UserError, match=r"no robot\.yaml"):
        load(tmp_path / "robot.xml")
