"""Training with pushes: resumes exactly, logs what they did, and leaves everything else as it is without them."""

from __future__ import annotations

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import scene_g1

from mimicjax import build, config
from mimicjax.config.push import PushSettings
from mimicjax.config.settings import EnvSettings, ObservationSettings, RunSettings
from mimicjax.engine import state as engine_state
from mimicjax.env import disturbances
from mimicjax.env import env as environment
from mimicjax.learn import actor_critic
from mimicjax.run import checkpoint, push_log, rollout
from mimicjax.types import RUNNING, Engine

SMALL = {
    "num_envs": 4, "engine.name": "native", "learn.steps_per_iter": 16, "learn.actor_hidden": [16],
    "learn.critic_hidden": [16], "keep.test_episodes": 2, "disturb.profiles.trunk.interval": [0.05, 0.3],
    "disturb.profiles.arms.interval": [0.05, 0.3], "disturb.profiles.jolt": {
        "velocity_magnitude": [0.1, 0.5], "interval": [0.1, 0.2], "duration": [0, 0],
    },
}  # fmt: skip


def leaves(tree) -> list[np.ndarray]:
    keys = lambda x: jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x  # noqa: E731
    return [np.asarray(keys(x)) for x in jax.tree.leaves(tree)]


@pytest.fixture(scope="module")
def made():
    world = build.world(config.load(RunSettings, "deepmimic_g1_push", SMALL))
    return world, build.training(world)


def test_two_and_two_iterations_are_four(made, tmp_path) -> None:
    world, training = made
    whole, stats = training.chunk(training.place(training.first()), training.motion, jnp.int32(4))
    half, first = training.chunk(training.place(training.first()), training.motion, jnp.int32(2))
    checkpoint.save(tmp_path, 2, half, training.facts)
    back, _ = checkpoint.restore(tmp_path, training.place(training.first()), training.facts)
    parts, second = training.chunk(back, training.motion, jnp.int32(2))
    assert training.chunk._cache_size() == 1
    for a, b in zip(leaves(whole), leaves(parts), strict=True):
        np.testing.assert_array_equal(a, b)
    onsets = [float(x["push_onset_sum"]) for x in (stats, first, second)]
    assert onsets[0] == onsets[1] + onsets[2] > 10
    assert float(stats["push_force_max"]) == max(float(x["push_force_max"]) for x in (first, second)) > 1
    row = push_log.columns({k: float(v) for k, v in stats.items()}, 4 * 16 * 4)
    assert 0 < row["Push_Active"] < 1 and row["Push_Count"] == onsets[0] and row["Push_Speed_Max"] > 0.01
    assert {"Push_Level_trunk", "Push_Level_arms", "Push_Body_torso_link"} <= set(row)
    assert "Push_Body_pelvis" not in row
    assert all(leaf.shape[0] == 4 for leaf in jax.tree.leaves(whole.env.push))


def test_tests_are_without_pushes(made) -> None:
    """What a test traces is to the letter what it traces in a run that never had pushes; the critic alone is larger."""
    world, training = made
    none = {"disturb.profiles": {"trunk": None, "arms": None}}
    same = {k: v for k, v in SMALL.items() if "disturb" not in k} | none
    unpushed = build.world(config.load(RunSettings, "deepmimic_g1_push", same))
    assert build.sizes(world)["critic"] == build.sizes(unpushed)["critic"] + 6 * 16 + 2 + 1 + 1
    assert build.sizes(world)["actor"] == build.sizes(unpushed)["actor"]
    width = build.sizes(unpushed)
    agent = actor_critic.init(jax.random.key(0), unpushed.settings.learn, width["actor"], width["critic"], 29)
    texts = [str(jax.make_jaxpr(each.test)(agent, jax.random.key(7))) for each in (training, build.training(unpushed))]
    pushed, without = (re.sub("0x[0-9a-f]+", "", text) for text in texts)
    assert pushed == without


def test_without_profiles_nothing_is_there() -> None:
    none = {"disturb.profiles": {"trunk": None, "arms": None}}
    world = build.world(config.load(RunSettings, "deepmimic_g1_push", {"num_envs": 4, "engine.name": "native", **none}))
    assert world.env is world.test_env
    keys = jax.random.split(jax.random.key(0), 4)
    state = jax.eval_shape(world.env.place, world.motion, keys, jnp.zeros(4, jnp.int32), jnp.zeros(4))[0]
    assert state.push == ()


def test_pushes_that_never_come_change_nothing(g1, clips):
    """Random numbers of pushes are their own: with probability 0 all else is as without, bit for bit, resets too."""
    engine = Engine("identity", engine_state.init, lambda physics, ctrl, wrench, variant: physics, engine_state.write)
    few = EnvSettings(observations=ObservationSettings(target_steps=[1]), episode_length=2 / 30)
    layout, profiles = scene_g1().layout, {"p": PushSettings(force=[1.0, 2.0], probability=0.0)}
    never = disturbances.make(g1, layout, profiles, 1 / 30, 4, observe=False)
    found = []

    def act(obs, keys):
        return jax.vmap(lambda key: jax.random.normal(key, (29,)))(keys), jnp.zeros(4), jnp.ones(4, bool)

    for disturb in (None, never):
        env = environment.make(g1, layout, few, 30, disturb)

        @jax.jit
        def run(clips, env=env):
            keys = jax.random.split(jax.random.key(0), 4)
            state, obs = rollout.begin(env, engine, clips, keys, *env.draw(clips, keys))
            state, obs, rows, _ = rollout.collect(env, engine, clips, act, state, obs, 5)
            # whether an environment is pushed is a fact of its own
            obs, rows = {**obs, "pushed": None}, rows._replace(obs={**rows.obs, "pushed": None})
            return state._replace(push=(), key=jax.random.key_data(state.key)), obs, rows

        found.append(run(clips))
    assert (np.asarray(found[0][2].done) != RUNNING).sum() >= 8
    for a, b in zip(jax.tree.leaves(found[0]), jax.tree.leaves(found[1]), strict=True):
        np.testing.assert_array_equal(a, b)
