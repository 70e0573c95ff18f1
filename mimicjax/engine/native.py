"""MuJoCo's own C engine on all cores, called from inside compiled loops.

The engine is a function: state and control in, state out. A compiled program calls it as a callback without side effects
that touches numpy only (a jax operation inside it costs ten times the physics). Outside, values are float32; inside, MuJoCo
computes on float64 rows, and its result equals, bit for bit, a loop over `mj_step` from the rounded state.
"""

from __future__ import annotations

import threading

import mujoco
import numpy as np
from mujoco.batch import Batch, SimulationError

from mimicjax.config.settings import EngineSettings
from mimicjax.engine import host, state
from mimicjax.engine.randomisation import Variants
from mimicjax.engine.scene import Scene, substeps
from mimicjax.types import Array, Engine

STATE = ("qpos", "qvel", "qacc_warmstart")  # MuJoCo's names of what goes from one control step to the next


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
    stepper = _stepper(scene, num_envs, settings, variants or {})
    step = host.step_of(stepper, scene.layout, substeps(settings), bool(variants))
    return Engine("native", state.init, step, state.write, on_host=True)


def quiet() -> None:
    """Keeps MuJoCo's warnings of exploding simulations off the console and out of the user's folder."""
    config = mujoco.MjLogConfig.get()
    config.logto_console = False
    config.logto_file = False
    mujoco.MjLogConfig.set(config)


def _stepper(scene: Scene, num_envs: int, settings: EngineSettings, variants: Variants) -> host.Stepper:
    """The callback that `host.step_of` wraps."""
    model, layout, count = scene.model, scene.layout, substeps(settings)
    lock = threading.Lock()

    def allocate(rows: int) -> tuple[Batch, np.ndarray]:
        """A batch, and which of the randomised models each of its rows has: at first the unchanged one."""
        return Batch(model, rows, settings.threads), np.zeros(rows, np.int64)

    batch, running = allocate(max(1, num_envs))

    def stepper(packed: Array, controls: int = 1) -> np.ndarray:
        nonlocal batch, running
        inputs = host.unpack(packed, layout, controls)
        rows, variant = len(inputs.qpos), inputs.variant
        with lock:
            if rows > batch.nsim:
                batch, running = allocate(rows)
            _dress(batch, running, variants, variant[:, 0] if variant.size else np.zeros(rows))
            # with control, wrench and model, this replaces all that an earlier call left in these rows
            for name, values in zip(STATE, inputs[1:4], strict=True):
                batch.bind(name)[:rows] = values
            _push(batch, rows, layout.wrench_ids, inputs.wrench)
            failed = _advance(batch, rows, count, inputs.ctrl) | ~np.isfinite(inputs.ctrl).all(axis=(1, 2))
            fields = [batch.bind(name)[:rows] for name in STATE]
            return host.pack(inputs.lead, fields, failed, layout.start_qpos)

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
