"""The clip library against MimicKit's (golden values B.1); its quaternions are x, y, z, w."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mimicjax.motion import library

WRAP, CLAMP = 0, 1  # clips of the fixture
# clip, time, phase, root position, root rotation xyzw, velocity, angular velocity, left knee's y and w,
# first three joint velocities, checksums of joint rotations and of joint velocities
ROWS = [
    (WRAP, -0.113, 0.887, (-0.0904, -0.064838, 0.782955), (-0.032361, 0.018829, -0.097082, 0.994592),
     (0.8, 0.466079, 0.248126), (0.512494, 0.20638, 1.382127), (0.058087, 0.998311), (1.398235, 1.75888, 1.881468),
     (30.47573, 0.10509, 32.44514), (2.13178, -0.07335, 36.53474)),
    *[(clip, 0.26, 0.26, (0.208, 0.099452, 0.760437), (0.049521, -0.001561, 0.148564, 0.987657),
       (0.8, 0, 0), (0.046392, -0.30844, -0.015468), (0.057876, 0.998339), (0, -0.680387, -1.268685),
       (29.50515, -0.00041, 32.66606), (-7.25421, 1.10150, 33.32302)) for clip in (WRAP, CLAMP)],
    *[(clip, 0.987, 0.987, (0.7896, -0.008109, 0.799326), (-0.004054, 0.024786, -0.012161, 0.999613),
       (0.8, 0.623735, 0.051874), (0.670244, 0.032239, 1.854846), (0.127449, 0.991809), (1.871205, 1.815692, 1.514439),
       (30.44487, -0.16959, 32.47689), (-2.88479, 0.77309, 36.33060)) for clip in (WRAP, CLAMP)],
    (WRAP, 1.71, 0.71, (1.368, -0.09641, 0.762805), (-0.048018, -0.006168, -0.144053, 0.988376),
     (0.8, -0.130396, -0.101477), (-0.083933, 0.301699, -0.406498), (-0.097428, 0.995266),
     (-0.391184, 0.300802, 0.952079), (29.96321, 0.63202, 32.71466), (7.85731, -1.26315, 32.76639)),
    (CLAMP, 1.71, 1.0, (0.8, 0, 0.8), (0, 0.024997, 0, 0.999687),
     (0.8, 0.623735, 0.051874), (0.670244, 0.032239, 1.854846), (0.133951, 0.990988), (1.871205, 1.815692, 1.514439),
     (30.42268, -0.19775, 32.49615), (-2.88479, 0.77309, 36.33060)),
    (CLAMP, -0.113, 0.0, (0, 0, 0.8), (0, 0.024997, 0, 0.99969),
     (0.8, 0.623735, -0.051874), (0.670244, -0.032236, 1.854846), (0.133949, 0.990973), (1.871205, 1.673461, 1.249217),
     (30.42221, -0.19760, 32.49567), (-4.40130, 1.00336, 35.61879)),
]  # fmt: skip
# Velocities are differences of float32 positions and rotations times 30, so their rounding is 30 x 6e-8 of a metre or
# radian and more: 2e-5 absolute. Sums of 29 or 120 such numbers carry ten times that.
VELOCITY, SUM = 2e-5, 3e-4


@pytest.fixture(scope="module")
def query(g1):
    return jax.jit(lambda clips, clip, time: library.query(g1, clips, clip, time))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{'wrap' if row[0] == WRAP else 'clamp'} {row[1]}")
def test_query(row, query, clips, golden, checksums):
    clip, time, phase, root_pos, root_quat, vel, ang_vel, knee, dof_vel, quat_sums, vel_sums = row
    clip, time = jnp.int32(clip), jnp.float32(time)
    pose = query(clips, clip, time)
    golden(library.phase(clips, clip, time), phase)
    golden(pose.root_pos, root_pos)
    golden(jnp.roll(pose.root_quat, -1), root_quat)
    golden(pose.root_vel, vel, atol=VELOCITY)
    golden(pose.root_ang_vel, ang_vel, atol=VELOCITY)
    golden(pose.joint_quat[3], (knee[1], 0, knee[0], 0))
    golden(pose.dof_vel[:3], dof_vel, atol=VELOCITY)
    golden(checksums(jnp.roll(pose.joint_quat, -1, axis=-1)), quat_sums, atol=SUM)
    golden(checksums(pose.dof_vel), vel_sums, atol=SUM)


def test_loop_offset(clips, golden):
    golden(clips.loop_offset, [[0.8, 0, 0], [0, 0, 0]])


def test_a_loop_ends_on_its_first_frame_one_offset_later(query, clips, golden):
    ends = query(clips, jnp.int32(WRAP), clips.duration[WRAP])
    begins = query(clips, jnp.int32(WRAP), jnp.float32(0))
    golden(ends.root_pos, begins.root_pos + clips.loop_offset[WRAP])
    np.testing.assert_array_equal(ends.dof_pos, begins.dof_pos)
