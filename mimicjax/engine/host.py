"""What engines outside XLA share: a control step as one call of the host, from inside compiled loops.

The callback touches numpy only (a jax operation inside it costs ten times the physics) and keeps nothing that the caller
cannot save. Everything goes as one packed array each way: JAX takes 20 us for every argument of a pure_callback.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.buffer_callback import buffer_callback

from mimicjax.engine import state
from mimicjax.types import Array, Layout, Physics

Stepper = Callable[..., np.ndarray]  # [..., qpos qvel warmstart ctrl wrench (variant)], controls=n -> as `packed`


class Inputs(NamedTuple):
    """What a control step takes, leading axes flattened to R rows; views of one float32 array."""

    lead: tuple[int, ...]  # the axes that R stands for
    qpos: np.ndarray  # [R,nq]
    qvel: np.ndarray  # [R,nv]
    warmstart: np.ndarray  # [R,nv]
    ctrl: np.ndarray  # [R,S,D], S controls that take turns in the control step
    wrench: np.ndarray  # [R,W,6]
    variant: np.ndarray  # [R,1], or [R,0] where no models are randomised


def step_of(stepper: Stepper, layout: Layout, substeps: int, randomised: bool) -> Callable[..., Physics]:
    """`Engine.step` by a stepper. It is told by its keyword `controls` how many controls there are, 1 or `substeps`."""
    by_substep = functools.partial(stepper, controls=substeps)
    sizes = np.cumsum([layout.nq, layout.nv, layout.nv])

    def step(physics: Physics, ctrl: Array, wrench: Array, variant: Array | None = None) -> Physics:
        flat = wrench.reshape(*wrench.shape[:-2], -1)
        rows = [physics.qpos, physics.qvel, physics.warmstart, ctrl, flat]
        several = ctrl.ndim > physics.qpos.ndim
        if several:
            rows[3] = ctrl.reshape(*ctrl.shape[:-2], -1)
        if randomised and variant is not None:
            rows.append(variant[..., None].astype(jnp.float32))  # whole up to 2^24
        inputs = jnp.concatenate(rows, axis=-1)
        shape = jax.ShapeDtypeStruct((*inputs.shape[:-1], int(sizes[-1]) + 1), np.float32)
        stepped = _call(by_substep if several else stepper, shape, inputs)
        qpos, qvel, warmstart, unstable = jnp.split(stepped, sizes, axis=-1)
        return Physics(qpos, qvel, warmstart, unstable[..., 0] > 0)

    return step


def _call(function: Callable[..., np.ndarray], shape: jax.ShapeDtypeStruct, inputs: Array) -> Array:
    """The function, run by the host on numpy arrays.

    On a CPU it gets XLA's own buffers. `jax.pure_callback` would copy them first, large ones in another thread of XLA's
    pool, and wait for ever if the pool has only one thread.
    """

    def in_place(_: Any, out: Any, inputs: Any) -> None:
        np.asarray(out)[...] = function(inputs)

    direct = buffer_callback(in_place, shape, vmap_method="broadcast_all")
    copied = functools.partial(jax.pure_callback, function, shape, vmap_method="broadcast_all")
    return jax.lax.platform_dependent(inputs, cpu=direct, default=copied)


def unpack(packed: Any, layout: Layout, controls: int) -> Inputs:
    """What `step_of` packed, with `controls` controls."""
    inputs = np.asarray(packed)  # before anything: no jax operation here
    lead, bodies = inputs.shape[:-1], len(layout.wrench_ids)
    rows = math.prod(lead)
    widths = (layout.nq, layout.nv, layout.nv, controls * layout.nu, 6 * bodies)
    parts = np.split(inputs.reshape(rows, inputs.shape[-1]), np.cumsum(widths), axis=1)
    qpos, qvel, warmstart, ctrl, wrench, variant = parts
    return Inputs(
        lead, qpos, qvel, warmstart, ctrl.reshape(rows, controls, layout.nu), wrench.reshape(rows, bodies, 6), variant
    )


def pack(lead: tuple[int, ...], fields: Sequence[np.ndarray], failed: np.ndarray, start_qpos: np.ndarray) -> np.ndarray:
    """[..., qpos qvel warmstart unstable] float32 of fields qpos, qvel, warmstart [R,...].

    Rows that failed ([R] bool), are not finite or grew huge are unstable and stand as at the start, at rest.
    """
    outputs = np.zeros((len(failed), sum(values.shape[1] for values in fields) + 1), np.float32)
    qpos, qvel, warmstart, unstable = np.split(outputs, np.cumsum([values.shape[1] for values in fields]), axis=1)
    for place, values in zip((qpos, qvel, warmstart), fields, strict=True):
        place[:] = values
    fine = (np.abs(qpos) < state.LARGEST_QPOS).all(axis=1) & (np.abs(qvel) < state.LARGEST_QVEL).all(axis=1)
    broken = failed | ~fine | ~np.isfinite(warmstart).all(axis=1)  # a NaN is not below any bound
    outputs[broken] = 0.0
    qpos[broken] = start_qpos
    unstable[broken] = 1.0
    return outputs.reshape(*lead, outputs.shape[1])
