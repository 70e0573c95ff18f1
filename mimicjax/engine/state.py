"""What all engines share: how physics starts, how rows are rewritten, and when a simulation counts as exploded."""

from __future__ import annotations

import jax.numpy as jnp

from mimicjax.types import Array, Physics

# Beyond these a simulation counts as exploded: m, or rad unwrapped; m/s or rad/s. MuJoCo itself gives up at 1e10.
LARGEST_QPOS = 1e4
LARGEST_QVEL = 1e4


def init(qpos: Array, qvel: Array) -> Physics:
    """Physics of qpos [B,nq] and qvel [B,nv], with a fresh solver; all float32."""
    qpos, qvel = jnp.asarray(qpos, jnp.float32), jnp.asarray(qvel, jnp.float32)
    return Physics(qpos, qvel, warmstart=jnp.zeros_like(qvel), unstable=jnp.zeros(qpos.shape[:-1], bool))


def write(physics: Physics, mask: Array, qpos: Array, qvel: Array) -> Physics:
    """Puts qpos [B,nq], qvel [B,nv] where mask [B] is true, with a fresh solver; other rows keep every bit."""
    rows = mask[..., None]
    return Physics(
        qpos=jnp.where(rows, jnp.asarray(qpos, jnp.float32), physics.qpos),
        qvel=jnp.where(rows, jnp.asarray(qvel, jnp.float32), physics.qvel),
        warmstart=jnp.where(rows, 0.0, physics.warmstart),
        unstable=jnp.where(mask, False, physics.unstable),
    )
