"""Robots with ball joints: MuJoCo and rotation matrices on a small one, MimicKit's values of its humanoid (B.7)."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest
import small
from conftest import perturbed, synthetic_clip

from mimicjax.config.settings import EnvSettings, ObservationSettings
from mimicjax.env import observations, rewards
from mimicjax.env.view import Scope, View
from mimicjax.motion import library
from mimicjax.robot import kinematics
from mimicjax.robot.load import load
from mimicjax.types import BALL, FIXED, HINGE

FRAMES = ("global", "heading")


class Measured:
    """A state of the small robot as MuJoCo tells it, in double precision."""

    def __init__(self, seed: int) -> None:
        robot, random = small.robot(), np.random.default_rng(seed)
        self.model = mujoco.MjModel.from_xml_path(str(robot.xml))
        data = mujoco.MjData(self.model)
        data.qpos[:] = random.normal(size=robot.nq)
        data.qpos[2] += 2.0
        hinges = self.model.jnt_qposadr[self.model.jnt_type == mujoco.mjtJoint.mjJNT_HINGE]
        data.qpos[hinges] = np.tanh(data.qpos[hinges])  # within a turn, as their ranges are
        data.qvel[:] = random.normal(size=robot.nv)
        mujoco.mj_normalizeQuat(self.model, data.qpos)
        mujoco.mj_forward(self.model, data)
        self.qpos, self.qvel = data.qpos.astype(np.float32), data.qvel.astype(np.float32)
        self.places, self.turns = data.xpos[1:].copy(), data.xmat[1:].reshape(-1, 3, 3).copy()
        velocity = np.zeros(6)
        mujoco.mj_objectVelocity(self.model, data, mujoco.mjtObj.mjOBJ_XBODY, 1, velocity, 0)
        self.spin, self.velocity = velocity[:3], velocity[3:]
        self.joint_velocity = data.qvel[6:].copy()
        self.joints = np.stack([self._joint(body) for body in range(2, self.model.nbody)])
        self.coordinates = np.concatenate([self._coordinates(data, joint) for joint in range(1, self.model.njnt)])
        ids = [self.model.body(name).id - 1 for name in ("head", "left_hand", "right_hand")]
        self.keys = self.places[ids] - self.places[0]
        x, y = self.turns[0][:2, 0]
        heading = np.arctan2(y, x)
        c, s = np.cos(heading), np.sin(heading)
        self.back = np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])  # takes the heading to zero

    def _joint(self, body: int) -> np.ndarray:
        """Rotation of a body against its place in its parent."""
        fixed = np.zeros(9)
        mujoco.mju_quat2Mat(fixed, self.model.body_quat[body])
        parent = self.turns[self.model.body_parentid[body] - 1]
        return (parent @ fixed.reshape(3, 3)).T @ self.turns[body - 1]

    def _coordinates(self, data: mujoco.MjData, joint: int) -> np.ndarray:
        """A hinge's angle, a ball's exponential map."""
        at = self.model.jnt_qposadr[joint]
        if self.model.jnt_type[joint] == mujoco.mjtJoint.mjJNT_HINGE:
            return data.qpos[at : at + 1]
        axis = np.zeros(3)
        mujoco.mju_quat2Vel(axis, data.qpos[at : at + 4], 1.0)
        return axis

    def pose(self):
        return kinematics.pose_of(small.robot(), jnp.asarray(self.qpos), jnp.asarray(self.qvel))


def six(turn: np.ndarray) -> np.ndarray:
    """First and third columns of rotation matrices [...,3,3]."""
    return np.concatenate([turn[..., 0], turn[..., 2]], axis=-1).reshape(-1)


def angle(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Angles between rotation matrices [...,3,3], rad."""
    trace = np.einsum("...ji,...ji->...", a, b)
    return np.arccos(np.clip((trace - 1) / 2, -1, 1))


@pytest.fixture(scope="module")
def robots() -> list[Measured]:
    """Robot, reference, and the clip one and two steps later."""
    return [Measured(seed) for seed in range(4)]


@pytest.fixture(scope="module")
def view(robots) -> View:
    own, its, *later = (robot.pose() for robot in robots)
    return View.of(own, its)._replace(targets=jax.tree.map(lambda *x: jnp.stack(x), *later))


def scope_of(frame: str, joints: str = "rotation", *terms: str) -> Scope:
    names = list(terms or ("character", "target"))
    return small.scope(EnvSettings(observations=ObservationSettings(names, frame, True, joints, [1, 2])))


def test_the_robot_has_every_kind_of_joint():
    assert set(small.robot().joint_kinds) == {HINGE, BALL, FIXED}
    assert small.robot().body_names == tuple(
        mujoco.MjModel.from_xml_path(str(small.robot().xml)).body(body).name for body in range(1, 10)
    )


@pytest.mark.parametrize("joints", ["rotation", "angle"])
@pytest.mark.parametrize("frame", FRAMES)
def test_what_is_seen_of_the_robot(frame, joints, robots, view):
    own = robots[0]
    back = own.back if frame == "heading" else np.eye(3)
    seen = jax.jit(observations.make(scope_of(frame, joints, "character")).see)(view)
    want = [
        own.places[0, 2:], six(back @ own.turns[0]), back @ own.velocity, back @ own.spin,
        six(own.joints) if joints == "rotation" else own.coordinates, own.joint_velocity, (own.keys @ back.T).reshape(-1),
    ]  # fmt: skip
    np.testing.assert_allclose(seen, np.concatenate(want), atol=2e-5)


@pytest.mark.parametrize("joints", ["rotation", "angle"])
@pytest.mark.parametrize("frame", FRAMES)
def test_what_is_seen_of_the_clip(frame, joints, robots, view):
    own, _, *later = robots
    back, origin = (later[0].back, later[0].places[0]) if frame == "heading" else (np.eye(3), own.places[0])
    seen = jax.jit(observations.make(scope_of(frame, joints, "target")).see)(view)
    want = []
    for pose in later:
        place = back @ (pose.places[0] - origin)
        coordinates = six(pose.joints) if joints == "rotation" else pose.coordinates
        keys = (pose.keys @ back.T).reshape(-1)
        want += [place[:2], pose.places[0, 2:], six(back @ pose.turns[0]), coordinates, keys]
    np.testing.assert_allclose(seen, np.concatenate(want), atol=2e-5)


@pytest.mark.parametrize("frame", FRAMES)
def test_errors_and_reward(frame, robots, view):
    """Joint 4 and 6 are the shoulders, which count twice; the waist counts half, for each of their degrees of freedom."""
    own, its, *_ = robots
    joint_weights = np.asarray([1, 1, 0.5, 1, 2, 1, 2, 1])
    dof_weights = np.asarray([1, 1, 0.5, 2, 2, 2, 1, 2, 2, 2, 1])
    mine, theirs = (own.back, its.back) if frame == "heading" else (np.eye(3), np.eye(3))
    height, spread = (its.places[0] - own.places[0])[2] ** 2, np.sum((its.places[0] - own.places[0]) ** 2)
    turn = angle(theirs @ its.turns[0], mine @ own.turns[0])
    linear, spin = theirs @ its.velocity - mine @ own.velocity, theirs @ its.spin - mine @ own.spin
    want = {
        "pose": np.sum(joint_weights * angle(own.joints, its.joints) ** 2),
        "vel": np.sum(dof_weights * (own.joint_velocity - its.joint_velocity) ** 2),
        "root_pose": (height if frame == "heading" else spread) + 0.1 * turn**2,
        "root_vel": np.sum(linear**2) + 0.1 * np.sum(spin**2),
        "key_pos": np.sum((its.keys @ theirs.T - own.keys @ mine.T) ** 2),
    }
    scope = scope_of(frame)
    for name, value in want.items():
        np.testing.assert_allclose(rewards.ERRORS[name](scope)(view), value, rtol=2e-5, err_msg=name)
    scales = {name: term.scale for name, term in scope.settings.rewards.items()}
    weights = {name: term.weight for name, term in scope.settings.rewards.items()}
    total = sum(weights[name] * np.exp(-scales[name] * value) for name, value in want.items())
    np.testing.assert_allclose(rewards.make(scope)(view)[0], total, rtol=1e-4)


SUM = 1e-3  # absolute, of checksums


def test_mimickits_humanoid(golden, checksums):
    humanoid = load("humanoid")
    clips = library.pack(humanoid, [synthetic_clip(28)])
    query = jax.jit(lambda time: library.query(humanoid, clips, 0, time))
    earlier = query(jnp.float32(0.26))
    golden(earlier.dof_vel[:3], (0.076629, -0.863676, -1.141046))
    golden(checksums(earlier.dof_vel), (-8.62095, 1.98818, 31.57695), atol=SUM)
    golden(checksums(jnp.roll(earlier.joint_quat, -1, axis=-1)), (13.59034, 0.05355, 16.57901), atol=SUM)
    golden(earlier.dof_pos[:6], (0.298366, 0.271366, 0.207638, 0.115831, 0.008315, -0.100326))
    reference, *targets = (query(jnp.float32(0.313 + step / 30)) for step in range(4))
    pose = jax.jit(lambda pose: perturbed(humanoid, pose))(reference)
    golden(pose.body_pos[humanoid.body_names.index("head")], (0.406507, -0.045215, 1.213035))
    scope = Scope(humanoid, EnvSettings(), small.alone().layout, 1 / 30)  # of the layout, terms ask the ground alone
    view = View.of(pose, reference)._replace(targets=jax.tree.map(lambda *x: jnp.stack(x), *targets))
    seen = jax.jit(observations.make(scope).see)(view)
    assert seen.shape == (464,)
    golden(checksums(seen), (112.65060, -23.73988, 208.24040), atol=SUM)
    golden(seen[13:19], (0.963201, 0.171909, -0.20662, 0.245767, -0.252052, 0.935985), atol=5e-5)
    golden(seen[125:128], (0.106107, -0.107004, 0.426805), atol=5e-5)
    reward, terms = jax.jit(rewards.make(scope))(view)
    golden(reward, 0.884390)
    names = ("pose", "vel", "root_pose", "root_vel", "key_pos")
    golden([terms[name] for name in names], (0.999052, 0.999075, 0.955759, 0.862431, 0.368997))
