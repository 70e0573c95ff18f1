"""benchmarks/scaling.py: collectives counted in small programs, and its model where the answer is known."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import pytest

from mimicjax import paths

AXIS = "env"


@pytest.fixture
def scaling(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(paths.ROOT / "benchmarks"))
    import scaling  # type: ignore[import-not-found]

    return scaling


def counted(scaling, function, *arguments):
    return list(scaling.collectives(jax.make_jaxpr(function, axis_env=[(AXIS, 8)])(*arguments).jaxpr))


def test_sums_in_loops_count_as_often_as_they_run(scaling):
    """A tree of 3 and 5 numbers in each of 4 turns, and a count beside the loop: 4 x (12 + 20) + 4 bytes."""

    def step(carry, x):
        return carry, jax.lax.psum({"a": x[:3], "b": x[3:]}, AXIS)

    @jax.jit
    def program(rows):
        return jax.lax.scan(step, 0, rows)[1], jax.lax.psum(jnp.sum(rows), AXIS)

    found = counted(scaling, program, jnp.ones((4, 8)))
    assert sorted((each.times, each.bytes) for each in found) == [(1, 4), (4, 12), (4, 20)]
    fewest = scaling.combined(found)
    assert sorted((each.times, each.bytes) for each in fewest) == [(1, 4), (4, 32)]


def test_a_chunk_counts_one_iteration(scaling):
    found = counted(
        scaling, lambda n, x: jax.lax.fori_loop(0, n, lambda _, x: jax.lax.psum(x, AXIS), x), 5, jnp.ones(2)
    )
    assert [(each.times, each.bytes) for each in found] == [(1, 8)]


def test_a_sum_takes_its_bytes_and_its_hops(scaling):
    """8 devices of a node: 2 x 7/8 of 300 MB at 300 GB/s is 1.75 ms, and three hops of 5 us up and down 30 us."""
    found, links = [scaling.Collective(0, 1, 300_000_000)], scaling.Links()
    assert scaling.seconds(found, 1, links) == 0.0
    assert scaling.seconds(found, 8, links) == pytest.approx(1.75e-3 + 30e-6)
    far = scaling.seconds(found, 16, links)  # between nodes 40 GB/s, and one hop of 15 us more
    assert far == pytest.approx(2 * 15 / 16 * 0.3 / 40 + 2 * (15e-6 + 15e-6))
    assert scaling.seconds([found[0]._replace(times=3)], 16, links) == pytest.approx(3 * far)


def test_combined_sums_are_never_slower(scaling):
    found = [scaling.Collective(1, 40, 1000), scaling.Collective(1, 40, 5000), scaling.Collective(0, 1, 4)]
    shares = scaling.model(found, 0.18, scaling.Links())
    assert shares["separate"][0] == shares["combined"][0] == 1.0
    assert all(low <= high <= 1.0 for low, high in zip(shares["separate"], shares["combined"], strict=True))
    assert shares["separate"] == sorted(shares["separate"], reverse=True)
