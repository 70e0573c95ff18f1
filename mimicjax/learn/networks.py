"""Networks: multilayer perceptrons with ReLU and torch's first weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from mimicjax.types import Reflection

ROWS = 8192  # samples that are judged at once: hidden layers of a whole rollout would need more memory than itself


def uniform(bound: float):
    """Initialiser: uniform in +-bound."""
    return lambda key, shape, dtype=jnp.float32: jax.random.uniform(key, shape, dtype, -bound, bound)


def fan_in(key: jax.Array, shape: Sequence[int], dtype=jnp.float32) -> jax.Array:
    """Initialiser: uniform in +-1/sqrt(fan in), torch's for linear layers."""
    return jax.random.uniform(key, shape, dtype, -1.0, 1.0) / jnp.sqrt(shape[0])


class MLP(nn.Module):
    """[...,I] -> [...,outputs]: hidden layers with ReLU, a linear last layer; all biases begin at 0."""

    hidden: Sequence[int]
    outputs: int
    output_scale: float | None = None  # bound of the last layer's first weights; None: as the others

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for width in self.hidden:
            x = nn.relu(nn.Dense(width, kernel_init=fan_in)(x))
        last = fan_in if self.output_scale is None else uniform(self.output_scale)
        return nn.Dense(self.outputs, kernel_init=last, name="last")(x)


def apply(net: MLP, params: Any, x: jax.Array) -> jax.Array:
    """The network's output [...,outputs]; flax's own apply has a type that says less."""
    return net.apply(params, x)  # type: ignore[return-value]


def reflect(mirror: Reflection, x: jax.Array) -> jax.Array:
    """Vectors [...,n] as they are in a mirror."""
    return x[..., mirror.index] * mirror.sign


def by_rows(function: Callable[[Any], jax.Array], tree: Any) -> jax.Array:
    """function of leaves [n,...] -> [n] for leaves [T,B,...] -> [T,B], ROWS at a time."""
    lead = jax.tree.leaves(tree)[0].shape[:2]
    flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), tree)
    count = lead[0] * lead[1]
    return (function(flat) if count <= ROWS else jax.lax.map(function, flat, batch_size=ROWS)).reshape(lead)
