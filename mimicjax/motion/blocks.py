"""Long arrays filled block by block inside one compiled program, so that what they are made from stays small."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from mimicjax.types import Array

BLOCK = 8192  # rows at once: few enough for a processor's cache, enough to keep an accelerator busy


def fill(empty: Any, compute: Callable[[Array, int], Any]) -> Any:
    """Arrays like those of `empty`, [R, ...] all; compute(first row, how many) gives so many rows of each."""
    leaves = jax.tree.leaves(empty)
    total = len(leaves[0])
    block = min(BLOCK, total)

    def step(number: Array, filled: Any) -> Any:
        begin = jnp.minimum(number * block, total - block)  # the last block computes some rows again
        rows = compute(begin, block)
        return jax.tree.map(lambda old, new: jax.lax.dynamic_update_slice_in_dim(old, new, begin, 0), filled, rows)

    return jax.lax.fori_loop(0, -(-total // block), step, empty)
