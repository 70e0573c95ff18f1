"""Resets of few against resets of all: what is gathered, begun anew and put back is what `where` would choose."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import assert_identical, compiled_once

from mimicjax.env import resets

COUNTS = (1, 3, 8, 200)  # environments; a block of 200 has 13


def masks(count: int) -> dict[str, np.ndarray]:
    """Which environments ended, from none to all."""
    random = np.random.default_rng(count)
    some = {share: random.random(count) < share for share in (0.03, 0.3, 0.9)}
    first, last = (np.arange(count) == place for place in (0, count - 1))
    return {"none": np.zeros(count, bool), "first": first, "last": last, "all": np.ones(count, bool), **some}


def rows(count: int, seed: int):
    """What a row may hold: floats, integers, flags and random keys, with other axes or without."""
    keys = jax.random.split(jax.random.key(seed), count)
    return {
        "number": jax.random.normal(jax.random.key(seed + 1), (count, 5)),
        "step": jnp.arange(seed, seed + count, dtype=jnp.int32),
        "flag": jnp.arange(count) % 2 == 0,
        "key": keys,
        "keys": jax.vmap(lambda key: jax.random.split(key, 3))(keys),
        "nothing": (),
    }


def begin(rows):
    """A beginning with random numbers of its own, row by row."""

    def each(row):
        kept, drawn = jax.random.split(row["key"])
        number = row["number"] + jax.random.normal(drawn, (5,))
        return {**row, "number": number, "step": -row["step"], "flag": ~row["flag"], "key": kept}

    return jax.vmap(each)(rows)


def everywhere(ended, source, target):
    """The plain way: begin all anew, and choose."""

    def choose(new, old):
        return jnp.where(ended.reshape(-1, *[1] * (new.ndim - 1)), new, old)

    return jax.tree.map(choose, begin(source), target)


@pytest.mark.parametrize("count", COUNTS)
def test_as_if_all_were_begun_and_some_chosen(count):
    source, target = rows(count, 3), rows(count, 1000)
    few = compiled_once(lambda ended: resets.renew(ended, source, target, begin))
    plain = jax.jit(lambda ended: everywhere(ended, source, target))
    for name, ended in masks(count).items():
        got = few(jnp.asarray(ended))
        assert jax.tree.map(lambda x: (x.shape, x.dtype), got) == jax.tree.map(lambda x: (x.shape, x.dtype), target)
        assert_identical(got, plain(jnp.asarray(ended)))
        assert (np.asarray(got["step"]) < 0).sum() == ended.sum(), name


def test_what_begins_does_not_depend_on_how_many_others_do():
    source, target = rows(200, 3), rows(200, 1000)
    few = jax.jit(lambda ended: resets.renew(ended, source, target, begin))
    alone, all_of_them = few(jnp.arange(200) == 77), few(jnp.ones(200, bool))
    assert_identical(jax.tree.map(lambda x: x[77], alone), jax.tree.map(lambda x: x[77], all_of_them))


def test_only_those_that_ended_pay():
    """A block at a time, of a sixteenth of the environments: as many as the ended ones need, and none for none."""
    sizes: list[int] = []

    def counted(rows):
        jax.debug.callback(lambda block: sizes.append(len(block)), rows["step"])
        return begin(rows)

    source, target = rows(200, 3), rows(200, 1000)
    few = jax.jit(lambda ended: resets.renew(ended, source, target, counted))
    for ended, blocks in ((0, 0), (1, 1), (13, 1), (14, 2), (200, 16)):
        sizes.clear()
        jax.block_until_ready(few(jnp.arange(200) < ended))
        jax.effects_barrier()
        assert sizes == [13] * blocks, ended
