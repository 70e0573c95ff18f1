"""Rotations: quaternions (w first), exponential maps, heading, 6-D rotations. MimicKit's conventions and thresholds.

All functions take any leading axes. Source: Peng et al., MimicKit; thresholds as there, so that golden values agree.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

SMALL = 1e-5  # below this an axis or an angle counts as zero


def multiply(a: jax.Array, b: jax.Array) -> jax.Array:
    """The product a b [...,4]: b acts first."""
    aw, ax, ay, az = jnp.moveaxis(a, -1, 0)
    bw, bx, by, bz = jnp.moveaxis(b, -1, 0)
    return jnp.stack(
        [
            aw * bw - ax * bx - ay * by - az * bz,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
        ],
        axis=-1,
    )


def conjugate(q: jax.Array) -> jax.Array:
    """The inverse of a unit quaternion [...,4]."""
    return q * jnp.asarray([1.0, -1.0, -1.0, -1.0], q.dtype)


def cross(a: jax.Array, b: jax.Array) -> jax.Array:
    """a x b [...,3]; jnp.cross moves axes about, which costs time on a CPU."""
    ax, ay, az = jnp.moveaxis(a, -1, 0)
    bx, by, bz = jnp.moveaxis(b, -1, 0)
    return jnp.stack([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx], axis=-1)


def rotate(q: jax.Array, v: jax.Array) -> jax.Array:
    """R(q) v, q [...,4], v [...,3]."""
    w, xyz = q[..., :1], q[..., 1:]
    t = 2.0 * cross(xyz, v)
    return v + w * t + cross(xyz, t)


def positive(q: jax.Array) -> jax.Array:
    """The same rotation with w >= 0."""
    return jnp.where(q[..., :1] < 0, -q, q)


def normalize(q: jax.Array) -> jax.Array:
    """q / |q|, safe at zero."""
    return q / jnp.maximum(jnp.linalg.norm(q, axis=-1, keepdims=True), 1e-9)


def log(q: jax.Array) -> jax.Array:
    """Exponential map (axis x angle) [...,3] of a quaternion, angle in [0, pi]."""
    q = positive(q)
    sine = jnp.sqrt(jnp.sum(q[..., 1:] ** 2, axis=-1, keepdims=True))
    safe = jnp.where(sine > SMALL, sine, 1.0)
    angle = 2.0 * jnp.arctan2(sine, q[..., :1])
    return jnp.where(sine > SMALL, q[..., 1:] / safe * angle, 0.0)


def exp(e: jax.Array) -> jax.Array:
    """Quaternion [...,4] of an exponential map [...,3]; the angle is wrapped into (-pi, pi]."""
    length = jnp.sqrt(jnp.sum(e**2, axis=-1, keepdims=True))
    wrapped = jnp.arctan2(jnp.sin(length), jnp.cos(length))
    keep = jnp.abs(wrapped) > SMALL
    axis = e / jnp.where(length > 0, length, 1.0)
    half = 0.5 * jnp.where(keep, wrapped, 0.0)
    return jnp.concatenate([jnp.cos(half), axis * jnp.sin(half)], axis=-1)


def angle(a: jax.Array, b: jax.Array) -> jax.Array:
    """Geodesic angle between two rotations [...], rad in [0, pi]."""
    # of q = b a* only the length of the vector part and w are needed; |q| = 1 gives the length from both products
    w = jnp.sum(a * b, axis=-1)
    aw, av, bw, bv = a[..., :1], a[..., 1:], b[..., :1], b[..., 1:]
    sine = jnp.sqrt(jnp.sum((aw * bv - bw * av - cross(bv, av)) ** 2, axis=-1))
    return jnp.where(sine > SMALL, 2.0 * jnp.arctan2(sine, jnp.abs(w)), 0.0)


def about(axis: jax.Array, theta: jax.Array) -> jax.Array:
    """Rotation by theta [...] about a unit axis [...,3] -> [...,4]; a zero axis gives the identity."""
    half = 0.5 * theta[..., None]
    moves = jnp.any(axis != 0, axis=-1, keepdims=True)
    return jnp.concatenate([jnp.where(moves, jnp.cos(half), 1.0), axis * jnp.sin(half)], axis=-1)


def twist(q: jax.Array, axis: jax.Array) -> jax.Array:
    """Signed angle [...] of the part of q about a unit axis [...,3], in [-pi, pi]."""
    along = jnp.sum(q[..., 1:] * axis, axis=-1)
    w = q[..., 0]
    sign = jnp.where(w < 0, -1.0, 1.0)
    return 2.0 * jnp.arctan2(sign * along, sign * w)


def heading(q: jax.Array) -> jax.Array:
    """Angle about z [...] of the rotated x axis."""
    w, x, y, z = jnp.moveaxis(q, -1, 0)
    return jnp.arctan2(2.0 * (x * y + w * z), 1.0 - 2.0 * (y * y + z * z))


def heading_quat(q: jax.Array) -> jax.Array:
    """The rotation about z [...,4] by the heading of q."""
    half = 0.5 * heading(q)
    zero = jnp.zeros_like(half)
    return jnp.stack([jnp.cos(half), zero, zero, jnp.sin(half)], axis=-1)


def six(q: jax.Array) -> jax.Array:
    """6-D rotation [...,6]: first and third column of the matrix (MimicKit's tangent and normal)."""
    w, x, y, z = jnp.moveaxis(q, -1, 0)
    return jnp.stack(
        [
            1.0 - 2.0 * (y * y + z * z),
            2.0 * (x * y + w * z),
            2.0 * (x * z - w * y),
            2.0 * (x * z + w * y),
            2.0 * (y * z - w * x),
            1.0 - 2.0 * (x * x + y * y),
        ],
        axis=-1,
    )


def slerp(a: jax.Array, b: jax.Array, s: jax.Array) -> jax.Array:
    """Spherical interpolation [...,4], s [...] in [0, 1].

    Nearly equal rotations are blended along the line, where MimicKit takes their mean whatever s is: a slow limb there
    jerks from frame to frame by up to 0.001 rad a joint, which is a millimetre at the hands of a robot.
    """
    cosine = jnp.sum(a * b, axis=-1, keepdims=True)
    b = jnp.where(cosine < 0, -b, b)
    cosine = jnp.abs(cosine)
    theta = jnp.arccos(jnp.minimum(cosine, 1.0))
    sine = jnp.sqrt(jnp.maximum(1.0 - cosine * cosine, 0.0))
    near = sine < 0.001
    safe = jnp.where(near, 1.0, sine)
    s = s[..., None]
    between = (jnp.sin((1.0 - s) * theta) * a + jnp.sin(s * theta) * b) / safe
    return jnp.where(near, (1.0 - s) * a + s * b, between)


def nlerp(a: jax.Array, b: jax.Array, s: jax.Array) -> jax.Array:
    """Normalised linear interpolation [...,4], s [...] in [0, 1], the short way round.

    Exact at both ends and in the middle; between, for rotations that differ by x rad, x at most 1, within x^3 / 240 rad of slerp.
    """
    sign = jnp.where(jnp.sum(a * b, axis=-1, keepdims=True) < 0, -1.0, 1.0)
    s = s[..., None]
    return normalize((1.0 - s) * a + s * sign * b)
