"""A task policy that drives a frozen skill policy: its action is the latent by which ASE's policy is told what to do.

Peng et al. 2022, section 6: the direction of the action is the latent, ASE's mean action for it is what the robot does, and
the style reward is that of ASE's discriminator, which learns no more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from mimicjax.config.settings import LearnSettings
from mimicjax.errors import UserError
from mimicjax.learn import discriminator, gaussian, networks, normalizers
from mimicjax.learn.discriminator import Discriminator
from mimicjax.learn.normalizers import Moments
from mimicjax.learn.sockets import Agent, Blocks, Policy, RewardModel, RewardModelMaker, Spec
from mimicjax.statistics import Statistics
from mimicjax.types import Array, Rollout


class Skill(NamedTuple):
    """The skill policy: what of ASE's agent turns observation and latent into an action."""

    net: Any  # parameters of its actor
    norm: Moments  # of what it sees


class Judge(NamedTuple):
    """ASE's discriminator, as far as its reward needs it."""

    params: Any
    norm: Moments


def unit(action: Array) -> Array:
    """The latent [...,Z] that an action [...,Z] stands for: its direction."""
    return action / jnp.maximum(jnp.linalg.norm(action, axis=-1, keepdims=True), 1e-6)


def make(settings: LearnSettings, spec: Spec) -> Policy:
    """The Gaussian policy whose actions are latents of the skill policy in `settings.skill`.

    That one sees the first `skill.sees` numbers of the actor's first block; what follows, the task's, is new to it. Raises
    UserError with learn.symmetry.
    """
    if spec.mirror:
        raise UserError("learn.symmetry: a latent has no mirror image; leave it off with learn.algorithm HRL")
    sees, size = settings.skill.sees, settings.latent.dim
    net = networks.MLP(tuple(settings.skill.hidden), spec.actions, settings.actor_init_output_scale)

    def frozen() -> Skill:
        shapes = jax.eval_shape(lambda: net.init(jax.random.key(0), jnp.zeros(sees + size)))
        return Skill(jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes), normalizers.moments(sees))

    def command(agent: Agent, obs: Blocks, action: Array) -> Array:
        skill = agent.frozen
        seen = normalizers.normalize(skill.norm, obs[spec.actor[0]][..., :sees])
        return networks.apply(net, skill.net, jnp.concatenate([seen, unit(action)], axis=-1))

    return gaussian.make(settings, spec._replace(actions=size))._replace(frozen=frozen, command=command)


def _frozen_style(settings: LearnSettings, size: int, envs: int, devices: int) -> RewardModel:
    """AMP's reward by a discriminator that stays as it is."""
    net = networks.MLP(tuple(settings.disc.hidden), 1)
    disc = Discriminator(settings, net, size, envs, devices)

    def reward(state: Judge, rollout: Rollout) -> Array:
        normalize = lambda x: normalizers.normalize(state.norm, x)  # noqa: E731
        return discriminator.reward(disc, state.params, rollout.views["motion"], normalize)

    def update(
        key: Array, state: Judge, rollout: Rollout, demonstrations: Callable[[Array], Array], active: Array,
        axis: str | None,
    ) -> tuple[Judge, Statistics]:  # fmt: skip
        return state, {}

    def specs(axis: str) -> Judge:
        equal: Any = PartitionSpec()
        return Judge(equal, equal)

    def init(key: Array) -> Judge:
        return Judge(net.init(key, jnp.zeros(size)), normalizers.moments(size))

    return RewardModel("Disc", settings.disc_reward_weight, init, reward, update, specs)


FROZEN_STYLE = RewardModelMaker("motion", _frozen_style)
