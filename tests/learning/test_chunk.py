"""The compiled chunk on the G1 with the native engine: one program, nothing compiled twice, exact, finite."""

from __future__ import annotations

from collections.abc import Iterator

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import scene_g1, synthetic_clip

from mimicjax import build, statistics
from mimicjax.config.settings import (
    DiscSettings,
    EngineSettings,
    EnvSettings,
    LearnSettings,
    ObservationSettings,
    RunSettings,
    StdSettings,
)
from mimicjax.env import env as environment
from mimicjax.env.view import Scope
from mimicjax.motion import table
from mimicjax.run import devices, iteration
from mimicjax.world import World

ENVS, STEPS = 8, 4
FULL = 64  # samples of the replay buffer: two iterations fill it


@pytest.fixture(scope="module")
def made(g1, clips) -> Iterator[tuple]:
    """World, compiled chunk, and a function that gives its first state, anew each time since the chunk takes it."""
    learn = LearnSettings(
        algorithm="ADD", steps_per_iter=STEPS, actor_hidden=[32], critic_hidden=[32], disc_reward_weight=1.0,
        std=StdSettings(mode="annealed"), target_kl=0.01, disc=DiscSettings(hidden=[32], buffer_size=FULL),
    )  # fmt: skip
    few = EnvSettings(observations=ObservationSettings(target_steps=[1]))  # compiles faster
    settings = RunSettings(num_envs=ENVS, engine=EngineSettings(name="native"), env=few, learn=learn)
    scope = Scope(g1, settings.env, scene_g1().layout, 1.0 / settings.engine.control_freq)
    env = environment.make(scope, views=["difference"])
    motion = table.tabulate(g1, clips, env.dt, 1)
    world = World(
        settings=settings, robot=g1, scene=scene_g1(), scope=scope, clips=(synthetic_clip(29),), motion=motion,
        env=env, test_env=env, devices=(jax.devices()[0],), notes=(),
    )  # fmt: skip
    parts = build.parts(world)
    run, place = devices.compiled(parts, world.devices)
    first = place(build.first_state(world, parts))
    chex.clear_trace_counter()
    with pytest.MonkeyPatch.context() as patch:  # two traces of an iteration are an error in every test here
        for name in ("roll", "learn"):
            patch.setattr(iteration, name, chex.assert_max_traces(getattr(iteration, name), 1))
        yield world, run, lambda: jax.tree.map(lambda x: x.copy(), first)


@pytest.fixture(scope="module")
def ran(made):
    """The state after 1 and then 3 more iterations, and the statistics of both calls."""
    world, run, first = made
    state, one = run(first(), world.motion, jnp.int32(1))
    state, three = run(state, world.motion, jnp.int32(3))
    return state, one, three


def test_a_second_call_compiles_nothing(made, ran):
    assert made[1]._cache_size() == 1


def test_a_first_state_has_the_types_of_a_later_one(made, ran):
    kinds = lambda tree: jax.tree.map(lambda x: (x.shape, x.dtype, getattr(x, "weak_type", False)), tree)  # noqa: E731
    assert kinds(made[2]()) == kinds(ran[0])


def test_four_iterations_are_one_and_three(made, ran):
    world, run, first = made
    state, _ = run(first(), world.motion, jnp.int32(4))
    data = lambda x: jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x  # noqa: E731
    for got, want in zip(jax.tree.leaves(state), jax.tree.leaves(ran[0]), strict=True):
        np.testing.assert_array_equal(data(got), data(want))


def test_everything_is_finite_and_counted(ran):
    state, one, three = ran
    for leaf in jax.tree.leaves(state):
        if jnp.issubdtype(leaf.dtype, jnp.floating):
            assert np.isfinite(leaf).all()
    for stats in (one, three):
        assert all(np.isfinite(leaf) for leaf in jax.tree.leaves(stats))
        unknown = {name for name, number in statistics.values(stats).items() if not np.isfinite(number)}
        assert unknown <= {"Train_Return", "Train_Episode_Length"}  # of episodes that ended, and perhaps none did
    assert int(state.iteration) == 4
    assert int(state.reward_models[0].past.count) == FULL
    assert float(state.agent.norm["actor"].count) == float(state.reward_models[0].norm.count) == 4 * ENVS * STEPS
    assert one.keys() == three.keys() and float(one["unstable"].total) == 0
