"""Rolling out: control steps of environments and engine together, for training and for tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from mimicjax.env.env import Env
from mimicjax.motion.reference import Motion
from mimicjax.types import Array, Engine, EnvState, Physics, Rollout, Step

KEPT = (
    "Root_Pos_Err",
    "Body_Pos_Err",
    "episode_length",
    "episode_return",
    "unstable",
)  # diagnostics kept while training


class Moment(NamedTuple):
    """Where B environments are after a control step, before those that ended begin anew."""

    physics: Physics
    clip: Array  # [B] int32
    time: Array  # [B] s, in the clip


def begin(
    env: Env, engine: Engine, motion: Motion, keys: jax.Array, clip: jax.Array, start: jax.Array
) -> tuple[EnvState, Any]:
    """Environments [B] at the given clips and times -> (state, obs)."""
    state, obs, where = env.place(motion, keys, clip, start)
    return state._replace(physics=engine.init(where.qpos, where.qvel)), obs


def watched_step(
    env: Env, engine: Engine, motion: Motion, state: EnvState, action: jax.Array
) -> tuple[Moment, EnvState, Step]:
    """One control step of all environments; those that end begin anew, after `Moment` has seen them."""
    state, ctrl, wrench = env.before(motion, state, action)
    state = state._replace(physics=engine.step(state.physics, ctrl, wrench, state.variant))
    time = state.start + env.dt * (state.step + 1).astype(jnp.float32)
    moment = Moment(state.physics, state.clip, time)
    state, step, begun = env.after(motion, state)
    return moment, state._replace(physics=engine.write(state.physics, begun.mask, begun.qpos, begun.qvel)), step


def control_step(env: Env, engine: Engine, motion: Motion, state: EnvState, action: jax.Array) -> tuple[EnvState, Step]:
    """One control step of all environments; those that end begin anew."""
    return watched_step(env, engine, motion, state, action)[1:]


def collect(
    env: Env, engine: Engine, motion: Motion, act: Callable, state: EnvState, obs: Any, steps: int
) -> tuple[EnvState, Any, Rollout, dict[str, jax.Array]]:
    """`steps` control steps with `act(obs, keys [B]) -> (action, log-probability, sampled)`.

    Returns the state and observation after them, the rollout and diagnostics [T,B].
    """

    def one(carry, _):
        state, obs = carry
        keys = jax.vmap(jax.random.split)(state.key)
        action, log_prob, random = act(obs, keys[:, 1])
        state, step = control_step(env, engine, motion, state._replace(key=keys[:, 0]), action)
        last = {"critic": step.last_obs["critic"]}
        row = Rollout(obs, last, action, log_prob, random, step.reward, step.done, step.disc_robot, step.disc_reference)
        kept = {k: v for k, v in step.diagnostics.items() if k in KEPT or k.startswith(("reward_", "push_"))}
        return (state, step.obs), (row, kept)

    (state, obs), (rows, diagnostics) = jax.lax.scan(one, (state, obs), None, length=steps)
    return state, obs, rows, diagnostics


def is_sum(name: str) -> bool:
    """Whether a statistic counts something, so that those of devices and iterations add up."""
    return name == "episodes" or name.endswith("_sum")


def is_largest(name: str) -> bool:
    """Whether a statistic is a largest value, of which the largest over devices and iterations is taken."""
    return name.endswith("_max")


def means(rollout: Rollout, diagnostics: dict[str, jax.Array]) -> dict[str, jax.Array]:
    """Scalars of a rollout: sums (`is_sum`) and largest values (`is_largest`), means for the rest."""
    over = (rollout.done != 0).astype(jnp.float32)
    episodes = jnp.sum(over)
    out = {
        "episodes": episodes,
        "episode_length_sum": jnp.sum(over * diagnostics["episode_length"]),
        "episode_return_sum": jnp.sum(over * diagnostics["episode_return"]),
        "unstable_sum": jnp.sum(diagnostics["unstable"].astype(jnp.float32)),
        "reward_mean": jnp.mean(rollout.reward),
        "failure_rate": jnp.mean((rollout.done == 1).astype(jnp.float32)),
    }
    skip = ("episode_length", "episode_return", "unstable")

    def reduce(name: str, values: jax.Array) -> jax.Array:
        return jnp.sum(values) if is_sum(name) else jnp.max(values) if is_largest(name) else jnp.mean(values)

    return {**out, **{k: reduce(k, v) for k, v in diagnostics.items() if k not in skip}}
