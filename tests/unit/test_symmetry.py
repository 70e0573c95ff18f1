"""A robot in a mirror: observations and physics of the mirrored state, and a policy that does the same there."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest
from conftest import scene_g1, scope_g1

from mimicjax import build, config
from mimicjax.config.push import PushSettings
from mimicjax.config.settings import EnvSettings, ObservationSettings, RunSettings
from mimicjax.engine import scene
from mimicjax.env import disturbances, observations
from mimicjax.env.view import View
from mimicjax.errors import UserError
from mimicjax.learn import acting, networks, normalizers
from mimicjax.robot import kinematics, symmetry

OBSERVED = ObservationSettings(terms=["character", "target"], target_steps=[1, 2])


def reflected(reflection, vector):
    return vector[..., reflection.index] * reflection.sign


def states(robot, count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Random (qpos, qvel)."""
    random = np.random.default_rng(0)
    turns = random.normal(size=(count, 4))
    turns /= np.linalg.norm(turns, axis=-1, keepdims=True)
    places, angles = random.normal(size=(count, 3)), random.normal(0.0, 0.3, (count, robot.num_dofs))
    return list(zip(np.hstack([places, turns, angles]), random.normal(size=(count, robot.nv)), strict=True))


def mirrored(robot, qpos, qvel):
    """MuJoCo's state in the mirror: written down for the root, by hinge axes for the joints."""
    joints = symmetry.dofs(robot)
    root = np.asarray([1, -1, 1, 1, -1, 1, -1]), np.asarray([1, -1, 1, -1, 1, -1])
    return (
        np.concatenate([qpos[:7] * root[0], reflected(joints, qpos[7:])]),
        np.concatenate([qvel[:6] * root[1], reflected(joints, qvel[6:])]),
    )


@pytest.mark.parametrize("frame", ["global", "heading", "robot"])
@pytest.mark.parametrize("joints", ["angle", "rotation"])
def test_observations_of_the_mirrored_state(g1, frame, joints):
    terms = ["character", "past", "target"]
    settings = dataclasses.replace(OBSERVED, terms=terms, past_steps=1, frame=frame, joints=joints)
    observe = observations.make(scope_g1(EnvSettings(observations=settings)))
    reflection = observations.reflection(g1, observe.parts)

    @jax.jit
    def seen(qpos, qvel):
        poses = jax.vmap(lambda q, v: kinematics.pose_of(g1, q, v))(qpos, qvel)
        first, second, targets = (jax.tree.map(lambda x, k=k: x[k], poses) for k in (0, 1, slice(2, 4)))
        return observe.see(View.of(first, second)._replace(targets=targets, history=targets))

    both = [
        np.asarray(seen(*(np.stack(part).astype(np.float32) for part in zip(*some, strict=True))))
        for some in (states(g1, 4), [mirrored(g1, *state) for state in states(g1, 4)])
    ]
    np.testing.assert_allclose(reflected(reflection, both[0]), both[1], atol=3e-5)
    np.testing.assert_array_equal(reflected(reflection, reflected(reflection, both[0])), both[0])
    assert np.abs(both[0] - both[1]).max() > 1


def test_physics_of_the_mirrored_state(g1):
    """A fall of 0.04 s with joint velocities of 1 rad/s: the model's two sides are alike to 1e-4 rad."""
    model = mujoco.MjModel.from_xml_path(str(g1.xml))
    qpos, qvel = states(g1, 1)[0]
    qpos[2] = 3.0

    def after(qpos, qvel):
        data = mujoco.MjData(model)
        data.qpos[:], data.qvel[:] = qpos, qvel
        for _ in range(20):
            mujoco.mj_step(model, data)
        return data.qpos.copy(), data.qvel.copy()

    want, got = mirrored(g1, *after(qpos, qvel)), after(*mirrored(g1, qpos, qvel))
    np.testing.assert_allclose(got[0], want[0], atol=1e-4)
    np.testing.assert_allclose(got[1], want[1], atol=2e-3)


def pushes(layout):
    """What the critic sees of two profiles."""
    bodies = ["left_elbow_link"]
    profiles = {name: PushSettings(bodies=bodies, velocity=[1.0, 1.0, 0.0]) for name in ("p", "q")}
    disturb = disturbances.make(scope_g1()._replace(layout=layout), profiles, 1, observe=True)
    assert disturb is not None and disturb.term is not None
    return disturb.term


def test_wrenches_in_the_mirror(g1):
    """A push forward and to the left at the left elbow is one forward and to the right at the right elbow."""
    slots = [g1.body_names[body] for body in g1.wrench_bodies]
    left, right = slots.index("left_elbow_link"), slots.index("right_elbow_link")
    wrench, want = np.zeros((2, len(slots), 6), np.float32)
    wrench[left], want[right] = [1, 2, 3, 4, 5, 6], [1, -2, 3, -4, 5, -6]
    rest = np.asarray([0.5, 0.25, 1.0])  # two levels, and that there are pushes
    mirror = observations.reflection(g1, pushes(scene_g1().layout).parts)
    image = reflected(mirror, np.concatenate([wrench.reshape(-1), rest]))
    np.testing.assert_array_equal(image, np.concatenate([want.reshape(-1), rest]))


@pytest.fixture(scope="module")
def pushed():
    given = {"engine.name": "native", "num_envs": 2, "learn.symmetry": True}
    world = build.world(config.load(RunSettings, "deepmimic_g1_push", given))
    return world, build.first_agent(world, jax.random.key(0))


def test_the_policy_does_the_same_in_the_mirror(pushed):
    """With normalisers that have seen more of one side than of the other."""
    world, agent = pushed
    policy, spec = build.policy(world), build.spec(world)
    mirror = spec.mirror
    assert mirror is not None and spec.blocks.keys() == mirror.blocks.keys() == {"actor", "privileged"}
    keys = jax.random.split(jax.random.key(1), len(spec.blocks))
    obs = {
        name: 1 + 2 * jax.random.normal(key, (5, size))
        for key, (name, size) in zip(keys, spec.blocks.items(), strict=True)
    }
    norm = {name: normalizers.update(agent.norm[name], block, jnp.asarray(True)) for name, block in obs.items()}
    norm = {name: normalizers.symmetric(moments, mirror.blocks[name]) for name, moments in norm.items()}
    agent = agent._replace(actor=jax.tree.map(lambda x: 3 * x, agent.actor), norm=norm)
    image = {name: networks.reflect(mirror.blocks[name], block) for name, block in obs.items()}
    action, other = (acting.mode(policy, agent, each, ()) for each in (obs, image))
    np.testing.assert_allclose(networks.reflect(mirror.action, action), other, atol=1e-5)
    assert np.abs(action - other).max() > 1e-3
    value, same = (acting.value(policy, agent, each, ()) for each in (obs, image))
    np.testing.assert_allclose(value, same, rtol=1e-5, atol=1e-5)


def test_what_has_no_mirror_image(g1):
    with pytest.raises(UserError, match="phase"):
        settings = EnvSettings(observations=dataclasses.replace(OBSERVED, terms=["character", "phase"]))
        observations.reflection(g1, observations.make(scope_g1(settings)).parts)
    one_armed = dataclasses.replace(g1, body_names=tuple(n.replace("left_elbow", "elbow") for n in g1.body_names))
    with pytest.raises(UserError, match="right_elbow_link has no partner left_elbow_link"):
        symmetry.bodies(one_armed)
    bent = np.array(g1.joint_axis)
    bent[g1.joint_names.index("left_knee_joint")] = [0.6, 0.8, 0.0]
    with pytest.raises(UserError, match="knee_joint and (left|right)_knee_joint are not mirror images"):
        symmetry.dofs(dataclasses.replace(g1, joint_axis=bent))
    lone = scene.with_wrench_bodies(scene_g1(), [g1.body_names.index("left_elbow_link")]).layout
    with pytest.raises(UserError, match="left_elbow_link is among the .*, right_elbow_link is not"):
        observations.reflection(g1, pushes(lone).parts)
