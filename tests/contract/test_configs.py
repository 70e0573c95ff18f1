"""Every shipped config builds, resets, steps, stays finite, and compiles its training program once."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mimicjax import build, config
from mimicjax.config.settings import RunSettings

SMALL = {
    "num_envs": 4, "engine.name": "native", "learn.steps_per_iter": 4, "learn.actor_hidden": [16],
    "learn.critic_hidden": [16], "learn.disc.hidden": [16], "keep.test_episodes": 2,
}  # fmt: skip
NAMES = config.available()


def test_presets_are_there() -> None:
    assert {
        "deepmimic_g1",
        "add_g1",
        "deepmimic_g1_push",
        "add_g1_push",
        "mimickit/deepmimic_g1",
        "mimickit/add_g1",
    } <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_config_trains(name: str) -> None:
    world = build.world(config.load(RunSettings, name, SMALL))
    training = build.training(world)
    state = training.place(training.first())
    before = jax.device_get(state.agent.actor)
    for n in (1, 2):
        state, stats = training.chunk(state, training.motion, jnp.int32(n))
        assert {k: v for k, v in stats.items() if not np.isfinite(v)} == {}
    assert training.chunk._cache_size() == 1
    assert int(state.iteration) == 3
    changed = jax.tree.map(lambda a, b: not np.array_equal(a, b), before, jax.device_get(state.agent.actor))
    assert any(jax.tree.leaves(changed))


def test_mimickit_presets_are_mimickits() -> None:
    """Section 4.11 of the reference: sizes, rates and weights of deepmimic_g1_ppo and add_g1."""
    ppo = config.load(RunSettings, "mimickit/deepmimic_g1")
    assert (ppo.num_envs, ppo.learn.steps_per_iter, ppo.learn.actor_hidden) == (4096, 32, [1024, 512])
    assert (ppo.learn.actor.type, ppo.learn.actor.learning_rate, ppo.learn.actor.epochs) == ("SGD", 1e-4, 5)
    assert (ppo.learn.critic.learning_rate, ppo.learn.critic.epochs, ppo.learn.critic.batch_size) == (1e-4, 2, 2)
    assert (ppo.learn.std.mode, ppo.learn.std.begin, ppo.env.terminations.pose_distance) == ("fixed", 0.05, 1.0)
    assert build.sizes(build.world(config.load(RunSettings, "mimickit/deepmimic_g1", SMALL))) == {
        "actor": 849, "critic": 849, "disc": 317,
    }  # fmt: skip
    add = config.load(RunSettings, "mimickit/add_g1")
    disc = add.learn.disc
    assert (add.learn.task_reward_weight, add.learn.disc_reward_weight) == (0.0, 1.0)
    assert (disc.optimizer.learning_rate, disc.optimizer.weight_decay, disc.grad_penalty) == (2.5e-4, 1e-4, 2.0)
    assert (disc.buffer_size, disc.replay_samples, disc.logit_reg, disc.reward_scale) == (200_000, 1000, 0.01, 2.0)
