"""MuJoCo's own C engine on all cores, called from inside compiled loops.

The engine is a function: state and control in, state out. It goes into a compiled program as a pure callback that
touches numpy only (a jax operation inside it costs ten times the physics). Outside, values are float32; inside, MuJoCo
computes on float64 rows, and what it computes is bit for bit a loop over `mj_step` from the rounded state.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
from mujoco.batch import Batch, SimulationError

from mimicjax.engine import scene, state
from mimicjax.settings import EngineSettings
from mimicjax.types import Array, Engine, Physics, Robot


def make(model: mujoco.MjModel, robot: Robot, num_envs: int, settings: EngineSettings) -> Engine:
    """The engine `native` for the model of `scene.build`.

    `num_envs` only sizes the first allocation. `step` takes any number of environments, under vmap, scan and
    shard_map too, and every row's result is the same whatever its neighbours: leading axes are flattened, the first
    rows of one `Batch` are stepped, and a call with more rows than it has gets a larger one. Devices of one process
    take turns, since a `Batch` serves one thread at a time and each call already uses all cores
    (`settings.threads`; 0 takes all).

    MuJoCo's warnings (console and MUJOCO_LOG.TXT) are turned off for the process: here they are `Physics.unstable`.
    An environment is unstable when MuJoCo gave up on it, its control is not finite, or its state grew beyond
    `state.LARGEST_QPOS` or `state.LARGEST_QVEL`; it then stands in the start pose at rest; others do not notice.
    """
    quiet()
    stepper = _stepper(model, robot, num_envs, settings)

    def step(physics: Physics, ctrl: Array, wrench: Array, variant: Array | None = None) -> Physics:
        # one array each way: JAX takes 20 us for every argument of a callback
        rows = (physics.qpos, physics.qvel, physics.warmstart, ctrl, wrench.reshape(*wrench.shape[:-2], -1))
        packed = jnp.concatenate(rows, axis=-1)
        shape = jax.ShapeDtypeStruct((*packed.shape[:-1], robot.nq + 2 * robot.nv + 1), np.float32)
        stepped = jax.pure_callback(stepper, shape, packed, vmap_method="broadcast_all")
        qpos, qvel, warmstart, unstable = jnp.split(stepped, np.cumsum([robot.nq, robot.nv, robot.nv]), axis=-1)
        return Physics(qpos, qvel, warmstart, unstable[..., 0] > 0)

    return Engine("native", state.init, step, state.write)


def quiet() -> None:
    """Keeps MuJoCo's warnings of exploding simulations off the console and out of the user's folder."""
    config = mujoco.MjLogConfig.get()
    config.logto_console = False
    config.logto_file = False
    mujoco.MjLogConfig.set(config)


def _stepper(
    model: mujoco.MjModel, robot: Robot, num_envs: int, settings: EngineSettings
) -> Callable[[Array], np.ndarray]:
    """The callback: [..., qpos qvel warmstart ctrl wrench] -> [..., qpos qvel warmstart unstable], float32."""
    count = scene.substeps(settings)
    bodies = scene.body_ids(model, robot, robot.wrench_bodies)
    places = np.cumsum([robot.nq, robot.nv, robot.nv, robot.num_dofs])
    lock = threading.Lock()
    batch = Batch(model, max(1, num_envs), settings.threads)

    def stepper(packed: Array) -> np.ndarray:
        nonlocal batch
        inputs = np.asarray(packed)  # before anything: no jax operation here
        lead = inputs.shape[:-1]
        rows = math.prod(lead)
        qpos, qvel, warmstart, ctrl, wrench = np.split(inputs.reshape(rows, inputs.shape[-1]), places, axis=1)
        with lock:
            if rows > batch.nsim:
                batch = Batch(model, rows, settings.threads)
            _load(batch, rows, qpos, qvel, warmstart, ctrl)
            _push(batch, rows, bodies, wrench.reshape(rows, len(bodies), 6))
            failed = _advance(batch, rows, count) | ~np.isfinite(ctrl).all(axis=1)
            outputs = _unload(batch, rows, failed, robot.start_qpos)
        return outputs.reshape(*lead, outputs.shape[1])

    return stepper


def _load(batch: Batch, rows: int, qpos, qvel, warmstart, ctrl) -> None:
    """Writes all that a step depends on into the first rows, so that nothing of an earlier call survives in them."""
    fields = ("qpos", "qvel", "qacc_warmstart", "ctrl")
    for name, values in zip(fields, (qpos, qvel, warmstart, ctrl), strict=True):
        batch.bind(name)[:rows] = values
    control = batch.bind("ctrl")[:rows]
    np.copyto(control, 0.0, where=~np.isfinite(control))


def _push(batch: Batch, rows: int, bodies: np.ndarray, wrench: np.ndarray) -> None:
    """Writes wrenches [rows,W,6]: force, then torque, at the body's centre of mass, as MuJoCo's."""
    applied = batch.bind("xfrc_applied")[:rows]
    if wrench.any() or applied.any():  # mostly neither, and then it costs nothing
        applied[:, bodies] = wrench


def _advance(batch: Batch, rows: int, count: int) -> np.ndarray:
    """Steps the first `rows` simulations `count` times; gives [rows] bool, those that MuJoCo gave up on.

    MuJoCo resets a bad simulation by itself, its warning counters too, and only then counts one warning: the second
    reset of a row leaves the counter where the first put it. So counters are zeroed before, not compared.
    """
    batch.warning[:rows] = 0
    broken = []
    try:
        batch.step(None if rows == batch.nsim else np.arange(rows, dtype=np.int32), nstep=count)
    except SimulationError as error:
        broken = error.ids
    failed = batch.warning[:rows, 3:, 1].any(axis=1)  # bad qpos, qvel, qacc, ctrl
    failed[broken] = True
    return failed


def _unload(batch: Batch, rows: int, failed: np.ndarray, start_qpos: np.ndarray) -> np.ndarray:
    """Reads the first rows, [rows, qpos qvel warmstart unstable]; those that failed or grew huge are in the start pose."""
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
