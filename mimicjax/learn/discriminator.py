"""A discriminator that learns a reward: its network, replay and updates, whatever it tells apart (MimicKit 4.6, 4.7)."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from mimicjax.config.settings import LearnSettings
from mimicjax.errors import UserError
from mimicjax.learn import losses, minibatch, networks, optimizers, replay
from mimicjax.learn.minibatch import Fitted
from mimicjax.statistics import Statistics
from mimicjax.types import Array, Rollout


class DiscState(NamedTuple):
    """What a discriminator carries from iteration to iteration."""

    params: Any
    opt: Any
    norm: Any  # of its inputs
    past: replay.Replay


class Discriminator(NamedTuple):
    """What a discriminator's functions share; static."""

    settings: LearnSettings
    net: networks.MLP
    size: int
    envs: int  # on this device
    devices: int


def make(settings: LearnSettings, size: int, envs: int, devices: int) -> Discriminator:
    """For inputs of `size` and `envs` environments on each of `devices`.

    Raises UserError if an iteration's samples do not fit the replay buffer.
    """
    samples, capacity = settings.steps_per_iter * envs * devices, settings.disc.buffer_size
    if 0 < capacity < samples:
        raise UserError(
            f"learn.disc.buffer_size is {capacity}; it must be 0 or hold an iteration's {samples} samples "
            f"(learn.steps_per_iter {settings.steps_per_iter} x {envs * devices} environments)"
        )
    net = networks.MLP(tuple(settings.disc.hidden), 1, output_scale=1.0)
    return Discriminator(settings, net, size, envs, devices)


def init(disc: Discriminator, norm: Any, key: Array) -> DiscState:
    """Before any training. The state holds the samples of all environments; each device replays those of its own."""
    params = disc.net.init(key, jnp.zeros(disc.size))
    past = replay.make(disc.settings.disc.buffer_size, disc.devices * disc.envs, disc.size)
    return DiscState(params, optimizers.make(disc.settings.disc.optimizer).init(params), norm, past)


def specs(axis: str) -> DiscState:
    """How the state lies over the devices."""
    equal: Any = PartitionSpec()
    split: Any = PartitionSpec(axis)
    return DiscState(equal, equal, equal, replay.Replay(split, equal, equal))


def logits(disc: Discriminator, params: Any, x: Array) -> Array:
    """[...] for normalised inputs [...,size]."""
    return networks.apply(disc.net, params, x)[..., 0]


def reward(disc: Discriminator, params: Any, views: Array, normalize: Callable[[Array], Array]) -> Array:
    """[T,B] for what it sees [T,B,size], before its weight."""
    judge = lambda x: losses.disc_reward(logits(disc, params, normalize(x)), disc.settings.disc.reward_scale)  # noqa: E731
    return networks.by_rows(judge, views)


def update(
    disc: Discriminator, key: Array, state: DiscState, rollout: Rollout, samples: Array,
    normalize: Callable[[Array], Array], positives: Callable[[Array], Array], axis: str | None,
) -> tuple[DiscState, Statistics]:  # fmt: skip
    """The gradient steps of an iteration; the normaliser stays as it is.

    samples: [n,size] of this iteration's rollout, whose steps with exploded physics do not count. positives: sample indices
    [b] -> normalised [p,size].
    """
    settings = disc.settings.disc
    fit_key, push_key = jax.random.split(key)
    counts = rollout.valid.reshape(-1).astype(jnp.float32)
    past = state.past
    if settings.buffer_size:  # what exploded says nothing: it is stored as nothing
        past = replay.push(past, push_key, counts[:, None] * samples, settings.replay_samples, disc.devices)

    def objective(params: Any, rows: Array, key: Array) -> tuple[Array, Statistics]:
        negative, weight = samples[rows], counts[rows]
        if settings.buffer_size:
            older = replay.sample(past, key, len(rows), disc.devices)
            negative = jnp.concatenate([negative, older])
            weight = jnp.concatenate([weight, jnp.any(older != 0.0, axis=-1)])
        return losses.discriminator(
            functools.partial(logits, disc, params), normalize(negative), weight, positives(rows),
            params["params"]["last"]["kernel"], settings.grad_penalty, settings.logit_reg, axis,
        )  # fmt: skip

    fitted, stats = minibatch.fit(
        fit_key, objective, Fitted(state.params, state.opt), settings.optimizer, len(samples), disc.envs, axis
    )
    return state._replace(params=fitted.params, opt=fitted.opt, past=past), stats
