"""How many numbers a world's networks see, and how many bytes its environments take: from shapes alone."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from mimicjax.learn import algorithms
from mimicjax.motion.reference import Motion
from mimicjax.run import memory
from mimicjax.world import World


class Sizes(NamedTuple):
    """How many numbers actor, critic and reward models see, and what an environment's state takes."""

    blocks: dict[str, int]  # of observations
    views: dict[str, int]  # of reward models
    state: int  # bytes


def sizes(of: World) -> Sizes:
    """From shapes alone."""

    def probe(motion: Motion):
        keys = jax.random.split(jax.random.key(0), 1)
        state, obs, _ = of.env.place(motion, keys, jnp.zeros(1, jnp.int32), jnp.zeros(1))
        names = [model.needs for model in algorithms.of(of.settings.learn.algorithm).reward_models]
        return state, obs, {name: of.env.demonstrate(name, motion, keys) for name in names}

    state, obs, views = jax.eval_shape(probe, of.motion)
    width = lambda tree: {name: array.shape[-1] for name, array in tree.items()}  # noqa: E731
    return Sizes(width(obs), width(views), sum(x.size * x.dtype.itemsize for x in jax.tree.leaves((state, obs))))


def bytes_per_env(of: World, size: Sizes, physics: int) -> dict[str, int]:
    """What an environment takes of its device's memory, by what for; physics: bytes of the engine's working memory."""
    see = {
        name: sum(size.blocks[block] for block in blocks)
        for name, blocks in (("actor", of.env.actor), ("critic", of.env.critic))
    }
    widths = see | ({"disc": sum(size.views.values())} if size.views else {})
    return memory.bytes_per_env(of.settings.learn, size.state, physics, _rollout_bytes(of, size), widths)


def _rollout_bytes(of: World, size: Sizes) -> int:
    """What an iteration keeps of one environment."""
    numbers = sum(size.blocks.values()) + sum(size.views.values()) + of.robot.num_dofs
    # and of every step log-probability, reward and end value; whether sampled, whether valid, and the done code
    place = 4 if of.settings.env.sampling.by == "failures" else 0
    return of.settings.learn.steps_per_iter * (4 * (numbers + 3) + 3 + place)
