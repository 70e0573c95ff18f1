"""Statistics of training: sums, means and largest values that merge into those of all samples."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mimicjax import statistics
from mimicjax.statistics import Largest, Mean, Sum

ROWS = jnp.asarray([[1.0, 2.0, 6.0], [3.0, -1.0, 10.0]])
COUNTS = jnp.asarray([[1, 0, 0], [1, 1, 1]])  # one row of the first half, three of the second


def of(rows, counts) -> statistics.Statistics:
    return {
        "sum": statistics.total(rows), "mean": statistics.mean(rows), "part": statistics.mean(rows, counts),
        "largest": statistics.largest(rows),
    }  # fmt: skip


POOLED = {"sum": 21.0, "mean": 3.5, "part": (1 + 3 - 1 + 10) / 4, "largest": 10.0}  # not the mean of 1 and of 4


def test_a_statistic_says_what_it_is():
    stats = of(ROWS, COUNTS)
    assert [type(stat) for stat in stats.values()] == [Sum, Mean, Mean, Largest]
    assert statistics.values(stats) == pytest.approx(POOLED)
    flags = jnp.asarray([True, False, True])
    assert statistics.values({"n": statistics.total(flags), "share": statistics.mean(flags)}) == pytest.approx(
        {"n": 2.0, "share": 2 / 3}
    )
    assert statistics.total(jnp.ones(3, jnp.int8)).total.dtype == jnp.float32


def test_parts_merge_into_the_whole():
    """Two parts with different counts, in either order, and with the statistics of nothing."""
    first, second = (of(rows, counts) for rows, counts in zip(ROWS, COUNTS, strict=True))
    nothing = statistics.nothing(jax.eval_shape(lambda: first))
    for a, b in ((first, second), (second, first)):
        assert statistics.values(statistics.merge(a, b)) == pytest.approx(POOLED)
    assert statistics.values(statistics.merge(nothing, first)) == statistics.values(first)
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(nothing))


def test_along_an_axis():
    """As a scan stacks them: one entry for each half."""
    stacked = jax.vmap(of)(ROWS, COUNTS)
    assert statistics.values(statistics.along(stacked)) == pytest.approx(POOLED)


def test_over_devices():
    """Every device has the statistics of all samples; without an axis they stay as they are."""
    over = jax.vmap(lambda rows, counts: statistics.over_devices(of(rows, counts), "d"), axis_name="d")(ROWS, COUNTS)
    for device in (0, 1):
        assert statistics.values(jax.tree.map(lambda x, d=device: x[d], over)) == pytest.approx(POOLED)
    alone = of(ROWS, COUNTS)
    assert statistics.over_devices(alone, None) is alone


def test_shares_and_what_all_devices_have():
    """A loss of which two devices have shares of 1 and 2 in each of two steps is 3; a number that both have stays it."""

    def device(part):
        step = {"loss": statistics.share(part, "d"), "rate": statistics.once(jnp.float32(0.25), "d")}
        return statistics.over_devices(statistics.merge(step, step), "d")

    over = jax.vmap(device, axis_name="d")(jnp.asarray([1.0, 2.0]))
    assert statistics.values(jax.tree.map(lambda x: x[0], over)) == pytest.approx({"loss": 3.0, "rate": 0.25})
    alone = {"loss": statistics.share(jnp.float32(3), None), "rate": statistics.once(jnp.float32(0.25), None)}
    assert statistics.values(statistics.merge(alone, alone)) == pytest.approx({"loss": 3.0, "rate": 0.25})


def test_nothing_is_no_number_but_a_sum_of_nothing_is():
    shown = statistics.values(statistics.nothing(of(ROWS, COUNTS)))
    assert shown["sum"] == 0.0 and all(math.isnan(shown[name]) for name in ("mean", "part", "largest"))
    assert math.isnan(statistics.value(statistics.mean(ROWS, jnp.zeros_like(ROWS))))
    assert np.isfinite([leaf for leaf in statistics.mean(ROWS, jnp.zeros_like(ROWS))]).all()
