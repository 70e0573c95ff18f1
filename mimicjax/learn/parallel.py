"""Averages, sums and largest values over the devices of a run; with one device (axis None) they are the identity."""

from __future__ import annotations

from typing import Any

import jax


def mean(tree: Any, axis: str | None) -> Any:
    """Mean of every leaf over the devices."""
    return tree if axis is None else jax.lax.pmean(tree, axis)


def total(tree: Any, axis: str | None) -> Any:
    """Sum of every leaf over the devices."""
    return tree if axis is None else jax.lax.psum(tree, axis)


def largest(tree: Any, axis: str | None) -> Any:
    """Largest value of every leaf over the devices."""
    return tree if axis is None else jax.lax.pmax(tree, axis)
