"""One training iteration, and the compiled chunk of them: rollout, rewards, targets, updates, normalisers."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from mimicjax.config.settings import LearnSettings
from mimicjax.env.env import Env
from mimicjax.learn import actor_critic, parallel
from mimicjax.learn.algorithms import Algorithm
from mimicjax.learn.normalizers import std
from mimicjax.learn.reward_models import RewardModel
from mimicjax.motion.reference import Motion
from mimicjax.run import rollout as rolling
from mimicjax.types import FAILED, Engine, Rollout, TrainState


class Parts(NamedTuple):
    """What an iteration is made of; static."""

    env: Env
    engine: Engine
    settings: LearnSettings
    algorithm: Algorithm
    reward_models: tuple[RewardModel, ...]
    envs: int  # on this device
    devices: int
    axis: str | None  # name of the device axis, None for one device


def explore(settings: LearnSettings, samples: jax.Array) -> jax.Array:
    """Probability of a sampled action after `samples` samples."""
    share = jnp.clip(samples / settings.exp_anneal_samples, 0.0, 1.0)
    return (1.0 - share) * settings.exp_prob_beg + share * settings.exp_prob_end


def without_unstable(rollout: Rollout, unstable: jax.Array) -> Rollout:
    """The rollout with steps [T,B] of physics that exploded kept from the policy's gradient and the discriminators.

    What the engine puts in place of an exploded state says nothing of the policy. The step still counts as a failure.
    """
    disc_robot = jnp.where(unstable[..., None], rollout.disc_reference, rollout.disc_robot)
    return rollout._replace(random=rollout.random & ~unstable, disc_robot=disc_robot)


def iterate(parts: Parts, motion: Motion, state: TrainState) -> tuple[TrainState, dict[str, jax.Array]]:
    """One iteration -> (state, scalar statistics of this device's share, averaged or summed over devices)."""
    settings, axis = parts.settings, parts.axis
    key, critic_key, actor_key, *model_keys = jax.random.split(state.key, 3 + len(parts.reward_models))
    if axis is not None:  # devices draw different minibatches from their own samples
        place = jax.lax.axis_index(axis)
        critic_key, actor_key, *model_keys = (
            jax.random.fold_in(k, place) for k in (critic_key, actor_key, *model_keys)
        )
    # float32: samples pass int32's range, and only ratios are needed
    samples = state.iteration.astype(jnp.float32) * (settings.steps_per_iter * parts.envs * parts.devices)
    probability = explore(settings, samples)
    agent = state.agent

    def act(obs, keys):
        return actor_critic.act(agent, settings, obs, keys, probability)

    env_state, obs, rollout, diagnostics = rolling.collect(
        parts.env, parts.engine, motion, act, state.env, state.obs, settings.steps_per_iter
    )
    rollout = without_unstable(rollout, diagnostics["unstable"])
    active = samples < settings.normalizer_samples
    reward = settings.task_reward_weight * rollout.reward
    stats: dict[str, jax.Array] = {}
    for model, model_state in zip(parts.reward_models, state.reward_models, strict=True):
        learned = jnp.where(diagnostics["unstable"], 0.0, model.reward(model_state, rollout))
        reward = reward + learned
        stats |= {"Disc_Reward_Mean": jnp.mean(learned), "Disc_Reward_Std": jnp.std(learned)}
    batch, info = actor_critic.targets(agent, settings, rollout, reward, axis)
    stats |= info
    agent, info = actor_critic.update_critic(critic_key, agent, settings, batch, parts.envs, axis)
    stats |= info
    agent, info = actor_critic.update_actor(actor_key, agent, settings, parts.algorithm, batch, parts.envs, axis)
    stats |= info
    model_states = []
    for model, model_state, model_key in zip(parts.reward_models, state.reward_models, model_keys, strict=True):
        model_state, info = model.update(model_key, model_state, rollout, active, axis)
        model_states.append(model_state)
        stats |= info
    failed = rollout.done == FAILED
    agent = actor_critic.anneal(agent, settings, failed, axis)
    agent = actor_critic.update_normalizers(agent, rollout, active, axis)
    stats |= {
        "Obs_Norm_Mean": jnp.mean(jnp.abs(agent.actor_norm.mean)), "Obs_Norm_Std": jnp.mean(std(agent.actor_norm)),
        "Exp_Prob": probability, "Action_Std": jnp.mean(jnp.exp(agent.actor["log_std"])),
        "Actor_Learning_Rate": agent.actor_opt.hyperparams["learning_rate"], **rolling.means(rollout, diagnostics),
    }  # fmt: skip
    state = TrainState(agent, tuple(model_states), env_state, obs, state.iteration + 1, key)
    return state, _over_devices(stats, axis)


def _over_devices(stats: dict[str, jax.Array], axis: str | None) -> dict[str, jax.Array]:
    summed = {k: v for k, v in stats.items() if rolling.is_sum(k)}
    largest = {k: v for k, v in stats.items() if rolling.is_largest(k)}
    rest = {k: jnp.asarray(v, jnp.float32) for k, v in stats.items() if not (k in summed or k in largest)}
    return {**parallel.total(summed, axis), **parallel.largest(largest, axis), **parallel.mean(rest, axis)}


def chunk(parts: Parts) -> Callable:
    """The function (state, motion, n) -> (state, statistics): n iterations in one call, n traced, so one program for all n.

    Statistics are summed over the chunk's iterations where they count things, and averaged otherwise; of largest values
    the largest is given.
    """

    def run(state: TrainState, motion: Motion, n: jax.Array) -> tuple[TrainState, dict[str, jax.Array]]:
        shapes = jax.eval_shape(lambda s: iterate(parts._replace(axis=None), motion, s)[1], state)
        zeros = {k: jnp.zeros(v.shape, v.dtype) for k, v in shapes.items()}

        def one(_, carry):
            state, sums = carry
            state, stats = iterate(parts, motion, state)
            return state, {
                k: jnp.maximum(v, stats[k]) if rolling.is_largest(k) else v + stats[k] for k, v in sums.items()
            }

        state, sums = jax.lax.fori_loop(0, n, one, (state, zeros))
        count = n.astype(jnp.float32)
        return state, {k: v if rolling.is_sum(k) or rolling.is_largest(k) else v / count for k, v in sums.items()}

    return run
