"""The noise that the humanoid's preset begins with explores, and does not knock it over: without learning, physics tells."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from mimicjax import build, config
from mimicjax.config.settings import RunSettings
from mimicjax.run import rollout
from mimicjax.types import RUNNING

ENVS, STEPS = 64, 100


def test_noise_leaves_the_humanoid_standing() -> None:
    """Episodes of untrained offsets last three quarters as long with the first noise as with none.

    With the G1's noise, on joints ten times as stiff, they last half as long, and it does not learn to walk. This is no
    rule for other robots: the Go2's last 0.63 times as long, and it learns fastest of all.
    """
    world = build.world(config.load(RunSettings, "deepmimic_humanoid", {"num_envs": ENVS, "engine.name": "native"}))
    engine, env, motion = build.engine(world, ENVS), world.env, world.motion

    @jax.jit
    def mean_length(std: jax.Array) -> jax.Array:
        keys = jax.random.split(jax.random.key(0), ENVS)
        state, _ = rollout.begin(env, engine, motion, keys, *env.draw(motion, keys))

        def advance(state, key):
            action = std * jax.random.normal(key, (ENVS, world.robot.num_dofs))
            state, step = rollout.control_step(env, engine, motion, state, action)
            ended = step.done != RUNNING
            return state, (jnp.sum(jnp.where(ended, step.episode_length, 0.0)), jnp.sum(ended))

        _, (lengths, episodes) = jax.lax.scan(advance, state, jax.random.split(jax.random.key(1), STEPS))
        return jnp.sum(lengths) / jnp.sum(episodes)

    still, noisy = float(mean_length(jnp.float32(0.0))), float(mean_length(jnp.float32(world.settings.learn.std.begin)))
    assert noisy > 0.75 * still > 10.0, (noisy, still)
