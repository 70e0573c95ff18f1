"""A trained policy and its environment as plain functions, for scripts and notebooks (docs/evaluation.md)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp

from mimicjax.evaluation.restored import Restored, engine_for
from mimicjax.learn import acting
from mimicjax.run import rollout
from mimicjax.types import Array, EnvState, Step

Observations = Mapping[str, Array]  # block -> [B,size], as the environment gives them


def policy(restored: Restored) -> Callable[[Observations], Array]:
    """The function of observations to mean actions [B,A], normalised; compiled.

    Raises ValueError for a policy that keeps a memory between steps: what it does is not a function of observations
    (`episodes.Player` carries the memory along).
    """
    if jax.tree.leaves(jax.eval_shape(restored.policy.begin, jax.random.split(jax.random.key(0), 1))):
        raise ValueError("this policy keeps a memory between steps: use evaluation.episodes.Player")
    mode = jax.jit(lambda agent, obs: acting.mode(restored.policy, agent, obs, ()))
    return lambda obs: mode(restored.agent, obs)


def environment(
    restored: Restored, count: int = 1
) -> tuple[Callable[[int], tuple[EnvState, Observations]], Callable[[EnvState, Array], tuple[EnvState, Step]]]:
    """`count` environments of the run, without noise or pushes, as two compiled functions (begin, step).

    begin: (seed) -> (state, observations), at random moments of the clips. step: (state, actions [B,A]) -> (state, step)
    a control step later; environments whose episode ended begin anew. Raises UserError if the engine cannot run here.
    """
    world, engine = restored.world, engine_for(restored, count)
    env = world.test_env

    def place(motion, key):
        keys = jax.random.split(key, count)
        return rollout.begin(env, engine, motion, keys, *env.draw(motion, keys))

    begin, advance = jax.jit(place), jax.jit(lambda motion, *now: rollout.control_step(env, engine, motion, *now))
    return (
        lambda seed: begin(world.motion, jax.random.key(jnp.uint32(seed))),
        lambda state, action: advance(world.motion, state, action),
    )
