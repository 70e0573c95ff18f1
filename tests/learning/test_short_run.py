"""A short real run improves, and a large one fits: what the tuned presets and MimicKit's own promise."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from mimicjax import build, config
from mimicjax.config.settings import RunSettings
from mimicjax.run import iteration

MOST = 1.2e9  # bytes of 4,096 environments and 32 steps


def test_forty_iterations_make_test_episodes_longer():
    """The preset on the shipped walk: 11 steps at first, 23 to 27 after 0.16 M samples (two seeds); bodies come nearer."""
    training = build.training(build.world(config.load(RunSettings, "deepmimic_g1", {"engine.name": "native"})))
    state = training.place(training.first())
    key = jax.random.key(1)
    before = jax.device_get(training.test(state.agent, key))
    state, stats = training.chunk(state, training.motion, jnp.int32(40))
    after = jax.device_get(training.test(state.agent, key))
    assert np.mean(after.length) > 1.6 * np.mean(before.length)
    steps = lambda test: np.sum(test.errors["Body_Pos_Err"] * test.length) / np.sum(test.length)  # noqa: E731
    assert steps(after) < 1.1 * steps(before)  # of longer episodes, whose later steps are farther off
    assert np.mean(after.total) > 1.6 * np.mean(before.total)


def test_mimickits_own_size_fits():
    """All that the compiler plans for one program of rollout and updates, less what it reuses."""
    settings = config.load(RunSettings, "mimickit/deepmimic_g1", {"engine.name": "native", "num_envs": 4096})
    world = build.world(settings)
    parts = build.parts(world)
    state = jax.eval_shape(lambda: build.first_state(world, parts))
    chunk = jax.jit(iteration.chunk(parts), donate_argnums=0)
    size = chunk.lower(state, world.motion, jnp.int32(1)).compile().memory_analysis()
    used = size.temp_size_in_bytes + size.argument_size_in_bytes + size.output_size_in_bytes - size.alias_size_in_bytes
    assert 0.45e9 < used < MOST  # the observations alone are 849 x 4 x 32 x 4096 bytes
    stated = sum(parts.bytes_per_env.values()) * 4096
    assert used < stated < 2 * used  # it counts the samples' copy, of which the compiler makes less
