"""MuJoCo's own C engine on all cores, called from inside compiled loops.

The engine is a function: state and control in, state out. A compiled program calls it as a callback without side effects
that touches numpy only (a jax operation inside it costs ten times the physics). Outside, values are float32; inside, MuJoCo
computes on float64 rows, and its result equals, bit for bit, a loop over `mj_step` from the rounded state.
"""

from __future__ import annotations

import functools
import math
import threading
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
from jax.experimental.buffer_callback import buffer_callback
from mujoco.batch import Batch, SimulationError

from mimicjax.config.settings import EngineSettings
from mimicjax.engine import state
from mimicjax.engine.randomisation import Variants
from mimicjax.engine.scene import Scene, substeps
from mimicjax.types import Array, Engine, Physics


def make(scene: Scene, num_envs: int, settings: EngineSettings, variants: Variants | None = None) -> Engine:
    """The engine `native` for a scene, and its table of randomised models if there is one.

    `num_envs` only sizes the first allocation. `step` takes any number of environments, under vmap, scan and
    shard_map too, and every row's result is the same whatever its neighbours: leading axes are flattened, the first
    rows of one `Batch` are stepped, and a call with more rows than it has gets a larger one. Devices of one process
    take turns, since a `Batch` serves one thread at a time and each call already uses all cores
    (`settings.threads`; 0 takes all).

    MuJoCo's warnings (console and MUJOCO_LOG.TXT) are turned off for the process: here they are `Physics.unstable`.
    An environment is unstable when MuJoCo gave up on it, its control is not finite, or its state grew beyond
    `state.LARGEST_QPOS` or `state.LARGEST_QVEL`; it then stands as in `Layout.start_qpos`, objects too,
    at rest; others do not notice.
    """
    quiet()
    nq, nv = scene.layout.nq, scene.layout.nv
    stepper = _stepper(scene, num_envs, settings, variants or {})
    by_substep = functools.partial(stepper, controls=substeps(settings))

    def step(physics: Physics, ctrl: Array, wrench: Array, variant: Array | None = None) -> Physics:
        # one array each way: JAX takes 20 us for every argument of a pure_callback
        flat = wrench.reshape(*wrench.shape[:-2], -1)
        rows = [physics.qpos, physics.qvel, physics.warmstart, ctrl, flat]
        several = ctrl.ndim > physics.qpos.ndim
        if several:
            rows[3] = ctrl.reshape(*ctrl.shape[:-2], -1)
        if variants and variant is not None:
            rows.append(variant[..., None].astype(jnp.float32))  # whole up to 2^24
        packed = jnp.concatenate(rows, axis=-1)
        shape = jax.ShapeDtypeStruct((*packed.shape[:-1], nq + 2 * nv + 1), np.float32)
        run = by_substep if several else stepper
        stepped = _call(run, shape, packed)
        qpos, qvel, warmstart, unstable = jnp.split(stepped, np.cumsum([nq, nv, nv]), axis=-1)
        return Physics(qpos, qvel, warmstart, unstable[..., 0] > 0)

    return Engine("native", state.init, step, state.write, on_host=True)


def _call(function: Callable[..., np.ndarray], shape: jax.ShapeDtypeStruct, packed: Array) -> Array:
    """The function, run by the host on numpy arrays.

    On a CPU it gets XLA's own buffers. `jax.pure_callback` would copy them first, large ones in another thread of XLA's
    pool, and wait for ever if the pool has only one thread.
    """

    def in_place(_: Any, out: Any, inputs: Any) -> None:
        np.asarray(out)[...] = function(inputs)

    direct = buffer_callback(in_place, shape, vmap_method="broadcast_all")
    copied = functools.partial(jax.pure_callback, function, shape, vmap_method="broadcast_all")
    return jax.lax.platform_dependent(packed, cpu=direct, default=copied)


def quiet() -> None:
    """Keeps MuJoCo's warnings of exploding simulations off the console and out of the user's folder."""
    config = mujoco.MjLogConfig.get()
    config.logto_console = False
    config.logto_file = False
    mujoco.MjLogConfig.set(config)


def _stepper(scene: Scene, num_envs: int, settings: EngineSettings, variants: Variants) -> Callable[..., np.ndarray]:
    """The callback: [..., qpos qvel warmstart ctrl wrench (variant)] -> [..., qpos qvel warmstart unstable], float32.

    Its keyword `controls` says how many controls there are, one for each substep or 1 for all of them.
    """
    model, layout, count = scene.model, scene.layout, substeps(settings)
    bodies = layout.wrench_ids
    lock = threading.Lock()

    def allocate(rows: int) -> tuple[Batch, np.ndarray]:
        """A batch, and which of the randomised models each of its rows has: at first the unchanged one."""
        return Batch(model, rows, settings.threads), np.zeros(rows, np.int64)

    batch, running = allocate(max(1, num_envs))

    def stepper(packed: Array, controls: int = 1) -> np.ndarray:
        nonlocal batch, running
        inputs = np.asarray(packed)  # before anything: no jax operation here
        lead = inputs.shape[:-1]
        rows = math.prod(lead)
        widths = (layout.nq, layout.nv, layout.nv, controls * layout.nu, 6 * len(bodies))
        parts = np.split(inputs.reshape(rows, inputs.shape[-1]), np.cumsum(widths), axis=1)
        qpos, qvel, warmstart, ctrl, wrench, variant = parts
        ctrl = ctrl.reshape(rows, controls, layout.nu)
        with lock:
            if rows > batch.nsim:
                batch, running = allocate(rows)
            _dress(batch, running, variants, variant[:, 0] if variant.size else np.zeros(rows))
            # with control, wrench and model, this replaces all that an earlier call left in these rows
            for name, values in (("qpos", qpos), ("qvel", qvel), ("qacc_warmstart", warmstart)):
                batch.bind(name)[:rows] = values
            _push(batch, rows, bodies, wrench.reshape(rows, len(bodies), 6))
            failed = _advance(batch, rows, count, ctrl) | ~np.isfinite(ctrl).all(axis=(1, 2))
            outputs = _unload(batch, rows, failed, layout.start_qpos)
        return outputs.reshape(*lead, outputs.shape[1])

    return stepper


def _dress(batch: Batch, running: np.ndarray, variants: Variants, wanted: np.ndarray) -> None:
    """Gives the first rows the randomised models `wanted` [rows]; copies only where a row has another one now."""
    if not variants:
        return
    wanted = np.clip(wanted, 0, len(next(iter(variants.values()))) - 1).astype(np.int64)
    rows = np.flatnonzero(running[: len(wanted)] != wanted)
    if len(rows):
        for name, table in variants.items():
            batch.expand(name)[rows] = table[wanted[rows]]
        running[rows] = wanted[rows]


def _push(batch: Batch, rows: int, bodies: np.ndarray, wrench: np.ndarray) -> None:
    """Writes wrenches [rows,W,6]: force, then torque, at the body's centre of mass, as MuJoCo's."""
    applied = batch.bind("xfrc_applied")[:rows]
    if wrench.any() or applied.any():  # mostly neither, and then it costs nothing
        applied[:, bodies] = wrench


def _advance(batch: Batch, rows: int, count: int, ctrl: np.ndarray) -> np.ndarray:
    """Steps the first `rows` simulations `count` times, with ctrl [rows, count, D], or [rows, 1, D] throughout.

    Returns [rows] bool: those that MuJoCo gave up on. MuJoCo resets a bad simulation by itself, with its warning counters,
    and counts one warning after that; so a second reset of a row leaves its counter at the same 1 as the first. Counters
    are therefore set to zero before every step, instead of being compared with their earlier values.
    """
    failed = np.zeros(rows, bool)
    ids = None if rows == batch.nsim else np.arange(rows, dtype=np.int32)
    control = batch.bind("ctrl")[:rows]
    for now in range(ctrl.shape[1]):
        control[:] = ctrl[:, now]
        np.copyto(control, 0.0, where=~np.isfinite(control))
        batch.warning[:rows] = 0
        try:
            batch.step(ids, nstep=count // ctrl.shape[1])
        except SimulationError as error:
            failed[error.ids] = True
        failed |= batch.warning[:rows, 3:, 1].any(axis=1)  # bad qpos, qvel, qacc, ctrl
    return failed


def _unload(batch: Batch, rows: int, failed: np.ndarray, start_qpos: np.ndarray) -> np.ndarray:
    """Reads the first rows, [rows, qpos qvel warmstart unstable]; those that failed or grew huge stand as at the start."""
    fields = [batch.bind(name)[:rows] for name in ("qpos", "qvel", "qacc_warmstart")]
    outputs = np.zeros((rows, sum(values.shape[1] for values in fields) + 1), np.float32)
    qpos, qvel, warmstart, unstable = np.split(outputs, np.cumsum([values.shape[1] for values in fields]), axis=1)
    for place, values in zip((qpos, qvel, warmstart), fields, strict=True):
        place[:] = values
    fine = (np.abs(qpos) < state.LARGEST_QPOS).all(axis=1) & (np.abs(qvel) < state.LARGEST_QVEL).all(axis=1)
    broken = failed | ~fine | ~np.isfinite(warmstart).all(axis=1)  # a NaN is not below any bound
    outputs[broken] = 0.0
    qpos[broken] = start_qpos
    unstable[broken] = 1.0
    return outputs
