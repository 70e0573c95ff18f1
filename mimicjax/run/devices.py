"""One training program over all devices: environments are split, parameters are equal, gradients are averaged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from mimicjax.run.iteration import Parts, chunk
from mimicjax.types import Device, TrainState

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
    )


def compiled(parts: Parts, devices: tuple[Device, ...]) -> tuple[Callable, Callable]:
    """(train chunk, placement of a state) for the devices.

    The chunk is (state, motion, n) -> (state, statistics) with the state donated; `parts.axis` must be AXIS for more
    than one device and None for one. The placement puts a whole state where the chunk expects it.
    """
    if len(devices) == 1:
        return jax.jit(chunk(parts), donate_argnums=0), lambda state: jax.device_put(state, devices[0])
    mesh = Mesh(np.asarray(devices), (AXIS,))
    tree, equal = specs(parts), PartitionSpec()
    mapped = jax.shard_map(
        chunk(parts), mesh=mesh, in_specs=(tree, equal, equal), out_specs=(tree, equal),
        check_vma=False,  # the native engine's callback has no replication rule
    )  # fmt: skip
    is_spec = lambda x: isinstance(x, PartitionSpec)  # noqa: E731

    def place(state: TrainState) -> TrainState:
        shardings = jax.tree.map(lambda spec: NamedSharding(mesh, spec), tree, is_leaf=is_spec)
        return jax.device_put(state, jax.tree.map(
            lambda sharding, part: jax.tree.map(lambda _: sharding, part), shardings, state,
            is_leaf=lambda x: isinstance(x, NamedSharding)))  # fmt: skip

    return jax.jit(mapped, donate_argnums=0), place
