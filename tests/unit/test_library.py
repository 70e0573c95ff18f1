"""The clip library: packing, sampling, and its poses by invariants; golden values are in reference/."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import synthetic_clip

from mimicjax.motion import library
from mimicjax.robot import kinematics
from mimicjax.types import CLAMP, WRAP


def test_packing_many_clips_is_packing_each(g1):
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


def test_sampling_follows_the_weights(g1):
    short = dataclasses.replace(synthetic_clip(29, CLAMP, 16), weight=3.0)
    never = dataclasses.replace(synthetic_clip(29, CLAMP, 16), weight=0.0)
    packed = library.pack(g1, [synthetic_clip(29), short, never])
    clip, start = jax.jit(jax.vmap(lambda k: library.sample(packed, k)))(jax.random.split(jax.random.key(0), 4000))
    shares = np.bincount(np.asarray(clip), minlength=3) / 4000
    np.testing.assert_allclose(shares, [0.25, 0.75, 0.0], atol=0.03)
    assert (start >= 0).all() and (start < packed.duration[clip]).all()
    np.testing.assert_allclose(np.mean(start / packed.duration[clip]), 0.5, atol=0.02)
