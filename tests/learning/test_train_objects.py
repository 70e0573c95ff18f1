"""Training beside a ball and a box: resumes exactly, and every episode begins with the ball at its place."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import mujoco
import numpy as np

from mimicjax import build, config
from mimicjax.config.settings import RunSettings
from mimicjax.run import checkpoint

SMALL = {
    "num_envs": 4, "engine.name": "native", "learn.steps_per_iter": 8, "learn.actor_hidden": [16],
    "learn.critic_hidden": [16], "keep.test_episodes": 2, "env.episode_length": 0.4,
    "env.observations.target_steps": [1],
}  # fmt: skip


def leaves(tree) -> list[np.ndarray]:
    keys = lambda x: jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x  # noqa: E731
    return [np.asarray(keys(x)) for x in jax.tree.leaves(tree)]


def furnish(spec: mujoco.MjSpec) -> None:
    """A ball that falls from 1.5 m behind the robot, where it does not come to, onto a box."""
    ball = spec.worldbody.add_body(name="ball", pos=[-5.0, 0.0, 1.5])
    ball.add_freejoint()
    ball.add_geom(type=mujoco.mjtGeom.mjGEOM_SPHERE, size=[0.11, 0, 0], mass=0.43)
    box = spec.worldbody.add_body(name="box", pos=[-5.0, 0.0, 0.2])
    box.add_geom(type=mujoco.mjtGeom.mjGEOM_BOX, size=[0.2, 0.2, 0.2])


def test_two_and_two_iterations_are_four(tmp_path) -> None:
    settings = config.load(RunSettings, "deepmimic_g1", SMALL)
    world = build.world(settings, [furnish])
    assert (world.scene.layout.nq, world.scene.layout.nv) == (43, 41)
    training = build.training(world)
    whole, _ = training.chunk(training.place(training.first()), training.motion, jnp.int32(4))
    half, _ = training.chunk(training.place(training.first()), training.motion, jnp.int32(2))
    checkpoint.save(tmp_path / "kept", 2, half, training.facts)
    back, _ = checkpoint.restore(tmp_path / "kept", training.place(training.first()), training.facts)
    parts, _ = training.chunk(back, training.motion, jnp.int32(2))
    for a, b in zip(leaves(whole), leaves(parts), strict=True):
        np.testing.assert_array_equal(a, b)
    assert whole.env.physics.qpos.shape == (4, 43) and np.isfinite(whole.env.physics.qpos).all()
    # 32 steps, episodes of 12 at most: all have begun anew, and the ball has fallen since then as free bodies do
    age = np.asarray(whole.env.step)
    assert (age <= 12).all()
    substep = 1.0 / settings.engine.sim_freq
    fallen = [0.5 * 9.81 * substep**2 * n * (n + 1) for n in 4 * age]  # semi-implicit steps from rest
    free = np.asarray(fallen) < 0.95
    assert free.any()
    np.testing.assert_allclose(np.asarray(whole.env.physics.qpos)[free, 38], 1.5 - np.asarray(fallen)[free], atol=1e-4)
