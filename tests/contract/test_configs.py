"""Every shipped config builds, resets, steps, stays finite, and compiles its training program once."""

from __future__ import annotations

import dataclasses
import importlib.util
from pathlib import Path

import chex
import jax
import jax.numpy as jnp
import numpy as np
import priors
import pytest

from mimicjax import build, config, statistics
from mimicjax.config.settings import RunSettings
from mimicjax.learn import score
from mimicjax.run import checkpoint, iteration, loop
from mimicjax.statistics import Largest, Mean
from mimicjax.types import TrainState
from mimicjax.world import World

SMALL = {
    "num_envs": 4, "engine.name": "native", "learn.steps_per_iter": 4, "learn.actor_hidden": [16],
    "learn.critic_hidden": [16], "learn.disc.hidden": [16], "keep.test_episodes": 2,
}  # fmt: skip
# what drives a skill policy needs the run of one: tests/commands/test_skill.py
NAMES = [name for name in config.available() if config.load(RunSettings, name).learn.algorithm != "HRL"]
# one method and robot each; what else there is differs in sizes and tasks, and is trained in the slow run
QUICK = {
    "add_g1", "add_humanoid", "amp_g1", "amp_reach_g1", "ase_g1", "ase_g1_push", "awr_g1", "deepmimic_g1", "deepmimic_g1_getup",
    "deepmimic_g1_push", "deepmimic_go2", "deepmimic_humanoid", "deepmimic_k1", "lcp_g1", "smp_g1", "mimickit/add_g1",
    "mimickit/ase_humanoid", "mimickit/deepmimic_g1", "mimickit/deepmimic_g1_cpu",
}  # fmt: skip
NEEDS_WARP = pytest.mark.skipif(importlib.util.find_spec("warp") is None, reason="Warp is not installed")
RARE = ("Train_", "Push_", "Getup_")  # of episodes that ended, of pushes and of falls: in few steps there may be none


def test_presets_are_there() -> None:
    assert {
        "deepmimic_g1",
        "add_g1",
        "deepmimic_g1_push",
        "add_g1_push",
        "mimickit/deepmimic_g1",
        "mimickit/add_g1",
    } <= set(NAMES)


def parameters(state) -> dict[str, list[np.ndarray]]:
    """What training must move: actor, critic, every reward model, and the normalisers of what they see."""
    agent = jax.device_get(state.agent)
    trees = {"actor": agent.actor, "critic": agent.critic}
    trees |= {f"normaliser of {name}": norm.mean for name, norm in agent.norm.items()}
    for number, model in enumerate(jax.device_get(state.reward_models)):
        trees |= {f"normaliser of reward model {number}": model.norm.mean}
        if hasattr(model, "params"):  # SMP's prior is frozen
            trees |= {f"reward model {number}": model.params}
    return {name: jax.tree.leaves(tree) for name, tree in trees.items()}


def unmoved(before, after) -> list[str]:
    """Names of which every number is as it was."""
    same = lambda name: all(np.array_equal(a, b) for a, b in zip(before[name], after[name], strict=True))  # noqa: E731
    return [name for name in before if same(name)]


def not_finite(stats: statistics.Statistics) -> set[str]:
    """Names of statistics with a part that is not finite, or that are means of nothing though they are not RARE."""
    bad = {name for name, stat in stats.items() if not all(np.isfinite(part) for part in stat)}
    empty = {name for name, stat in stats.items() if isinstance(stat, Mean) and float(stat.count) == 0}
    none = {name for name, stat in stats.items() if isinstance(stat, Largest) and float(stat.value) == -np.inf}
    return {name for name in bad | empty | none if not name.startswith(RARE)} | (bad - none)


def test_what_is_quick_is_there() -> None:
    assert set(NAMES) >= QUICK


def prepared(name: str, folder: Path, engine: str = "native") -> World:
    """The world of a config, small; with a prior where it needs one."""
    world = build.world(config.load(RunSettings, name, SMALL | {"engine.name": engine}))
    settings = world.settings
    if settings.learn.algorithm != "SMP":
        return world
    smp = dataclasses.replace(settings.learn.smp, hidden=[8], prior=str(folder))
    learn = dataclasses.replace(settings.learn, smp=smp)
    world = world._replace(settings=dataclasses.replace(settings, learn=learn))
    priors.write(folder, build.sizes(world).views[score.VIEW], smp, build.prior_facts(world))
    return world


def differing(one: TrainState, other: TrainState) -> list[str]:
    """Names of leaves that are not the same, bit for bit."""
    data = lambda x: jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x  # noqa: E731
    pairs = zip(jax.tree_util.tree_leaves_with_path(one), jax.tree.leaves(other), strict=True)
    same = lambda a, b: np.array_equal(data(a), data(b), equal_nan=True)  # noqa: E731
    return [jax.tree_util.keystr(path) for (path, a), b in pairs if not same(a, b)]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow) for name in NAMES]
)
def test_config_trains(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two iterations move everything that learns, are traced once and compiled once, and their statistics are numbers.

    Saved and restored between the two, a run goes on as if it had not been, bit for bit.
    """
    chex.clear_trace_counter()
    for part in ("roll", "learn"):
        monkeypatch.setattr(iteration, part, chex.assert_max_traces(getattr(iteration, part), 1))
    world = prepared(name, tmp_path / "prior")
    training = build.training(world)
    state = training.place(training.first())
    before = parameters(state)
    for n in (1, 2):
        state, stats = training.chunk(state, training.motion, jnp.int32(n))
        assert not_finite(jax.device_get(stats)) == set()
        if n == 1:
            checkpoint.save(tmp_path / "checkpoints", 1, state, training.facts)
    assert unmoved(before, parameters(state)) == []
    assert int(state.iteration) == 3
    assert all(np.isfinite(leaf).all() for leaves in parameters(state).values() for leaf in leaves)
    back, _ = loop.restore(training, tmp_path / "checkpoints")
    back, _ = training.chunk(back, training.motion, jnp.int32(2))
    assert differing(back, state) == []
    assert training.chunk._cache_size() == 1


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["mjx-jax", pytest.param("mjx-warp", marks=NEEDS_WARP)])
@pytest.mark.parametrize("name", NAMES)
def test_config_trains_on_other_engines(name: str, engine: str, tmp_path: Path) -> None:
    """Two iterations, with statistics that are numbers."""
    training = build.training(prepared(name, tmp_path / "prior", engine))
    state, stats = training.chunk(training.place(training.first()), training.motion, jnp.int32(2))
    assert not_finite(jax.device_get(stats)) == set()
    assert int(state.iteration) == 2


def test_mimickit_presets_are_mimickits() -> None:
    """Section 4.11 of the reference: sizes, rates and weights of deepmimic_g1_ppo and add_g1."""
    ppo = config.load(RunSettings, "mimickit/deepmimic_g1")
    assert (ppo.num_envs, ppo.learn.steps_per_iter, ppo.learn.actor_hidden) == (4096, 32, [1024, 512])
    assert (ppo.learn.actor.type, ppo.learn.actor.learning_rate, ppo.learn.actor.epochs) == ("SGD", 1e-4, 5)
    assert (ppo.learn.critic.learning_rate, ppo.learn.critic.epochs, ppo.learn.critic.batch_size) == (1e-4, 2, 2)
    assert (ppo.learn.std.mode, ppo.learn.std.begin, ppo.env.terminations["pose"].limit) == ("fixed", 0.05, 1.0)
    sizes = build.sizes(build.world(config.load(RunSettings, "mimickit/deepmimic_g1", SMALL)))
    assert (sizes.blocks, sizes.views) == ({"actor": 849}, {})
    add = config.load(RunSettings, "mimickit/add_g1")
    disc = add.learn.disc
    sizes = build.sizes(build.world(config.load(RunSettings, "mimickit/add_g1", SMALL)))
    assert (sizes.blocks, sizes.views) == ({"actor": 849}, {"difference": 317})
    assert (add.learn.task_reward_weight, add.learn.disc_reward_weight) == (0.0, 1.0)
    assert (disc.optimizer.learning_rate, disc.optimizer.weight_decay, disc.grad_penalty) == (2.5e-4, 1e-4, 2.0)
    assert (disc.buffer_size, disc.replay_samples, disc.logit_reg, disc.reward_scale) == (200_000, 1000, 0.01, 2.0)
