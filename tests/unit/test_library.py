"""The clip library: packing, sampling, and its poses by invariants; golden values are in reference/."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import synthetic_clip

from mimicjax.motion import blocks, library
from mimicjax.robot import kinematics
from mimicjax.types import CLAMP, WRAP


@pytest.mark.parametrize("block", [10, 8192])
def test_packing_many_clips_is_packing_each(block, g1, monkeypatch):
    """At once, or in blocks that end within clips and between them."""
    monkeypatch.setattr(blocks, "BLOCK", block)
    several = [synthetic_clip(29, WRAP, 31), synthetic_clip(29, CLAMP, 12), synthetic_clip(29, WRAP, 2)]
    several[1] = dataclasses.replace(several[1], fps=50.0, weight=3.0)
    packed = library.pack(g1, several)
    np.testing.assert_array_equal(packed.start, [0, 31, 43])
    np.testing.assert_array_equal(packed.frames, [31, 12, 2])
    np.testing.assert_allclose(packed.duration, [1.0, 11 / 50, 1 / 30], rtol=1e-6)
    np.testing.assert_allclose(packed.weight, [0.2, 0.6, 0.2], rtol=1e-6)
    for i, clip in list(enumerate(several))[1:]:
        alone = library.pack(g1, [clip])
        rows = slice(int(packed.start[i]), int(packed.start[i]) + len(clip.root_pos))
        for name in ("root_pos", "root_quat", "root_vel", "root_ang_vel", "joint_quat", "dof_vel"):
            np.testing.assert_allclose(getattr(packed, name)[rows], getattr(alone, name), atol=1e-6, err_msg=name)
        for name in ("root_vel", "dof_vel"):
            np.testing.assert_array_equal(getattr(packed, name)[rows][-1], getattr(packed, name)[rows][-2])


def test_hinge_velocities_are_differences_of_angles(g1, clips):
    clip = synthetic_clip(29)
    want = 30.0 * np.diff(clip.dof_pos, axis=0)
    np.testing.assert_allclose(clips.dof_vel[:30], want, atol=1e-4)


def test_query_on_a_frame_is_the_frame(g1, clips):
    clip = synthetic_clip(29)

    @jax.jit
    def both(clips, time):
        pose = library.query(g1, clips, 0, time)
        return pose, kinematics.forward(g1, pose.root_pos, pose.root_quat, pose.joint_quat)

    pose, again = both(clips, jnp.float32(10.001 / 30))
    np.testing.assert_allclose(pose.root_pos, clip.root_pos[10], atol=1e-4)
    np.testing.assert_allclose(pose.dof_pos, clip.dof_pos[10], atol=2e-4)
    np.testing.assert_allclose(pose.body_pos, again[0], atol=1e-6)


@pytest.mark.parametrize(("clip", "time", "phase"), [(0, 2.25, 0.25), (0, -0.25, 0.75), (1, 2.25, 1.0), (1, -1.0, 0.0)])
def test_phase(clip, time, phase, clips):
    np.testing.assert_allclose(library.phase(clips, jnp.int32(clip), jnp.float32(time)), phase, atol=1e-6)


def shares_of(packed, draws=4000):
    """How often each clip is drawn, and the times in it as shares of its duration."""
    keys = jax.random.split(jax.random.key(0), draws)
    clip, start = jax.jit(jax.vmap(library.sample, in_axes=(None, 0)))(packed, keys)
    assert (start >= 0).all() and (start < packed.duration[clip]).all()
    return np.bincount(np.asarray(clip), minlength=len(packed.duration)) / draws, start / packed.duration[clip]


def test_sampling_follows_the_weights(g1):
    short = dataclasses.replace(synthetic_clip(29, CLAMP, 16), weight=3.0)
    shares, times = shares_of(library.pack(g1, [synthetic_clip(29), short]))
    np.testing.assert_allclose(shares, [0.25, 0.75], atol=0.03)
    np.testing.assert_allclose(np.mean(times), 0.5, atol=0.02)


def test_sampling_a_thousand_clips(clips):
    """Counts of 200,000 draws by chi squared, which has mean 499 and deviation 32 if 500 of 1,000 clips are drawn."""
    weight = np.where(np.arange(1000) % 2, np.random.default_rng(0).uniform(0.1, 1.0, 1000), 0.0)
    many = library.weighted(clips._replace(duration=jnp.ones(1000)), jnp.asarray(weight, jnp.float32))
    shares, _ = shares_of(many, 200_000)
    assert (shares[weight == 0] == 0).all()
    expected = 200_000 * (weight / weight.sum())[weight > 0]
    chi = np.sum((200_000 * shares[weight > 0] - expected) ** 2 / expected)
    assert 499 - 5 * 32 < chi < 499 + 5 * 32


@pytest.mark.parametrize("weight", [[0, 1, 0, 0, 2, 0], [1, 0], [0, 1], [0, 0, 1e-3]])
def test_a_clip_of_weight_zero_is_never_drawn(weight, clips):
    """At the ends of what a uniform number may be, and where two clips meet."""
    many = library.weighted(clips._replace(duration=jnp.ones(len(weight))), jnp.asarray(weight, jnp.float32))
    edges = [0.0, 1 - 2.0**-23, *np.asarray(many.cumulative), *np.nextafter(np.asarray(many.cumulative), np.float32(0))]
    for height in edges:
        numbers = jnp.asarray([min(height, 1 - 2.0**-23), 0.0], jnp.float32)
        assert weight[int(library.from_uniform(many, numbers)[0])] > 0


@pytest.mark.parametrize("scale", [1.0, 7.0, 1e-3])
def test_weights_on_the_device_sum_up_in_order(scale, clips):
    """Sums never fall and stand still where a weight is 0, though parallel sums round in their own order."""
    weight = np.random.default_rng(1).uniform(size=10_000) ** 8
    weight[::3] = 0.0
    weight[:5] = weight[-5:] = 0.0
    many = jax.jit(library.weighted)(clips, jnp.asarray(scale * weight, jnp.float32))
    steps = np.diff(np.asarray(many.cumulative), prepend=np.float32(0))
    assert (steps >= 0).all() and (steps[weight == 0] == 0).all()
    np.testing.assert_allclose(many.cumulative, np.cumsum(weight) / weight.sum(), atol=1e-6)
    np.testing.assert_allclose(many.weight, weight / weight.sum(), rtol=1e-5)
