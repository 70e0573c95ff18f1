"""One training program over all devices: environments are split, parameters are equal, gradients are averaged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from mimicjax import statistics
from mimicjax.motion.reference import Motion
from mimicjax.run import hosts, iteration
from mimicjax.run.iteration import Parts, Rolled
from mimicjax.run.rollout import Actors
from mimicjax.statistics import Statistics
from mimicjax.types import Array, Device, Rollout, TrainState

AXIS = "env"


def specs(parts: Parts) -> TrainState:
    """How a TrainState lies over the devices, as a prefix tree of PartitionSpecs."""
    split: Any = PartitionSpec(AXIS)
    equal: Any = PartitionSpec()
    return TrainState(
        agent=equal,
        reward_models=tuple(model.specs(AXIS) for model in parts.reward_models),
        env=split,
        obs=split,
        memory=split,
        iteration=equal,
        key=equal,
        sampling=equal,
    )


Chunk = Callable[[TrainState, Motion, Array], tuple[TrainState, Statistics]]


def compiled(parts: Parts, devices: tuple[Device, ...]) -> tuple[Chunk, Callable[[TrainState], TrainState]]:
    """(train chunk, placement of a state) for the devices.

    The chunk is (state, motion, n) -> (state, statistics): n iterations, with the state donated; `parts.axis` must be AXIS for
    more than one device and None for one. The placement puts a whole state where the chunk expects it.
    """
    device, *others = devices
    if others:
        return _over(parts, devices)
    chunk: Any = _InTwo(parts) if parts.engine.on_host else jax.jit(iteration.chunk(parts), donate_argnums=0)
    return chunk, lambda state: jax.device_put(state, device)


def everywhere(tree: Any, devices: tuple[Device, ...]) -> Any:
    """Arrays of this process for a chunk over several processes, on all their devices; for one process, as they are."""
    if hosts.count() == 1:
        return tree
    sharding = NamedSharding(Mesh(np.asarray(devices), (AXIS,)), PartitionSpec())
    return jax.tree.map(lambda leaf: hosts.put(leaf, sharding), tree)


class _InTwo:
    """A chunk whose iterations are two programs, rolling out and learning, called in turn from the host.

    JAX keeps no compiled program that calls the host, as a host engine's does. What learns calls nobody: it is found in the
    cache when a run starts again, which is a third of what there is to compile.
    """

    def __init__(self, parts: Parts) -> None:
        roll = lambda motion, state, actors: iteration.roll(parts, motion, state, actors)  # noqa: E731

        def learn(motion: Motion, state: TrainState, actors: Actors, rollout: Rollout, stats: Statistics):
            return iteration.learn(parts, motion, state, Rolled(actors, rollout, stats))

        self.roll: Any = jax.jit(roll, donate_argnums=2)
        self.learn: Any = jax.jit(learn, donate_argnums=(1, 2))
        self.merge = jax.jit(statistics.merge)

    def __call__(self, state: TrainState, motion: Motion, n: Array) -> tuple[TrainState, Statistics]:
        sums: Statistics = {}
        for _ in range(int(n)):
            actors = Actors(state.env, state.obs, state.memory)
            state = state._replace(env=(), obs={}, memory=())
            state, stats = self.learn(motion, state, *self.roll(motion, state, actors))
            sums = self.merge(sums, stats) if sums else stats
        return state, sums

    def _cache_size(self) -> int:
        """Programs compiled for each part, as jax.jit's functions tell it."""
        return max(self.roll._cache_size(), self.learn._cache_size())


def _over(parts: Parts, devices: tuple[Device, ...]) -> tuple[Chunk, Callable[[TrainState], TrainState]]:
    """One program over several devices."""
    mesh = Mesh(np.asarray(devices), (AXIS,))
    tree, equal = specs(parts), PartitionSpec()
    mapped = jax.shard_map(
        iteration.chunk(parts), mesh=mesh, in_specs=(tree, equal, equal), out_specs=(tree, equal),
        check_vma=False,  # the native engine's callback has no replication rule
    )  # fmt: skip
    is_spec = lambda x: isinstance(x, PartitionSpec)  # noqa: E731

    def place(state: TrainState) -> TrainState:
        shardings = jax.tree.map(lambda spec: NamedSharding(mesh, spec), tree, is_leaf=is_spec)
        return jax.tree.map(
            lambda sharding, part: jax.tree.map(lambda leaf: hosts.put(leaf, sharding), part), shardings, state,
            is_leaf=lambda x: isinstance(x, NamedSharding))  # fmt: skip

    return jax.jit(mapped, donate_argnums=0), place
