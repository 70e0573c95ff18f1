"""Learned rewards. ADD: a discriminator between the difference of reference and robot and the zero vector."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.sharding import PartitionSpec

from mimicjax.config.settings import LearnSettings
from mimicjax.errors import UserError
from mimicjax.learn import losses, minibatch, networks, normalizers, optimizers, parallel, replay
from mimicjax.types import Rollout


class RewardModel(NamedTuple):
    """A reward that learns; functions are pure."""

    init: Callable[[jax.Array], Any]  # (key) -> state
    reward: Callable[[Any, Rollout], jax.Array]  # (state, rollout) -> [T,B], already weighted
    update: Callable  # (key, state, rollout, active, axis) -> (state, statistics)
    specs: Callable[[str], Any]  # (device axis) -> prefix tree of PartitionSpecs of the state


class AddState(NamedTuple):
    """What ADD's discriminator carries from iteration to iteration."""

    params: Any
    opt: Any
    norm: normalizers.Magnitude
    past: replay.Replay


class _Add(NamedTuple):
    """What ADD's functions share; static."""

    settings: LearnSettings
    net: networks.MLP
    optimizer: optax.GradientTransformation
    size: int
    envs: int


def add(settings: LearnSettings, size: int, envs: int, devices: int = 1) -> RewardModel:
    """ADD (MimicKit 4.7) for discriminator observations of `size` and `envs` environments on each of `devices`.

    Each device keeps a replay buffer of its own samples; the state made by `init` holds all of them, end to end.

    Raises UserError if an iteration's samples do not fit the replay buffer.
    """
    disc = settings.disc
    samples = settings.steps_per_iter * envs
    if 0 < disc.buffer_size < samples:
        raise UserError(
            f"learn.disc.buffer_size is {disc.buffer_size}; it must be 0 or hold an iteration's {samples} samples "
            f"(learn.steps_per_iter {settings.steps_per_iter} x {envs} environments)"
        )
    net = networks.MLP(tuple(disc.hidden), 1, output_scale=1.0)
    one = _Add(settings, net, optimizers.make(disc.optimizer), size, envs)

    def init(key: jax.Array) -> AddState:
        params = net.init(key, jnp.zeros(size))
        past = replay.make(devices * disc.buffer_size, size)
        return AddState(params, one.optimizer.init(params), normalizers.magnitude(size), past)

    def specs(axis: str) -> AddState:
        equal: Any = PartitionSpec()
        split: Any = PartitionSpec(axis)
        return AddState(equal, equal, equal, replay.Replay(split, equal, equal))

    return RewardModel(init, functools.partial(_add_reward, one), functools.partial(_add_update, one), specs)


def _add_logits(one: _Add, params: Any, x: jax.Array) -> jax.Array:
    return networks.apply(one.net, params, x)[..., 0]


def _add_reward(one: _Add, state: AddState, rollout: Rollout) -> jax.Array:
    gap = rollout.disc_reference - rollout.disc_robot
    logit = _add_logits(one, state.params, normalizers.scale(state.norm, gap))
    return one.settings.disc_reward_weight * losses.disc_reward(logit, one.settings.disc.reward_scale)


def _add_loss(params: Any, one: _Add, negative: jax.Array) -> tuple[jax.Array, dict]:
    """Samples [b,size], normalised, against the one positive: no difference at all."""
    disc, last = one.settings.disc, params["params"]["last"]["kernel"]
    logit = functools.partial(_add_logits, one, params)
    total, info = losses.discriminator(
        logit, negative, jnp.zeros((1, one.size)), last, disc.grad_penalty, disc.logit_reg
    )
    return total, {"Disc_Loss": total, **info}


def _add_update(one: _Add, key: jax.Array, state: AddState, rollout: Rollout, active: jax.Array, axis: str | None):
    disc = one.settings.disc
    order_key, push_key, past_key = jax.random.split(key, 3)
    gaps = (rollout.disc_reference - rollout.disc_robot).reshape(-1, one.size)
    past = replay.push(state.past, push_key, gaps, disc.replay_samples) if disc.buffer_size else state.past

    def step(carry, step_inputs):
        params, opt = carry
        rows, draw = step_inputs
        negative = gaps[rows]
        if disc.buffer_size:
            negative = jnp.concatenate([negative, replay.sample(past, draw, len(rows))])
        negative = normalizers.scale(state.norm, negative)
        (_, info), grads = jax.value_and_grad(_add_loss, has_aux=True)(params, one, negative)
        changes, opt = one.optimizer.update(parallel.mean(grads, axis), opt, params)
        return (optax.apply_updates(params, changes), opt), info

    order = minibatch.indices(order_key, len(gaps), one.envs, disc.optimizer)
    draws = jax.random.split(past_key, len(order))
    (params, opt), stats = minibatch.descend(step, (state.params, state.opt), (order, draws))
    norm = normalizers.update_magnitude(state.norm, gaps, active, axis)
    return AddState(params, opt, norm, past), stats
