"""A policy that is told by a latent which of its skills to show: ASE's (MimicKit 4.8, Peng et al. 2022)."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from mimicjax.config.settings import LearnSettings
from mimicjax.errors import UserError
from mimicjax.learn import gaussian
from mimicjax.learn.sockets import Agent, Blocks, Gaussian, Policy, Spec
from mimicjax.types import RUNNING, Array

BLOCK = "latent"  # what networks see it as, after the observation blocks


class Latent(NamedTuple):
    """The policy's memory in every environment."""

    z: Array  # [...,Z] on the unit sphere
    left: Array  # [...] s until another is drawn


def draw(key: Array, size: int) -> Array:
    """[Z] uniform on the unit sphere."""
    z = jax.random.normal(key, (size,))
    return z / jnp.maximum(jnp.linalg.norm(z), 1e-6)


def make(settings: LearnSettings, spec: Spec) -> Policy:
    """The Gaussian policy of these sizes with a latent beside its observations. Raises UserError with learn.symmetry."""
    if spec.mirror:
        raise UserError("learn.symmetry: a latent has no mirror image; leave it off with learn.algorithm ASE")
    size, (shortest, longest) = settings.latent.dim, settings.latent.time
    with_latent = spec._replace(
        blocks={**spec.blocks, BLOCK: size}, actor=(*spec.actor, BLOCK), critic=(*spec.critic, BLOCK)
    )
    inner = gaussian.make(settings, with_latent)

    def fresh(key: Array) -> Latent:
        which, when = jax.random.split(key)
        return Latent(draw(which, size), shortest + (longest - shortest) * jax.random.uniform(when))

    def remember(keys: Array, memory: Latent, done: Array) -> Latent:
        left = memory.left - spec.dt
        over = (left <= 0.0) | (done != RUNNING)
        return jax.tree.map(
            lambda new, old: jnp.where(jnp.expand_dims(over, tuple(range(1, old.ndim))), new, old),
            jax.vmap(fresh)(keys), memory._replace(left=left),
        )  # fmt: skip

    def distribution(agent: Agent, blocks: Blocks, memory: Latent, pushed: Array) -> Gaussian:
        return inner.distribution(agent, {**blocks, BLOCK: memory.z}, (), pushed)

    def value(agent: Agent, blocks: Blocks, memory: Any) -> Array:
        return inner.value(agent, {**blocks, BLOCK: memory.z}, ())

    return Policy(inner.init, lambda keys: jax.vmap(fresh)(keys), remember, distribution, value)
