"""Where a number that is learned is no longer finite, a run goes back to where all was sound, and takes another way."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from mimicjax.types import Array, TrainState

TRIES = 3  # times that a run goes back to the same checkpoint before it gives up
ANOTHER_WAY = 0x77617973  # folded into keys


@jax.jit
def _finite(leaves: list[Array]) -> list[Array]:
    return [jnp.all(jnp.isfinite(leaf)) for leaf in leaves]


def unsound(state: TrainState) -> list[str]:
    """Names of what is learned that has a NaN or an infinity: parameters, optimisers, normalisers, reward models."""
    learned: Any = {"agent": state.agent, "reward_models": state.reward_models}
    named = [
        (jax.tree_util.keystr(path, simple=True, separator="."), leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(learned)
        if jnp.issubdtype(leaf.dtype, jnp.floating)
    ]
    sound = jax.device_get(_finite([leaf for _, leaf in named]))
    return [name for (name, _), fine in zip(named, sound, strict=True) if not fine]


def other_way(state: TrainState, attempt: int) -> TrainState:
    """The same state with other random keys, of updates and of environments: what comes is not what came."""
    fold = lambda key: jax.random.fold_in(key, ANOTHER_WAY + attempt)  # noqa: E731
    turn = jax.jit(lambda key, keys: (fold(key), jax.vmap(fold)(keys)))
    key, keys = turn(state.key, state.env.key)
    return state._replace(
        key=jax.device_put(key, state.key.sharding),
        env=state.env._replace(key=jax.device_put(keys, state.env.key.sharding)),
    )
