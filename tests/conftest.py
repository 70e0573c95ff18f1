"""What tests share: JAX on the CPU, the G1, and the clip and states that the golden values were taken from."""

from __future__ import annotations

import functools
import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")  # before jax is imported; tests marked gpu are run with it set

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mimicjax import rotation
from mimicjax.config.settings import EngineSettings, EnvSettings, LearnSettings
from mimicjax.engine import scene
from mimicjax.engine import state as engine_state
from mimicjax.engine.scene import Scene
from mimicjax.env.view import Scope
from mimicjax.learn import gaussian
from mimicjax.learn.sockets import Gaussian, Minibatch
from mimicjax.motion import library
from mimicjax.robot import kinematics
from mimicjax.robot.load import load
from mimicjax.types import CLAMP, WRAP, Clip, Clips, Engine, Pose, Robot

DT = 1 / 30  # s, a control step


def exponential(e: np.ndarray) -> np.ndarray:
    """Quaternions [...,4] of exponential maps [...,3], in double precision."""
    angle = np.linalg.norm(e, axis=-1, keepdims=True)
    axis = e / np.where(angle > 0, angle, 1.0)
    return np.concatenate([np.cos(angle / 2), axis * np.sin(angle / 2)], axis=-1)


def synthetic_clip(dofs: int, loop: int = WRAP, frames: int = 31) -> Clip:
    """The clip S(D) of the golden values: 30 frames a second, one second, every degree of freedom a sine."""
    t = np.arange(frames) / 30.0
    w = 2 * np.pi * t
    root = np.stack([0.8 * t, 0.1 * np.sin(w), 0.78 + 0.02 * np.cos(2 * w)], axis=-1)
    turn = np.stack([0.1 * np.sin(w), 0.05 * np.cos(w), 0.3 * np.sin(w)], axis=-1)
    angles = 0.3 * np.sin(w[:, None] + 0.37 * np.arange(dofs))
    return Clip("synthetic", "", (), 30.0, loop, root, exponential(turn), angles)


def perturbed(robot: Robot, pose: Pose) -> Pose:
    """The state X(t) of the golden values, from the reference at t."""
    k = jnp.arange(robot.num_dofs)
    root_pos = pose.root_pos + jnp.asarray([0.05, -0.03, 0.02])
    root_quat = rotation.multiply(rotation.exp(jnp.asarray([0.1, 0.05, 0.2])), pose.root_quat)
    dof_pos = pose.dof_pos + 0.02 * jnp.sin(k)
    joint_quat = kinematics.dof_quats(robot, dof_pos)
    return Pose(
        root_pos, root_quat, pose.root_vel + jnp.asarray([0.1, 0.2, 0.3]),
        pose.root_ang_vel - jnp.asarray([0.2, 0.0, 0.2]), joint_quat, dof_pos, pose.dof_vel + 0.1 * jnp.cos(k),
        *kinematics.forward(robot, root_pos, root_quat, joint_quat),
    )  # fmt: skip


@functools.cache
def robot_g1() -> Robot:
    return load("g1")


@functools.cache
def scene_g1() -> Scene:
    """The G1 alone on a plane."""
    return scene.build(robot_g1(), EngineSettings())


def scope_g1(settings: EnvSettings | None = None) -> Scope:
    """What terms are made for: the G1 alone on a plane, 30 control steps a second."""
    return Scope(robot_g1(), settings or EnvSettings(), scene_g1().layout, DT)


# physics that stands still wherever it is put
STILL = Engine("still", engine_state.init, lambda physics, ctrl, wrench, variant: physics, engine_state.write)


def compiled_once(function):
    """The function compiled, which fails when it is traced a second time."""
    chex.clear_trace_counter()
    return jax.jit(chex.assert_max_traces(function, n=1))


def arrays(tree) -> list[np.ndarray]:
    """The leaves of a tree on the host; of random keys their data."""
    data = lambda x: jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x  # noqa: E731
    return [np.asarray(data(leaf)) for leaf in jax.tree.leaves(tree)]


def assert_identical(got, want) -> None:
    """Two trees are alike to the bit, random keys too."""
    for a, b in zip(arrays(got), arrays(want), strict=True):
        np.testing.assert_array_equal(a, b)


@functools.cache
def packed_g1() -> Clips:
    return library.pack(robot_g1(), [synthetic_clip(29, WRAP), synthetic_clip(29, CLAMP)])


def minibatch_of(
    mean, log_std=0.0, action=None, old_log_prob=None, advantage=0.0, sampled=None, axis: str | None = None, **settings
) -> Minibatch:
    """What losses look at, of a policy with means [n,A] and log standard deviations [A]; of the rest what a test needs.

    action: the means unless said otherwise. old_log_prob: as now. sampled: all of them. settings: of LearnSettings.
    """
    mean = jnp.asarray(mean)
    distribution = Gaussian(mean, jnp.broadcast_to(jnp.asarray(log_std, jnp.float32), mean.shape[-1:]))
    action = mean if action is None else jnp.asarray(action)
    log_prob = gaussian.log_prob(distribution, action)
    count = len(mean)
    return Minibatch(
        settings=LearnSettings(**settings), policy=None, agent=None, blocks={}, memory=(),  # pyright: ignore
        pushed=jnp.zeros(count), action=action,
        old_log_prob=log_prob if old_log_prob is None else jnp.asarray(old_log_prob),
        advantage=jnp.broadcast_to(jnp.asarray(advantage, jnp.float32), (count,)),
        sampled=jnp.ones(count) if sampled is None else jnp.asarray(sampled, jnp.float32),
        distribution=distribution, log_prob=log_prob, keys=jax.random.split(jax.random.key(0), count), axis=axis,
    )  # fmt: skip


@pytest.fixture(scope="session")
def g1() -> Robot:
    return robot_g1()


@pytest.fixture(scope="session")
def clips() -> Clips:
    """S(29) on the G1: clip 0 loops, clip 1 does not."""
    return packed_g1()


@pytest.fixture(scope="session")
def reference(g1, clips) -> Pose:
    """The clip at 0.313 s."""
    return jax.jit(lambda c, t: library.query(g1, c, 0, t))(clips, jnp.float32(0.313))


@pytest.fixture(scope="session")
def simulated(g1, reference) -> Pose:
    """X(0.313)."""
    return jax.jit(lambda pose: perturbed(g1, pose))(reference)


@pytest.fixture(scope="session")
def golden():
    """The comparison used for golden values, which have six decimals: golden(got, want, rtol=1e-4)."""

    def compare(got, want, rtol=1e-4, atol=2e-6):
        np.testing.assert_allclose(np.asarray(got), np.asarray(want), rtol=rtol, atol=atol)

    return compare


@pytest.fixture(scope="session")
def checksums():
    """S1, S2 and A of a vector, as the golden values have them."""

    def sums(x) -> tuple[float, float, float]:
        x = np.asarray(x, np.float64).reshape(-1)
        return x.sum(), (x * np.sin(np.arange(len(x)) + 1)).sum(), np.abs(x).sum()

    return sums
