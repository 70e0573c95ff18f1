"""MuJoCo XLA: physics as part of the compiled program, for accelerators; and, on NVIDIA, MuJoCo Warp behind it."""

from __future__ import annotations

import contextlib
import copy
import importlib.util
import io
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import mujoco
import numpy as np

with contextlib.redirect_stdout(io.StringIO()):  # it prints that Warp is missing; has_warp says so where it matters
    from mujoco import mjx

from mimicjax.config.settings import EngineSettings
from mimicjax.engine import state
from mimicjax.engine.randomisation import Variants
from mimicjax.engine.scene import Scene, substeps
from mimicjax.errors import UserError
from mimicjax.types import Array, Engine, Physics

Implementation = Literal["jax", "warp"]
SMALL = 4096  # numbers: an array of more that all are equal is not kept as one


def make(
    scene: Scene, num_envs: int, settings: EngineSettings, implementation: Implementation,
    variants: Variants | None = None,
) -> Engine:  # fmt: skip
    """The engine `mjx-jax` or `mjx-warp` for a scene, and its table of randomised models if any.

    `step` takes any number of environments, under vmap, scan and shard_map too. The warp implementation keeps room for
    `settings.contacts_per_env` contacts for each of them, all together, and for `constraints_per_env` constraint rows
    in each; under vmap, give the number of all copies as num_envs. When they run out, it prints `naconmax`
    (contacts_per_env) or `njmax` (constraints_per_env) and drops the rest.

    An environment is unstable when its control is not finite or its state is not, or grew beyond
    `state.LARGEST_QPOS` or `state.LARGEST_QVEL`; it then stands as in `Layout.start_qpos`,
    objects too, at rest; others do not notice.

    Raises UserError if Warp is missing, or if the model has what MJX does not implement.
    """
    if implementation == "warp" and not has_warp():
        raise UserError('engine mjx-warp needs NVIDIA Warp: pip install -e ".[gpu]", or ".[warp]" for Warp alone')
    name = f"mjx-{implementation}"
    device_model, template = _put(scene.model, settings, implementation, name)
    count, bodies, start_qpos = substeps(settings), scene.layout.wrench_ids, scene.layout.start_qpos
    table = _leaves(device_model, variants or {})

    def step(physics: Physics, ctrl: Array, wrench: Array, variant: Array | None = None) -> Physics:
        data = template(max(num_envs, physics.qpos.shape[0]))
        with jax.default_matmul_precision("highest"):  # or GPUs multiply with 10 bits of mantissa (TF32)
            finite = jnp.isfinite(ctrl)
            inputs = (physics.qpos, physics.qvel, physics.warmstart, jnp.where(finite, ctrl, 0.0), wrench)
            if table and variant is not None:
                rows = {name: values[variant] for name, values in table.items()}  # one gather, then as Playground does
                after = jax.vmap(
                    lambda row, *each: _advance(device_model.tree_replace(row), data, count, bodies, *each)
                )(rows, *inputs)
            else:
                after = jax.vmap(lambda *each: _advance(device_model, data, count, bodies, *each))(*inputs)
        return _stabilise(*after, finite.all(axis=tuple(range(1, ctrl.ndim))), start_qpos)

    working = sum(leaf.nbytes for leaf in jax.tree.leaves(template(1)))  # an mjx.Data, with Warp's room for contacts
    return Engine(name, state.init, step, state.write, bytes_per_env=working)


def has_warp() -> bool:
    """Whether NVIDIA Warp is installed."""
    return importlib.util.find_spec("warp") is not None


def _put(
    model: mujoco.MjModel, settings: EngineSettings, implementation: Implementation, name: str
) -> tuple[mjx.Model, Callable[[int], mjx.Data]]:
    """Puts the model on the device; also gives the function that makes a blank mjx.Data for so many environments."""
    model = copy.copy(model)
    # two settings of the C engine; MJX knows its device, and solves all islands as one
    model.opt.jacobian = mujoco.mjtJacobian.mjJAC_AUTO
    model.opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_ISLAND
    blanks: dict[int, mjx.Data] = {}

    def template(num_envs: int) -> mjx.Data:
        size = num_envs if implementation == "warp" else 0
        if size not in blanks:
            with jax.ensure_compile_time_eval():  # arrays, also when asked while another function is traced
                room = _room(settings, implementation, num_envs)
                blanks[size] = jax.tree.map(_thin, mjx.make_data(model, impl=implementation, **room))
        return jax.tree.map(lambda x: x.whole() if isinstance(x, _Uniform) else x, blanks[size], is_leaf=_is_uniform)

    try:
        device_model = mjx.put_model(model, impl=implementation)
        template(1)
    except (NotImplementedError, ValueError) as error:
        raise UserError(f"engine {name} cannot run this scene: {error}; use engine.name = native") from error
    if implementation == "warp":
        device_model = _quieter(device_model)
    return device_model, template


class _Uniform(NamedTuple):
    """An array of one value. As an array it would be a constant of the program: Warp's contacts, of 4,096 environments 31 MB."""

    shape: tuple[int, ...]
    value: np.ndarray

    def whole(self) -> jax.Array:
        """As an array, which a compiled program fills for itself."""
        return jnp.full(self.shape, self.value)


def _is_uniform(x: Any) -> bool:
    return isinstance(x, _Uniform)


def _thin(leaf: jax.Array) -> Any:
    values = np.asarray(leaf)
    same = values.size > SMALL and (values == values.flat[0]).all()
    return _Uniform(values.shape, values.flat[0]) if same else leaf


def _leaves(model: mjx.Model, variants: Variants) -> dict[str, Array]:
    """The table on the device, by the names of MJX's leaves, without the fields that it has no use for."""
    leaves = {}
    for name, values in variants.items():
        for path in (f"_impl.{name}", name):  # the model only passes on what belongs to the implementation
            leaf: Any = model
            for part in path.split("."):
                leaf = getattr(leaf, part, None)
            if isinstance(leaf, jax.Array):
                leaves[path] = jnp.asarray(values, leaf.dtype)
                break
    return leaves


def _room(settings: EngineSettings, implementation: Implementation, num_envs: int) -> dict[str, int]:
    if implementation == "jax":
        return {}
    return {"naconmax": num_envs * settings.contacts_per_env, "njmax": settings.constraints_per_env}


def _quieter(model: mjx.Model) -> mjx.Model:
    """Keeps warnings of dropped contacts and constraints, not those of the iteration limit that the user has chosen."""
    import warp  # pyright: ignore[reportMissingImports]  # an extra
    from mujoco.mjx.third_party.mujoco_warp import OverflowType

    warp.config.log_level = warp.LOG_WARNING  # else one line for every kernel it loads

    wanted = int(OverflowType.ALL & ~OverflowType.ITERATIONS & ~OverflowType.LS_ITERATIONS)
    return model.tree_replace({"opt._impl.warn_overflow": wanted})


def _advance(
    model: mjx.Model, blank: mjx.Data, count: int, bodies: np.ndarray,
    qpos: Array, qvel: Array, warmstart: Array, ctrl: Array, wrench: Array,
) -> tuple[Any, Any, Any]:  # fmt: skip
    """One environment, `count` physics steps: qpos [nq], qvel, warmstart [nv], ctrl [D] or [count,D], wrench [W,6]."""
    applied = jnp.zeros((model.nbody, 6)).at[bodies].set(wrench)
    several = ctrl.ndim > 1
    first = ctrl[0] if several else ctrl
    data = blank.replace(qpos=qpos, qvel=qvel, qacc_warmstart=warmstart, ctrl=first, xfrc_applied=applied)

    def substep(data: mjx.Data, row: Array | None) -> tuple[mjx.Data, None]:
        return mjx.step(model, data if row is None else data.replace(ctrl=row)), None

    data = jax.lax.scan(substep, data, ctrl if several else None, length=count)[0]
    return data.qpos, data.qvel, data.qacc_warmstart


def _stabilise(qpos: Array, qvel: Array, warmstart: Array, finite: Array, start_qpos: np.ndarray) -> Physics:
    """Puts rows that are not finite, or huge, into the scene's start: [B,nq], [B,nv], [B,nv], [B] bool -> Physics."""
    fine = (jnp.abs(qpos) < state.LARGEST_QPOS).all(axis=-1) & (jnp.abs(qvel) < state.LARGEST_QVEL).all(axis=-1)
    fine &= jnp.isfinite(warmstart).all(axis=-1) & finite  # a NaN is not below any bound
    row = fine[:, None]
    return Physics(jnp.where(row, qpos, start_qpos), jnp.where(row, qvel, 0.0), jnp.where(row, warmstart, 0.0), ~fine)
