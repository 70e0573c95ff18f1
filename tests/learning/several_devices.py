"""Programs of test_devices.py, for a Python that has eight devices: `python several_devices.py NAME [ARGUMENT]`.

Each compares what 1, 2 and 8 devices make of the same, and fails if they differ by more than rounding.
"""

from __future__ import annotations

import functools
import sys
import tempfile
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import priors
import worlds
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from mimicjax import build, config, statistics
from mimicjax.config.learn import EncSettings, LatentSettings, SmpSettings
from mimicjax.config.settings import (
    DiscSettings,
    LearnSettings,
    OptimizerSettings,
    RunSettings,
    SamplingSettings,
    StdSettings,
)
from mimicjax.learn import acting, actor_critic, normalizers, score
from mimicjax.learn.algorithms import ALGORITHMS
from mimicjax.learn.sockets import Spec
from mimicjax.motion import sampling
from mimicjax.run import checkpoint, devices, iteration, loop
from mimicjax.run import rollout as rolling
from mimicjax.run.iteration import Parts
from mimicjax.run.rollout import Actors
from mimicjax.types import RUNNING, TIME_UP, Clips, EnvState, Rollout, TrainState

COUNTS = (1, 2, 8)
T, B, SEEN = 6, 16, 4  # steps, environments, size of what reward models see
SPEC = Spec({"actor": 5, "critic": 3}, ("actor",), ("actor", "critic"), actions=2)
WHOLE = OptimizerSettings(type="SGD", learning_rate=0.05, epochs=3, batch_size=T, grad_clip=1.0)  # one minibatch
# The replay is off: each device replays samples of its own environments, so which ones depends on the number of devices.
DISC = DiscSettings(hidden=[16], optimizer=WHOLE, buffer_size=0)
SETTINGS = dict(
    steps_per_iter=T, actor_hidden=[16], critic_hidden=[16], actor=WHOLE, critic=WHOLE, disc=DISC,
    disc_reward_weight=0.5, action_bound_weight=1.0, action_reg_weight=0.1, action_entropy_weight=0.01, target_kl=1e-5,
    norm_adv_own=0.5, std=StdSettings(mode="annealed", begin=0.5, anneal_samples=960, success_length=1.0),
    enc_reward_weight=0.5, enc=EncSettings(hidden=[16], optimizer=WHOLE), latent=LatentSettings(dim=4),
    diversity_weight=0.5, lcp_weight=0.1, smp_reward_weight=0.5,
)  # fmt: skip


def host(tree: Any) -> dict[str, np.ndarray]:
    """name -> numbers of a leaf; random keys as their data."""
    named = jax.tree_util.tree_leaves_with_path(tree)
    is_key = lambda x: jnp.issubdtype(x.dtype, jax.dtypes.prng_key)  # noqa: E731
    return {
        jax.tree_util.keystr(path): np.asarray(jax.random.key_data(x) if is_key(x) else x) for path, x in named
    }  # fmt: skip


def assert_same(got: Any, want: Any, what: str, atol: float = 2e-6, rtol: float = 2e-5) -> None:
    a, b = host(got), host(want)
    assert a.keys() == b.keys()
    for name, value in a.items():
        np.testing.assert_allclose(value, b[name], rtol=rtol, atol=atol, err_msg=f"{what}: {name}")


def split(count: int, function: Any, in_specs: Any, out_specs: Any) -> Any:
    """The function over so many devices, compiled; on one without any axis."""
    if count == 1:
        return jax.jit(function)
    mesh = Mesh(np.asarray(jax.devices()[:count]), (devices.AXIS,))
    mapped = jax.shard_map(function, mesh=mesh, in_specs=in_specs, out_specs=out_specs, check_vma=False)
    return jax.jit(mapped)


def lies() -> Rollout:
    """How a rollout lies over devices: time first, then environments."""
    rows, envs = P(None, devices.AXIS), P(devices.AXIS)
    return Rollout(**{name: envs if name in ("last_obs", "pushed") else rows for name in Rollout._fields})


@functools.cache
def prior() -> SmpSettings:
    """Of what SMP sees, in a folder of this process."""
    return priors.write(Path(tempfile.mkdtemp()) / "prior", SEEN)


def parts_of(name: str, count: int) -> Parts:
    settings = LearnSettings(algorithm=name, smp=prior() if name == "SMP" else SmpSettings(), **SETTINGS)
    row = ALGORITHMS[name]
    demonstrate = lambda name, motion, keys: jax.vmap(lambda key: jax.random.normal(key, (SEEN,)))(keys)  # noqa: E731
    return Parts(
        env=worlds._env()._replace(demonstrate=demonstrate), engine=worlds.ENGINE, settings=settings, spec=SPEC,
        policy=row.policy(settings, SPEC), algorithm=row,
        reward_models=tuple(maker.make(settings, SEEN, B // count, count) for maker in row.reward_models),
        envs=B // count, devices=count, axis=devices.AXIS if count > 1 else None,
    )  # fmt: skip


def samples_of(parts: Parts) -> tuple[TrainState, Rollout]:
    """A state, and a rollout [T,B] by its policy: the more of the actions are sampled, the higher the environment's number."""
    keys = iter(jax.random.split(jax.random.key(1), 20))
    agent = actor_critic.init(next(keys), parts.settings, SPEC, parts.policy)
    see = lambda *shape: {  # noqa: E731
        name: 30.0 + 3.0 * jax.random.normal(next(keys), (*shape, size)) for name, size in SPEC.blocks.items()
    }
    norm = {name: normalizers.update(agent.norm[name], block, jnp.asarray(True)) for name, block in see(40).items()}
    agent = agent._replace(norm=norm, progress=jnp.float32(0.25))
    memory = parts.policy.begin(jax.random.split(next(keys), B))
    obs, memories = see(T, B), jax.tree.map(lambda x: jnp.broadcast_to(x, (T, *x.shape)), memory)
    pushed = (jnp.arange(B) % 3 == 0).astype(jnp.float32)

    def act(obs, memory, key):
        return acting.act(parts.policy, agent, obs, memory, jax.random.split(key, B), jnp.float32(1), pushed)

    decision = jax.vmap(act)(obs, memories, jax.random.split(next(keys), T))
    done = jax.random.choice(next(keys), 4, (T, B), p=jnp.asarray([0.85, 0.05, 0.05, 0.05])).astype(jnp.int8)
    valid = jax.random.uniform(next(keys), (T, B)) < 0.9
    sampled = valid & (jax.random.uniform(next(keys), (T, B)) < (jnp.arange(B) + 1) / B)
    rollout = Rollout(
        obs=obs, last_obs=see(B), memory=memories, pushed=pushed, action=decision.action, log_prob=decision.log_prob,
        sampled=sampled, valid=valid, reward=jax.random.normal(next(keys), (T, B)), done=done,
        end_value=jnp.where(done == TIME_UP, jax.random.normal(next(keys), (T, B)), 0.0),
        views={maker.needs: 0.1 * jax.random.normal(next(keys), (T, B, SEEN)) for maker in parts.algorithm.reward_models},
    )  # fmt: skip
    nowhere = EnvState(*[()] * len(EnvState._fields))
    models = tuple(model.init(next(keys)) for model in parts.reward_models)
    return TrainState(agent, models, nowhere, {}, (), jnp.int32(3), jax.random.key(5)), rollout


def same_iteration(name: str) -> None:
    """Targets, advantages, parameters, optimisers, normalisers, progress and statistics of one iteration."""
    state, rollout = jax.jit(lambda: samples_of(parts_of(name, 1)))()
    sampled = np.asarray(rollout.sampled)
    assert 0.3 < sampled.mean() < 0.7 and len({part.sum() for part in np.split(sampled, 8, axis=1)}) > 4
    results = {}
    for count in COUNTS:
        parts = parts_of(name, count)

        def once(state, rollout, parts=parts):
            iteration.rolling.collect = lambda *_: (Actors(state.env, {}, ()), rollout, {})
            reward, _ = iteration._score(parts, state.reward_models, rollout)
            flat, _ = actor_critic.targets(parts.policy, state.agent, parts.settings, rollout, reward, parts.axis)
            rows = [x.reshape(rollout.done.shape) for x in (flat.target, flat.advantage)]
            return *iteration.iterate(parts, (), state), rows

        specs, rows = devices.specs(parts), P(None, devices.AXIS)
        after, stats, rows = split(count, once, (specs, lies()), (specs, P(), [rows, rows]))(state, rollout)
        assert float(after.agent.progress) > 0.25 and float(after.agent.actor_opt.hyperparams["learning_rate"]) != 0.05
        results[count] = (after._replace(key=()), statistics.values(stats), rows)
        stays = (".prior", ".frozen", *([".reward_models"] if name == "HRL" else []))  # of SMP and of skill policies
        learned = {part: value for part, value in host(after).items() if not any(frozen in part for frozen in stays)}
        changed = [not np.array_equal(host(state)[part], value) for part, value in learned.items()]
        assert sum(changed) > 0.8 * len(changed)
    for count in COUNTS[1:]:
        for got, want, what in zip(results[count], results[1], ("state", "statistics", "samples"), strict=True):
            got, want = (jax.tree.map(jnp.asarray, x) for x in (got, want))
            assert_same(got, want, f"{name}, {count} devices, {what}")


def rolled(parts: Parts, motion: Any, state: TrainState, steps: int) -> tuple[Rollout, dict[str, float]]:
    """So many control steps over the parts' devices, half of the actions sampled."""

    def run(state: TrainState, motion: Any):
        actors, place = Actors(state.env, state.obs, state.memory), None
        if parts.sampler:
            motion, place = parts.sampler.weigh(motion, state.sampling), parts.sampler.place
        _, rollout, stats = rolling.collect(
            parts.env, parts.engine, motion, parts.policy, state.agent, actors, jnp.float32(0.5), steps, place
        )
        return rollout, statistics.over_devices(stats, parts.axis)

    rollout, stats = split(parts.devices, run, (devices.specs(parts), P()), (lies(), P()))(state, motion)
    return rollout, statistics.values(stats)


def same_rollout() -> None:
    """Eight control steps of a probe world whose starts are drawn, where every second step ends an episode."""
    place = worlds.world([0, 1], best=[-0.5, 0.5], after=[2, 3], done=[RUNNING, RUNNING])
    results = {}
    for count in COUNTS:
        parts = worlds.parts(worlds.LEARN, count, devices.AXIS if count > 1 else None)
        results[count] = rolled(parts, place, jax.jit(lambda p=parts: worlds.first(p, place))(), 8)
    rollout = results[1][0]
    assert 0.3 < np.mean(rollout.sampled) < 0.7 and np.mean(rollout.done == RUNNING) == 0.5
    for count in COUNTS[1:]:
        assert_same(results[count][0], rollout, f"{count} devices")
        assert_same(*(jax.tree.map(jnp.asarray, results[n][1]) for n in (count, 1)), f"{count} devices, statistics")


def small(name: str, **more: Any) -> build.World:
    """A shipped config with 8 environments and small networks."""
    sizes = {"num_envs": 8, "engine.name": "native", "learn.steps_per_iter": 4, "keep.test_episodes": 2}
    sizes |= {f"learn.{net}": [16] for net in ("actor_hidden", "critic_hidden", "disc.hidden")}
    return build.world(config.load(RunSettings, name, sizes | more))


def same_rollout_of_robots() -> None:
    """Eight control steps of the pushed G1 on the native engine: starts, pushes and actions are drawn, episodes end.

    Starts are drawn by failures: all of them in the second bin of the walk.
    """
    failing = {"env.sampling.by": "failures", "env.retry_start": 0.0}
    world = small("deepmimic_g1_push", **{"env.episode_length": 0.1, "disturb.quiet": 0.25} | failing)
    one, eight = (build.parts(world._replace(devices=tuple(jax.devices()[:count]))) for count in (1, 8))
    state = build.first_state(world, one)
    state = state._replace(sampling=state.sampling._replace(failures=jnp.asarray([0.0, 1e6])))
    rollout, _ = rolled(one, world.motion, state, 8)
    assert np.sum(rollout.done == TIME_UP) >= 8
    first = np.argmax(np.asarray(rollout.done) != RUNNING, axis=0) + 1  # steps of the episodes that began anew
    begun = np.asarray(rollout.place)[np.minimum(first, 7), np.arange(8)][first < 8]
    assert len(begun) >= 6 and np.mean(begun == 1) > 0.6
    # rounding grows in contacts
    assert_same(rolled(eight, world.motion, state, 8)[0], rollout, "8 devices", atol=2e-3, rtol=2e-3)


def same_failures() -> None:
    """What failed where, exactly, and the shares of starts that follow, from the same steps."""
    cuts = sampling.Cuts(np.repeat([0, 1], [3, 5]), np.array([0, 3]), np.array([3, 5]), np.array([True, False]))
    sampler = sampling.make(SamplingSettings(by="failures", ahead=2), cuts, 1 / 30)
    clips = Clips(*[()] * len(Clips._fields))._replace(weight=jnp.asarray([0.3, 0.7]))
    draw = np.random.default_rng(0)
    rows = jnp.asarray(draw.integers(8, size=(T, B))), jnp.asarray(draw.integers(4, size=(T, B)), jnp.int8)
    before = sampling.Record(*(jnp.asarray(draw.uniform(0, 9, size), jnp.float32) for size in (8, 8, 2, 2)))
    results = {}
    for count in COUNTS:
        parts = parts_of("DeepMimic", count)._replace(sampler=sampler)
        empty = Rollout(*[()] * len(Rollout._fields))

        def follow(place, done, parts=parts, empty=empty):
            record, stats = iteration._follow_failures(parts, clips, before, empty._replace(place=place, done=done))
            return record, statistics.over_devices(stats, parts.axis), sampler.weigh(clips, record)

        many = P(None, devices.AXIS)
        record, stats, drawn = split(count, follow, (many, many), P())(*rows)
        results[count] = record, {k: np.float32(v) for k, v in statistics.values(stats).items()}, drawn.bins
    faded = float(np.exp(-T * B / 30 / (300 * 8)))
    want = faded * np.asarray(before.steps) + np.bincount(np.asarray(rows[0]).ravel(), minlength=8)
    np.testing.assert_allclose(results[1][0].steps, want, rtol=1e-6)
    for count in COUNTS[1:]:
        for name, got, one in zip(before._fields, results[count][0], results[1][0], strict=True):
            np.testing.assert_array_equal(got, one, err_msg=f"{count} devices, {name}")
        for got, one in zip(results[count][1:], results[1][1:], strict=True):
            assert_same(jax.tree.map(jnp.asarray, got), jax.tree.map(jnp.asarray, one), f"{count} devices")


def goes_on(folder: str) -> None:
    """A run of ADD saved on eight devices, its replay half full, goes on alike on eight, two and one."""
    replay = {"learn.disc.buffer_size": 64, "learn.disc.replay_samples": 8}
    world = small("add_g1", **replay | {"env.sampling.by": "failures"})
    ways = {count: build.training(world._replace(devices=tuple(jax.devices()[:count]))) for count in COUNTS}
    there = ways[8]
    state, _ = there.chunk(there.place(there.first()), there.motion, jnp.int32(1))
    checkpoint.save(folder, 1, state, there.facts)
    saved, past = host(state), state.reward_models[0].past
    stored = np.asarray(past.rows[:, :4]).reshape(32, -1)
    assert int(past.count) == 32 and past.rows.shape[:2] == (8, 8) and np.all(np.any(stored != 0.0, axis=1))
    results = {}
    for count, training in ways.items():
        back, _ = loop.restore(training, Path(folder))
        assert len(jax.tree.leaves(back.env)[0].sharding.device_set) == count
        for name, value in host(back).items():
            np.testing.assert_array_equal(value, saved[name], err_msg=name)
        back, stats = training.chunk(back, training.motion, jnp.int32(1))
        results[count] = {name: np.float32(value) for name, value in statistics.values(stats).items()}
        past = back.reward_models[0].past
        assert (int(past.count), int(past.cursor)) == (64, 0)
        assert np.all(np.any(np.asarray(past.rows) != 0.0, axis=-1))  # no hole: what was stored stays at the front
        np.testing.assert_array_equal(past.rows[:, :4].reshape(32, -1), stored)
    # the same rollout and the same critic of it; the updates draw their minibatches by device
    same = [n for n in results[8] if n.startswith(("reward_", "Adv_", "Disc_Reward_", "Obs_Norm_"))]
    for count in (1, 2):
        picked = [{name: jnp.asarray(results[n][name]) for name in same} for n in (count, 8)]
        assert_same(*picked, f"{count} devices", atol=1e-3, rtol=1e-3)


def trains(name: str, folder: str) -> None:
    """Two iterations of a config on eight devices: parameters stay finite and equal on all of them."""
    world = small(name, **({"learn.smp.hidden": [8], "learn.smp.prior": folder} if "smp" in name else {}))
    world = world._replace(devices=tuple(jax.devices()))
    if "smp" in name:
        priors.write(
            Path(folder), build.sizes(world).views[score.VIEW], world.settings.learn.smp, build.prior_facts(world)
        )
    training = build.training(world)
    state, _ = training.chunk(training.place(training.first()), training.motion, jnp.int32(2))
    assert int(state.iteration) == 2
    for leaf in jax.tree.leaves(state.agent):
        shards = [np.asarray(shard.data) for shard in leaf.addressable_shards]
        assert len(shards) == 8 and all(np.isfinite(shard).all() for shard in shards)
        assert all(np.array_equal(shard, shards[0]) for shard in shards)


if __name__ == "__main__":
    assert jax.device_count() == 8, jax.devices()
    globals()[sys.argv[1]](*sys.argv[2:])
    print("same")
