"""The table of poses against the library it is made from."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mimicjax.motion import library, table
from mimicjax.types import CLAMP, WRAP

DT, STEPS = 1 / 30, 16
HALF = 0.5 * DT / STEPS  # s, what a lookup may be off
TIMES = np.random.default_rng(0).uniform(-1.5, 3.5, 200).astype(np.float32)


@pytest.fixture(scope="module")
def made(g1, clips):
    return table.tabulate(g1, clips, DT, STEPS)


@pytest.fixture(scope="module")
def query(g1, clips):
    one = jax.jit(lambda clip, times: jax.vmap(lambda t: library.query(g1, clips, clip, t))(times))
    return padded(one)


@pytest.fixture(scope="module")
def lookup(made):
    one = jax.jit(lambda clip, times: jax.vmap(lambda t: table.lookup(made, clip, t))(times))
    return padded(one)


def padded(one):
    """`one(clip, times [200])` for up to 200 times: one program for all tests."""

    def call(clip, times):
        poses = one(jnp.int32(clip), jnp.asarray(np.resize(times, len(TIMES)), jnp.float32))
        return jax.tree.map(lambda x: np.asarray(x)[: len(times)], poses)

    return call


def turned(a, b):
    """Angles between rotations, by way of the chord, which float32 does not round to nothing."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    return 4 * np.arcsin(np.clip(np.minimum(np.linalg.norm(a - b, axis=-1), np.linalg.norm(a + b, axis=-1)) / 2, 0, 1))


@pytest.mark.parametrize("clip", [WRAP, CLAMP])
def test_lookup_is_the_query_half_a_step_away_at_most(clip, query, lookup, clips):
    """Errors are bounded by the clip's fastest motion times half a grid step. Positions at once: loop offsets too."""
    got, want = lookup(1 - clip, TIMES), query(1 - clip, TIMES)
    speed = float(jnp.max(jnp.linalg.norm(clips.root_vel, axis=-1)))
    spin = float(jnp.max(jnp.linalg.norm(clips.root_ang_vel, axis=-1)))
    joint = float(jnp.max(jnp.abs(clips.dof_vel)))
    assert np.linalg.norm(got.root_pos - want.root_pos, axis=-1).max() <= speed * HALF + 1e-5
    assert turned(got.root_quat, want.root_quat).max() <= spin * HALF + 1e-3  # slerp jumps by 5e-4 where it averages
    assert np.abs(got.dof_pos - want.dof_pos).max() <= joint * HALF + 1e-3
    assert np.abs(got.body_pos - want.body_pos).max() <= 5e-3


@pytest.mark.parametrize("clip", [0, 1])
def test_grid_points_are_exact(clip, query, lookup):
    times = np.arange(3, 400, 10) * DT / STEPS
    np.testing.assert_allclose(lookup(clip, times).body_pos, query(clip, times).body_pos, atol=1e-5)


def test_loops_add_their_offset(lookup, clips):
    first, third = lookup(0, [0.4]), lookup(0, [2.4])
    for name in ("root_pos", "body_pos"):
        shift = np.asarray(getattr(third, name) - getattr(first, name)).reshape(-1, 3)
        np.testing.assert_allclose(shift, np.tile([1.6, 0, 0], (len(shift), 1)), atol=1e-5)
    np.testing.assert_array_equal(first.joint_quat, third.joint_quat)


def test_clamps_hold_their_ends(lookup, query):
    for time, end in ((-0.7, 0.0), (1.7, 1.0)):
        held = lookup(1, [time])
        # the last row is a float32 step before the end, where slerp halves the way between nearly equal rotations
        np.testing.assert_allclose(held.body_pos, query(1, [end]).body_pos, atol=1e-3)
        np.testing.assert_allclose(held.dof_vel, query(1, [end]).dof_vel, atol=1e-5)


def test_a_loop_just_before_its_end_is_its_last_frame(lookup, query):
    np.testing.assert_allclose(lookup(0, [0.99999]).root_pos, query(0, [0.99999]).root_pos, atol=1e-4)


def test_divisions_fit_the_memory(g1, clips, made):
    whole = table.divisions(g1, clips, DT, 1 << 30)
    assert whole == table.FINEST
    size = sum(leaf.size * 4 for leaf in jax.tree.leaves(made.poses))
    assert table.divisions(g1, clips, DT, size) == 16
    assert table.divisions(g1, clips, DT, size - 1) == 8
    assert table.divisions(g1, clips, DT, 100) == 0
