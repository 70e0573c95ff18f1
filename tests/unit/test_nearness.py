"""Distances of the policy's motion from the clips, against sums written out."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mimicjax import statistics
from mimicjax.learn import nearness


def test_distances_of_points_on_a_line():
    """Demonstrations at 0, 1, 2, 3; the policy is at 0.25 and 1.5, and a third one that does not count at 3."""
    motion, counts = jnp.asarray([[0.25], [1.5], [3.0]]), jnp.asarray([1.0, 1.0, 0.0])
    shown = statistics.values(nearness.measure(motion, counts, jnp.arange(4.0)[:, None], None))
    assert shown["Motion_Distance"] == pytest.approx((0.25 + 0.5) / 2)
    assert shown["Demo_Distance"] == pytest.approx((0.25 + 0.5 + 0.5 + 1.5) / 4)
    assert shown["Demo_Spread"] == pytest.approx((3 * 1 + 2 * 2 + 1 * 3) / 6)
    nothing = statistics.values(nearness.measure(motion, jnp.zeros(3), jnp.arange(4.0)[:, None], None))
    assert np.isnan([nothing["Motion_Distance"], nothing["Demo_Distance"]]).all()


def test_a_distance_is_in_standard_deviations():
    """Off by 2 in every one of 50 features is a distance of 2."""
    a = jax.random.normal(jax.random.key(0), (4, 50))
    np.testing.assert_allclose(jnp.diag(nearness.distances(a, a + 2.0)), 2.0, rtol=1e-4)
    np.testing.assert_allclose(
        statistics.value(nearness.size(jnp.full((3, 7), -2.0), jnp.ones(3))["Motion_Distance"]), 2.0
    )


def test_a_robot_that_stands_is_told_from_one_that_moves_and_from_one_that_does_half():
    """The clip is a circle of radius 1: two of its points are 4 / pi apart in the mean (over root 2, for two features)."""
    angle = jnp.linspace(0.0, 2 * jnp.pi, 400, endpoint=False)
    circle, ones = jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=-1), jnp.ones(400)
    measure = lambda motion: statistics.values(nearness.measure(motion, ones, circle, None))  # noqa: E731
    moves, stands, half = measure(0.9 * circle), measure(0.0 * circle), measure(circle.at[200:].set(circle[:200]))
    assert moves["Demo_Spread"] == pytest.approx(4 / np.pi / np.sqrt(2), rel=0.01)
    assert moves["Motion_Distance"] == pytest.approx(0.1 / np.sqrt(2), rel=0.01)
    assert moves["Demo_Distance"] == pytest.approx(moves["Motion_Distance"], rel=0.01)
    assert stands["Motion_Distance"] / stands["Demo_Spread"] == pytest.approx(np.pi / 4, rel=0.01)
    assert half["Motion_Distance"] < 0.01 and half["Demo_Distance"] > 0.2


@pytest.mark.parametrize(("envs", "kept"), [(4, 4), (1024, 256)])
def test_what_is_looked_at_does_not_depend_on_the_devices(envs, kept):
    rollout = jnp.arange(8 * envs).reshape(8, envs)
    whole = nearness.some(rollout, 1)
    parts = [nearness.some(half, 2) for half in jnp.split(rollout, 2, axis=1)]
    assert whole.shape == (2 * kept,) and set(np.asarray(whole) // envs) == {7, 3}
    assert sorted(np.concatenate(parts).tolist()) == sorted(whole.tolist())


def test_shares_of_devices_are_those_of_the_whole():
    clips, motion = jax.random.normal(jax.random.key(2), (2, 8, 3))
    whole = nearness.measure(motion, jnp.ones(8), clips, None)
    split = jax.vmap(lambda m, c, d: nearness.measure(m, c, d, "env"), axis_name="env")(
        motion.reshape(2, 4, 3), jnp.ones((2, 4)), clips.reshape(2, 4, 3)
    )
    merged = statistics.values(statistics.along(split))
    for name, value in statistics.values(whole).items():
        assert merged[name] == pytest.approx(value, rel=1e-5)
