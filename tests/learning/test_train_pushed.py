"""Training with pushes: resumes exactly, logs what they did, and leaves everything else as it is without them."""

from __future__ import annotations

import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import DT, STILL, assert_identical, scope_g1

from mimicjax import build, config, statistics
from mimicjax.config.push import PushSettings
from mimicjax.config.settings import EnvSettings, LearnSettings, ObservationSettings, RunSettings
from mimicjax.env import disturbances
from mimicjax.env import env as environment
from mimicjax.learn import actor_critic, gaussian
from mimicjax.learn.sockets import Spec
from mimicjax.run import checkpoint, rollout
from mimicjax.run.rollout import Actors
from mimicjax.types import RUNNING

PUSHED = str(Path(__file__).parents[2] / "benchmarks" / "pushed.yaml")  # nothing is drawn at a start, as in tests
SMALL = {
    "num_envs": 4, "engine.name": "native", "learn.steps_per_iter": 16, "learn.actor_hidden": [16],
    "learn.critic_hidden": [16], "keep.test_episodes": 2, "disturb.profiles.trunk.interval": [0.05, 0.3],
    "disturb.profiles.arms.interval": [0.05, 0.3], "disturb.profiles.jolt": {
        "velocity_magnitude": [0.1, 0.5], "interval": [0.1, 0.2], "duration": [0, 0],
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def trained():
    """World and training."""
    world = build.world(config.load(RunSettings, "deepmimic_g1_push", SMALL))
    return world, build.training(world)


def test_two_and_two_iterations_are_four(trained, tmp_path) -> None:
    world, training = trained
    whole, stats = training.chunk(training.place(training.first()), training.motion, jnp.int32(4))
    half, first = training.chunk(training.place(training.first()), training.motion, jnp.int32(2))
    checkpoint.save(tmp_path, 2, half, training.facts)
    back, _ = checkpoint.restore(tmp_path, training.place(training.first()), training.facts)
    parts, second = training.chunk(back, training.motion, jnp.int32(2))
    assert training.chunk._cache_size() == 1
    assert_identical(whole, parts)
    row, *halves = (statistics.values(x) for x in (stats, first, second))
    assert row["Push_Count"] == sum(half["Push_Count"] for half in halves) > 10
    assert row["Push_Force_Max"] == max(half["Push_Force_Max"] for half in halves) > 1
    assert float(stats["Push_Active"].count) == 4 * 16 * 4
    assert 0 < row["Push_Active"] < 1 and row["Push_Speed_Max"] > 0.01
    assert {"Push_Level_trunk", "Push_Level_arms", "Push_Body_torso_link"} <= set(row)
    assert "Push_Body_pelvis" not in row
    assert all(leaf.shape[0] == 4 for leaf in jax.tree.leaves(whole.env.push))


def test_tests_are_without_pushes(trained) -> None:
    """What a test traces is to the letter what it traces in a run that never had pushes; the critic alone is larger."""
    world, training = trained
    none = {"disturb.profiles": {"trunk": None, "arms": None}}
    same = {k: v for k, v in SMALL.items() if "disturb" not in k} | none
    unpushed = build.world(config.load(RunSettings, "deepmimic_g1_push", same))
    ours, theirs = build.spec(world), build.spec(unpushed)
    # wrenches, levels of three profiles, and whether the environment is pushed at all
    assert ours.blocks == {**theirs.blocks, "privileged": 6 * 16 + 3 + 1}
    assert (ours.actor, ours.critic, theirs.critic) == (("actor",), ("actor", "privileged"), ("actor",))
    agent = build.first_agent(unpushed, jax.random.key(0))
    texts = [str(jax.make_jaxpr(each.test)(agent, jax.random.key(7))) for each in (training, build.training(unpushed))]
    pushed, without = (re.sub("0x[0-9a-f]+", "", text) for text in texts)
    assert pushed == without


def test_without_profiles_nothing_is_there() -> None:
    none = {"disturb.profiles": {"trunk": None, "arms": None}}
    world = build.world(config.load(RunSettings, PUSHED, {"num_envs": 4, "engine.name": "native", **none}))
    keys = jax.random.split(jax.random.key(0), 4)
    state = jax.eval_shape(world.env.place, world.motion, keys, jnp.zeros(4, jnp.int32), jnp.zeros(4))[0]
    assert state.push == ()
    steps = [str(jax.make_jaxpr(env.after)(world.motion, state)) for env in (world.env, world.test_env)]
    assert steps[0] == steps[1]


def test_pushes_that_never_come_change_nothing(clips):
    """Random numbers of pushes are their own: with probability 0 all else is as without, bit for bit, resets too."""
    few = EnvSettings(observations=ObservationSettings(target_steps=[1]), episode_length=2 * DT)
    scope = scope_g1(few)
    never = disturbances.make(scope, {"p": PushSettings(force=[1.0, 2.0], probability=0.0)}, 4, observe=False)
    rollouts = []
    for disturb in (None, never):
        env = environment.make(scope, disturb)
        policy = gaussian.make(LearnSettings(actor_hidden=[8], critic_hidden=[8]), spec_of(env))

        @jax.jit
        def run(clips, env=env, policy=policy):
            agent = actor_critic.init(jax.random.key(1), LearnSettings(), spec_of(env), policy)
            keys = jax.random.split(jax.random.key(0), 4)
            state, obs = rollout.begin(env, STILL, clips, keys, *env.draw(clips, keys))
            actors = Actors(state, obs, policy.begin(keys))
            actors, rows, stats = rollout.collect(env, STILL, clips, policy, agent, actors, jnp.float32(1), 5)
            # whether an environment is pushed is a fact of its own, as are the statistics of pushes
            stats = {name: stat for name, stat in stats.items() if not name.startswith("Push_")}
            return actors._replace(env=actors.env._replace(push=())), rows._replace(pushed=()), stats

        rollouts.append(run(clips))
    assert (np.asarray(rollouts[0][1].done) != RUNNING).sum() >= 8
    assert_identical(rollouts[0], rollouts[1])


def spec_of(env: environment.Env) -> Spec:
    blocks = {name: sum(part.size for part in parts) for name, parts in {**env.actor, **env.critic}.items()}
    return Spec(blocks, tuple(env.actor), tuple(env.critic), 29)
