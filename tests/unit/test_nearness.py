"""Distances of the policy's motion from the clips, against sums written out."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mimicjax import statistics
from mimicjax.learn import nearness


def test_distance_and_coverage_of_points_on_a_line():
    """Demonstrations at 0, 1, ..., 9; the policy is at 0.25 and 2.5, and a third one that does not count at 9."""
    clips = jnp.arange(10.0)[:, None]
    motion, counts = jnp.asarray([[0.25], [2.5], [9.0]]), jnp.asarray([1.0, 1.0, 0.0])
    shown = statistics.values(nearness.measure(motion, counts, clips, None))
    assert shown["Motion_Distance"] == pytest.approx((0.25 + 0.5) / 2)
    assert shown["Demo_Distance"] == pytest.approx(1.0)
    # the fifth nearest other one is 5 from the ends, 4 from those beside, then 3: 0 to 5 see 2.5 within it, 6 to 9 do not,
    # as 6 is 3.5 from it with a radius of 3
    gaps = np.abs(np.arange(10.0)[:, None] - np.arange(10.0))
    radius = np.sort(gaps, axis=1)[:, 5]
    want = np.mean(np.min(np.abs(np.arange(10.0)[:, None] - [0.25, 2.5]), axis=1) <= radius)
    assert shown["Demo_Coverage"] == pytest.approx(want) == pytest.approx(0.6)


def test_a_distance_is_in_standard_deviations():
    """Off by 2 in every one of 50 features is a distance of 2."""
    a = jax.random.normal(jax.random.key(0), (4, 50))
    np.testing.assert_allclose(jnp.diag(nearness.distances(a, a + 2.0)), 2.0, rtol=1e-4)
    np.testing.assert_allclose(
        statistics.value(nearness.size(jnp.full((3, 7), -2.0), jnp.ones(3))["Motion_Distance"]), 2.0
    )


def test_motion_that_is_the_clips_is_as_near_as_they_are_to_themselves():
    clips, motion = jax.random.normal(jax.random.key(1), (2, 400, 3))
    shown = statistics.values(nearness.measure(motion, jnp.ones(400), clips, None))
    assert shown["Motion_Distance"] == pytest.approx(shown["Demo_Distance"], rel=0.1) and shown["Demo_Coverage"] > 0.9
    still = statistics.values(nearness.measure(jnp.zeros((400, 3)), jnp.ones(400), clips, None))
    assert still["Demo_Coverage"] < 0.2  # a robot that stands in the middle of all is near to few


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
