"""Rotations against MuJoCo's own and by their invariants; the golden values are in reference/."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from mimicjax import rotation

RNG = np.random.default_rng(0)
QUATS = RNG.normal(size=(20, 4))
QUATS = (QUATS / np.linalg.norm(QUATS, axis=-1, keepdims=True)).astype(np.float32)
VECTORS = RNG.normal(size=(20, 3)).astype(np.float32)
AXES = VECTORS / np.linalg.norm(VECTORS, axis=-1, keepdims=True)
THETAS = RNG.uniform(-3.1, 3.1, 20).astype(np.float32)


def near(got, want, atol=2e-6):
    np.testing.assert_allclose(got, want, atol=atol, rtol=0)


def by_mujoco(function, size, *inputs):
    """MuJoCo's `function(result [size], *row)` over the rows of the inputs."""
    results = np.zeros((len(inputs[0]), size))
    for result, *row in zip(results, *inputs, strict=True):
        function(result, *(np.asarray(x, np.float64) for x in row))
    return results


def test_multiply():
    near(rotation.multiply(QUATS, QUATS[::-1]), by_mujoco(mujoco.mju_mulQuat, 4, QUATS, QUATS[::-1]))


def test_rotate():
    turned = by_mujoco(lambda result, v, q: mujoco.mju_rotVecQuat(result, v, q), 3, VECTORS, QUATS)
    near(rotation.rotate(QUATS, VECTORS), turned)


def test_conjugate_undoes():
    near(rotation.multiply(QUATS, rotation.conjugate(QUATS)), np.tile([1, 0, 0, 0], (20, 1)))


def test_six_is_the_first_and_the_third_column():
    matrix = by_mujoco(mujoco.mju_quat2Mat, 9, QUATS).reshape(20, 3, 3)
    near(rotation.six(QUATS), np.concatenate([matrix[:, :, 0], matrix[:, :, 2]], axis=-1))


def test_log_and_exp():
    maps = rotation.log(QUATS)
    angles = np.linalg.norm(maps, axis=-1)
    assert (angles <= np.pi + 1e-6).all()
    near(rotation.exp(maps), rotation.positive(QUATS))
    near(rotation.log(-QUATS), maps)


@pytest.mark.parametrize("e", [(0.0, 0.0, 0.0), (1e-7, 0.0, 0.0)])
def test_no_rotation(e):
    q = rotation.exp(jnp.asarray(e))
    np.testing.assert_array_equal(q, [1, 0, 0, 0])
    np.testing.assert_array_equal(rotation.log(q), [0, 0, 0])


def test_angle():
    turn = rotation.about(AXES, THETAS)
    near(rotation.angle(rotation.multiply(turn, QUATS), QUATS), np.abs(THETAS), atol=2e-5)
    near(rotation.angle(QUATS, -QUATS), np.zeros(20), atol=2e-5)


def test_about_and_twist():
    near(rotation.about(AXES, THETAS), by_mujoco(mujoco.mju_axisAngle2Quat, 4, AXES, THETAS))
    near(rotation.twist(rotation.about(AXES, THETAS), AXES), THETAS, atol=1e-5)
    np.testing.assert_array_equal(rotation.about(jnp.zeros(3), jnp.float32(2.0)), [1, 0, 0, 0])


def test_heading():
    forward = np.asarray(rotation.rotate(QUATS, np.broadcast_to(np.float32([1, 0, 0]), (20, 3))))
    near(rotation.heading(QUATS), np.arctan2(forward[:, 1], forward[:, 0]), atol=1e-5)
    away = rotation.multiply(rotation.conjugate(rotation.heading_quat(QUATS)), QUATS)
    near(rotation.heading(away), np.zeros(20), atol=1e-5)


def test_slerp():
    a, b = jnp.asarray(QUATS), jnp.asarray(QUATS[::-1])
    near(rotation.slerp(a, b, jnp.zeros(20)), a, atol=1e-5)
    assert float(jnp.max(rotation.angle(rotation.slerp(a, b, jnp.ones(20)), b))) < 1e-3
    part = rotation.angle(rotation.slerp(a, b, jnp.full(20, 0.3)), a)
    near(part, 0.3 * rotation.angle(a, b), atol=2e-4)


@pytest.mark.parametrize("angle", [0.0, 0.0004, 0.0015, 0.0025])
@pytest.mark.parametrize("blend", [rotation.slerp, rotation.nlerp])
def test_blends_of_nearly_equal_rotations_go_evenly(blend, angle):
    """By the half angle about x, on both sides of where slerp changes its formula (MimicKit takes the mean there)."""
    turn = lambda e: jnp.asarray([np.cos(e / 2), np.sin(e / 2), 0, 0], jnp.float32)  # noqa: E731
    near(blend(turn(0.0), turn(angle), jnp.float32(0.9)), turn(0.9 * angle), atol=2e-6)
    near(blend(turn(0.0), turn(angle), jnp.float32(0.0)), turn(0.0), atol=1e-6)


def test_nlerp_is_slerp_within_its_bound():
    """x^3 / 240 for rotations x rad apart, up to 1, the short way; at the ends and halfway the same."""
    shares = np.linspace(0, 1, 41)
    for x in (0.1, 0.3, 1.0):
        a, b = (np.asarray([np.cos(e / 2), 0, np.sin(e / 2), 0]) for e in (0.1, 0.1 + x))
        got = jax.vmap(lambda s, a=a, b=b: rotation.nlerp(jnp.asarray(a, jnp.float32), -jnp.asarray(b, jnp.float32), s))
        angles = 2 * np.arctan2(*np.asarray(got(jnp.asarray(shares, jnp.float32)), np.float64).T[[2, 0]])
        error = np.abs(angles - 0.1 - shares * x)
        assert error.max() < x**3 / 240
        assert error[[0, 20, 40]].max() < 2e-6


def test_normalize_is_safe_at_zero():
    assert np.isfinite(rotation.normalize(jnp.zeros(4))).all()
    near(rotation.normalize(3 * jnp.asarray(QUATS)), QUATS)


def test_leading_axes():
    q = jnp.asarray(QUATS).reshape(2, 10, 4)
    near(jax.vmap(rotation.six)(q), rotation.six(q), atol=0)
