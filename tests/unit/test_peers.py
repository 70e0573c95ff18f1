"""Other groups' policies, without their package: what they see, their clip on a robot, and the sweeps they are given."""

from __future__ import annotations

import importlib
import json
import sys
import zipfile
from types import SimpleNamespace
from typing import Any

import jax.numpy as jnp
import mujoco
import numpy as np
import pytest
from push_sweeps import example

from mimicjax import paths
from mimicjax.engine import scene
from mimicjax.errors import UserError
from mimicjax.evaluation.push import cells, trial
from mimicjax.evaluation.push.cells import Cell
from mimicjax.evaluation.push.profile import PushGroup, SweepSettings

FRAMES = 60
CONFIG = """
SCALES = (0.5, 0.25)
g1_29dof = RobotConfig(robot="g1", default_dof_angles=(0.1, -0.2,), default_per_joint_action_scale=SCALES)
"""
URDF = """<robot name="small">
  <link name="pelvis"><inertial><mass value="4"/><inertia ixx="1" ixy="0" ixz="0" iyy="1" iyz="0" izz="1"/></inertial>
    <visual><geometry><mesh filename="not_there.stl"/></geometry></visual></link>
  <link name="torso_link"><inertial><mass value="2"/><inertia ixx="1" ixy="0" ixz="0" iyy="1" iyz="0" izz="1"/></inertial>
    <collision><geometry><cylinder radius="0.1" length="0.4"/></geometry></collision></link>
  <joint name="waist_yaw_joint" type="revolute"><parent link="pelvis"/><child link="torso_link"/><axis xyz="0 0 1"/>
    <origin xyz="0 0 0.3"/><limit lower="-1" upper="1" effort="88" velocity="9"/></joint>
</robot>"""


@pytest.fixture(scope="module")
def benchmarks():
    """The modules peers and peer_policies of the benchmarks folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(paths.ROOT / "benchmarks"))
        yield SimpleNamespace(peers=importlib.import_module("peers"), policies=importlib.import_module("peer_policies"))


@pytest.fixture(scope="module")
def peer(benchmarks, g1) -> Any:
    """A policy of random numbers whose joints are the G1's backwards; its actions lead to the clip's joints."""
    draw = np.random.default_rng(0)
    quat = draw.normal(size=(FRAMES, 4)) * 0.1 + [1.0, 0.0, 0.0, 0.0]
    pos, default, scale = 0.1 * draw.normal(size=(FRAMES, 29)), draw.normal(size=29), draw.uniform(0.1, 1.0, 29)
    return benchmarks.policies.Peer(
        name="made up", joints=g1.dof_names[::-1], kp=g1.kp[::-1], kd=g1.kd[::-1], default=default, scale=scale,
        joint_pos=pos, joint_vel=draw.normal(size=(FRAMES, 29)),
        anchor_pos=np.tile([0.0, 0.0, 0.85], (FRAMES, 1)), anchor_quat=quat / np.linalg.norm(quat, axis=1)[:, None],
        urdf="", act=lambda seen, frames: (pos[frames] - default) / scale,
    )  # fmt: skip


def turned(quat: np.ndarray) -> np.ndarray:
    """[3,3] MuJoCo's matrix of a quaternion."""
    matrix = np.empty(9)
    mujoco.mju_quat2Mat(matrix, quat)
    return matrix.reshape(3, 3)


def test_an_observation_is_that_of_the_player(benchmarks, peer, g1):
    draw = np.random.default_rng(1)
    data = mujoco.MjData(model := mujoco.MjModel.from_xml_path(str(g1.xml)))
    data.qpos[:7] = [0.3, -0.2, 0.9, *np.array([0.8, 0.2, -0.4, 0.4])]
    data.qpos[7:], data.qvel[:] = 0.3 * draw.normal(size=29), draw.normal(size=35)
    mujoco.mj_kinematics(model, data)
    action, frame = draw.normal(size=29), 17
    seen = benchmarks.policies.observation(
        peer, g1, *(jnp.asarray(each[None], jnp.float32) for each in (data.qpos, data.qvel, action)), jnp.array([frame])
    )
    between = data.body("torso_link").xmat.reshape(3, 3).T @ turned(peer.anchor_quat[frame])
    rows = [action, data.qvel[3:6], data.qpos[:6:-1] - peer.default, data.qvel[:5:-1], peer.joint_pos[frame],
            peer.joint_vel[frame], between[:, :2].ravel()]  # fmt: skip
    np.testing.assert_allclose(seen[0], np.concatenate(rows), atol=2e-6)


def test_the_clip_puts_the_torso_where_the_policy_has_it(benchmarks, peer, g1):
    clip = benchmarks.policies.clip_for(peer, g1)
    data = mujoco.MjData(model := mujoco.MjModel.from_xml_path(str(g1.xml)))
    data.qpos[:] = np.concatenate([clip.root_pos[9], clip.root_quat[9], clip.dof_pos[9]])
    mujoco.mj_kinematics(model, data)
    np.testing.assert_allclose(data.body("torso_link").xpos, peer.anchor_pos[9], atol=1e-6)
    np.testing.assert_allclose(data.body("torso_link").xmat.reshape(3, 3), turned(peer.anchor_quat[9]), atol=1e-6)
    np.testing.assert_array_equal(clip.dof_pos, peer.joint_pos[:, ::-1])


def test_joints_that_the_robot_does_not_have_are_named(benchmarks, peer, g1):
    odd = peer._replace(joints=("tail_joint", *peer.joints[1:]))
    with pytest.raises(UserError, match=r"made up: its joints are not those of robot g1: .*tail_joint"):
        benchmarks.policies.columns(odd, g1)


@pytest.mark.parametrize("frames", [3, 7, 8, 21])
def test_a_clip_ends_where_its_frames_change_no_more(benchmarks, monkeypatch, frames):
    monkeypatch.setattr(benchmarks.policies, "FIRST_LOOK", 8)
    still = lambda frame: max(0, min(frame, frames - 1) - 1)  # the first two are alike too  # noqa: E731
    places, zeros = benchmarks.policies.clip_of(lambda frame: [np.array([[still(frame)]]), np.zeros((1, 2))])
    np.testing.assert_array_equal(places[:, 0], [still(frame) for frame in range(frames)])
    assert zeros.shape == (frames, 2)


class Session:
    """What is asked of an ONNX session: four frames of a clip of two joints, and facts."""

    def __init__(self, **facts: object):
        self.facts = {"dof_names": ["a", "b"], "kp": [1.0, 2.0], "kd": [3.0, 4.0], "robot_urdf": "<robot/>", **facts}

    def get_modelmeta(self):
        return SimpleNamespace(custom_metadata_map={key: json.dumps(value) for key, value in self.facts.items()})

    def get_inputs(self):
        return [SimpleNamespace(name="obs", shape=[1, 19])]

    def run(self, outputs: list[str], feed: dict[str, np.ndarray]) -> list[np.ndarray]:
        frame = min(feed["time_step"][0, 0], 3.0)
        sizes = {"joint_pos": 2, "joint_vel": 2, "ref_pos_xyz": 3, "actions": 2}
        known = {name: np.full((1, size), frame) for name, size in sizes.items()}
        known |= {"ref_quat_xyzw": np.array([[0.1, 0.2, 0.3, 0.9]]), "actions": feed["obs"][:, :2] + frame}
        return [known[name] for name in outputs]


@pytest.mark.parametrize(
    "name, facts, scale",
    [("ppo", {}, [0.5, 0.25]), ("fastsac", {}, [1, 1]), ("fastsac", {"action_scale": [0.3, 0.6]}, [0.3, 0.6])],
)
def test_a_policy_is_read_from_the_wheel(benchmarks, monkeypatch, tmp_path, name, facts, scale):
    wheel, policies = tmp_path / "package.whl", benchmarks.policies
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(policies.POLICIES[name].file, b"")
        archive.writestr(f"{policies.ROOT}/config/config_values/robot.py", CONFIG)
    monkeypatch.setattr(policies, "_session", lambda model: Session(**facts))
    read = policies.read(wheel, name)
    assert (read.joints, read.kd.tolist(), read.default.tolist()) == (("a", "b"), [3.0, 4.0], [0.1, -0.2])
    assert read.scale.tolist() == scale and read.joint_pos[:, 1].tolist() == [0, 1, 2, 3]
    assert read.anchor_quat[0].tolist() == [0.9, 0.1, 0.2, 0.3]
    np.testing.assert_array_equal(read.act(np.arange(38.0).reshape(2, 19), np.array([2, 9])), [[2, 3], [22, 23]])


def test_what_is_missing_is_said_in_a_line(benchmarks, monkeypatch, tmp_path, capsys):
    wheel = tmp_path / "other.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("other/__init__.py", "")
    with pytest.raises(UserError, match=r"other.whl: not a wheel of holosoma-inference 0.1.3"):
        benchmarks.policies.read(wheel, "ppo")
    with pytest.raises(UserError, match="no default pose"):
        benchmarks.policies.defaults("g1_29dof = RobotConfig()")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UserError, match="pip install onnxruntime"):
        benchmarks.policies._session(b"")
    monkeypatch.setattr(sys, "argv", ["peers.py", "--policies", "pppo"])
    assert benchmarks.peers.main() == 2 and "unknown policy 'pppo' (did you mean ppo?)" in capsys.readouterr().err


def test_their_robot_has_the_armature_of_its_gains(benchmarks, peer, tmp_path):
    small = peer._replace(joints=("waist_yaw_joint",), kp=np.array([40.179238471]), kd=np.array([2.5]), urdf=URDF)
    robot = benchmarks.policies.their_robot(small, tmp_path / "small")
    model = mujoco.MjModel.from_xml_path(str(robot.xml))
    assert model.dof_armature[6] == pytest.approx(0.01017752, rel=1e-5)  # Unitree's figure for this motor
    assert (robot.torque_limit[0], robot.mass) == (88.0, 6.0) and model.geom_type[0] == mujoco.mjtGeom.mjGEOM_CAPSULE
    assert [robot.body_names[body] for body in robot.wrench_bodies] == ["torso_link"]


def test_a_sweep_plays_every_episode_from_its_own_frame(benchmarks, peer, g1, tmp_path):
    frames: list[np.ndarray] = []
    watched = peer._replace(act=lambda seen, now: (frames.append(now), peer.act(seen, now))[1])
    stage = benchmarks.peers.stage_of(watched, "ours", tmp_path, 1)
    np.testing.assert_allclose(stage.scene.model.actuator_gainprm[:, 0], g1.kp, rtol=1e-6)
    assert scene.substeps(stage.engine) == 4 and stage.scene.model.opt.timestep == pytest.approx(0.005)
    group = PushGroup(bodies=["torso_link"], directions=["left"], impulses=[0.1, 900.0], durations=[0.06])
    settings = SweepSettings(warm_up=0.08, watched=0.2, repeats=2, pushes={"a": group})
    pushes = trial.prepare("a", settings, g1)
    episodes = trial.schedule_on(pushes, stage.motion, [stage.clip], 0.02, 0)
    curves = benchmarks.peers.play(watched, stage, pushes.bodies, episodes, lambda done: None)
    assert curves.fallen.shape == (14, 8 + 4) and len(frames) == 14
    start = np.round(episodes.plan.start * 50)
    np.testing.assert_array_equal(frames[0], start)
    np.testing.assert_array_equal(frames[13], np.minimum(start + 13, FRAMES - 1))
    away = curves.global_error - curves.global_error[:, episodes.rows.phase]
    weak, strong = (episodes.rows.cell == number for number in (0, 1))
    assert np.all(away[:4] == 0) and np.all(np.abs(away[:, weak]) < 0.02)  # the same until the onset
    # 900 N s on 36 kg: 25 m/s, and the body is 0.25 m away a hundredth of a second after the push, whatever holds it
    assert np.all(away[7, strong] > 0.25)


def test_results_are_of_a_random_body_where_there_are_several(benchmarks):
    kinds = [
        Cell(body, d, 0.08, x) for body in ("torso_link", "pelvis") for d in cells.HEADINGS for x in (8.0, 24.0, 48.0)
    ]
    found = benchmarks.peers.summary(example("punched", 24.0, kinds), SweepSettings())
    assert [row["body"] for row in found["thresholds"]] == ["torso_link", "random body", "pelvis"]
    assert found["thresholds"][1]["episodes"] == 2 * found["thresholds"][0]["episodes"] == 2 * 8 * 3 * 20
    assert [each["stood"] for each in found["levels"]] == [320] * 3 and found["quote"].startswith(
        "punched: random body"
    )
    half = found["thresholds"][1]["survive_50"]
    text = benchmarks.peers.table({"ppo, ours": {"punch": found}})
    assert f"| ppo, ours | {half['value']:.0f} N s [{half['low']:.0f}, {half['high']:.0f}] |" in text


def test_the_sweep_of_the_benchmark_is_that_of_the_table(benchmarks, g1):
    from mimicjax.evaluation.push import profile

    settings = profile.load(str(benchmarks.peers.SWEEP))
    kinds = cells.expand(settings, g1, "peer_sweep.yaml")
    assert (settings.warm_up, settings.watched) == (1.0, 2.0) and {kind.duration for kind in kinds} == {0.2}
    assert {kind.direction for kind in kinds} == set(cells.HEADINGS) and max(kind.level for kind in kinds) == 100.0
