"""One training iteration, and the compiled chunk of them: rollout, rewards, targets, updates, normalisers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp

from mimicjax import statistics
from mimicjax.config.settings import LearnSettings
from mimicjax.env.env import Env
from mimicjax.learn import actor_critic, gaussian, parallel
from mimicjax.learn.normalizers import std
from mimicjax.learn.sockets import Agent, Algorithm, Policy, RewardModel, Spec
from mimicjax.motion.reference import Motion
from mimicjax.motion.sampling import Sampler
from mimicjax.run import rollout as rolling
from mimicjax.run.rollout import Actors
from mimicjax.statistics import Statistics
from mimicjax.types import FAILED, Array, Engine, Rollout, TrainState


class Parts(NamedTuple):
    """What an iteration is made of; static."""

    env: Env
    engine: Engine
    settings: LearnSettings
    spec: Spec
    policy: Policy
    algorithm: Algorithm
    reward_models: tuple[RewardModel, ...]
    envs: int  # on this device
    devices: int
    axis: str | None  # name of the device axis, None for one device
    bytes_per_env: dict[str, int] = {}  # "state", and "rollout" of an iteration
    sampler: Sampler | None = None  # None: starts are drawn by the clips' weights


class _Keys(NamedTuple):
    """Random keys of an iteration, alike on all devices: `state` goes on."""

    state: Array
    critic: Array
    actor: Array
    updates: list[Array]  # of reward models
    draws: list[Array]


def explore(settings: LearnSettings, samples: jax.Array) -> jax.Array:
    """Probability of a sampled action after `samples` samples."""
    share = jnp.clip(samples / settings.exp_anneal_samples, 0.0, 1.0)
    return (1.0 - share) * settings.exp_prob_beg + share * settings.exp_prob_end


def _keys(parts: Parts, key: Array) -> _Keys:
    models = len(parts.reward_models)
    state, critic, actor, *rest = jax.random.split(key, 3 + 2 * models)
    return _Keys(state, critic, actor, rest[:models], rest[models:])


class Rolled(NamedTuple):
    """What comes of rolling out an iteration."""

    actors: Actors  # after it
    rollout: Rollout
    statistics: Statistics  # of this device


def roll(parts: Parts, motion: Motion, state: TrainState, actors: Actors) -> Rolled:
    """The control steps of an iteration. Of `state` only agent, iteration and sampling are looked at."""
    probability = explore(parts.settings, _samples(parts, state))
    sampler = parts.sampler
    motion = sampler.weigh(motion, state.sampling) if sampler else motion
    return Rolled(
        *rolling.collect(
            parts.env,
            parts.engine,
            motion,
            parts.policy,
            state.agent,
            actors,
            probability,
            parts.settings.steps_per_iter,
            *([sampler.place] if sampler else []),
        )
    )


def learn(parts: Parts, motion: Motion, state: TrainState, rolled: Rolled) -> tuple[TrainState, Statistics]:
    """What an iteration learns from its rollout, and its statistics over all devices. Of `state`, env, obs and memory
    are not looked at."""
    settings, policy, axis = parts.settings, parts.policy, parts.axis
    actors, rollout, _ = rolled
    keys = _keys(parts, state.key)
    samples = _samples(parts, state)
    active = samples < settings.normalizer_samples

    reward, scored = _score(parts, state.reward_models, rollout)
    batch, advantages = actor_critic.targets(policy, state.agent, settings, rollout, reward, axis)
    agent, critic = actor_critic.update_critic(keys.critic, policy, state.agent, settings, batch, parts.envs, axis)
    agent, actor = actor_critic.update_actor(
        keys.actor, policy, parts.algorithm, agent, settings, batch, parts.envs, axis
    )
    models, learned = _learn_rewards(parts, keys, motion, state.reward_models, rollout, active)
    agent = actor_critic.anneal(agent, settings, rollout.done == FAILED, axis)
    agent = actor_critic.update_normalizers(agent, parts.spec, rollout, active, axis)

    sampling, sampled = _follow_failures(parts, motion, state.sampling, rollout)

    stood = _state_of(parts, agent, explore(settings, samples))
    stats = {**critic, **actor, **learned, **advantages, **scored, **rolled.statistics, **stood, **sampled}
    after = TrainState(agent, models, actors.env, actors.obs, actors.memory, state.iteration + 1, keys.state, sampling)
    return after, statistics.over_devices(stats, axis)


def iterate(parts: Parts, motion: Motion, state: TrainState) -> tuple[TrainState, Statistics]:
    """One iteration, and its statistics over all devices."""
    actors = Actors(state.env, state.obs, state.memory)
    return learn(parts, motion, state, roll(parts, motion, state, actors))


def _samples(parts: Parts, state: TrainState) -> Array:
    """Samples before this iteration; float32, as they pass int32's range and only ratios are needed."""
    return state.iteration.astype(jnp.float32) * (parts.settings.steps_per_iter * parts.envs * parts.devices)


def _score(parts: Parts, states: tuple, rollout: Rollout) -> tuple[Array, Statistics]:
    """Rewards [T,B] of the environment and of the reward models, each by its weight."""
    total, stats = parts.settings.task_reward_weight * rollout.reward, {}
    for model, state in zip(parts.reward_models, states, strict=True):
        reward = model.reward(state, rollout)
        chex.assert_equal_shape([reward, rollout.reward])
        reward = jnp.where(rollout.valid, reward, 0.0)
        total = total + model.weight * reward
        mean, deviation = parallel.mean_and_deviation(reward, rollout.sampled.astype(jnp.float32), parts.axis)
        stats |= {
            f"{model.name}_Reward_Mean": statistics.once(mean, parts.axis),
            f"{model.name}_Reward_Std": statistics.once(deviation, parts.axis),
        }
    return total, stats


def _learn_rewards(
    parts: Parts, keys: _Keys, motion: Motion, states: tuple, rollout: Rollout, active: Array
) -> tuple[tuple, Statistics]:
    """The reward models' own updates; demonstrations are drawn for every sample by its number over all devices."""
    after, stats = [], {}
    makers = parts.algorithm.reward_models
    for n, (model, maker, state) in enumerate(zip(parts.reward_models, makers, states, strict=True)):
        demonstrate = lambda key, name=maker.needs: _demonstrate(parts, motion, name, key)  # noqa: E731
        draws = lambda _, n=n, demonstrate=demonstrate: demonstrate(keys.draws[n])  # noqa: E731
        state, info = model.update(keys.updates[n], state, rollout, draws, active, parts.axis)
        after.append(state)
        stats |= info
    return tuple(after), stats


def _follow_failures(parts: Parts, motion: Motion, record: Any, rollout: Rollout) -> tuple[Any, Statistics]:
    """What failed where, with this rollout of all devices, and the statistics of the starts that are drawn by it."""
    sampler = parts.sampler
    if sampler is None:
        return record, {}
    counts = parallel.total(sampler.count(rollout.place, rollout.done), parts.axis)
    record = sampler.update(record, counts, rollout.done.size * parts.devices)
    return record, sampler.statistics(motion, record, parts.axis)


def _demonstrate(parts: Parts, motion: Motion, name: str, key: Array) -> Array:
    """As many views of the clips as this device has samples, [T B,size]."""
    numbers = parallel.numbers(parts.settings.steps_per_iter, parts.envs, parts.axis)
    return parts.env.demonstrate(name, motion, jax.vmap(lambda number: jax.random.fold_in(key, number))(numbers))


def _state_of(parts: Parts, agent: Agent, probability: Array) -> Statistics:
    """How the agent stands after an iteration; every device has the same."""
    means = jnp.concatenate([jnp.abs(norm.mean) for norm in agent.norm.values()])
    spreads = jnp.concatenate([std(norm) for norm in agent.norm.values()])
    values = {
        "Obs_Norm_Mean": jnp.mean(means),
        "Obs_Norm_Std": jnp.mean(spreads),
        "Exp_Prob": probability,
        "Action_Std": jnp.mean(jnp.exp(gaussian.log_std(parts.settings, agent))),
        "Actor_Learning_Rate": agent.actor_opt.hyperparams["learning_rate"],
    }
    return {name: statistics.once(value, parts.axis) for name, value in values.items()}


def chunk(parts: Parts) -> Callable[[TrainState, Motion, Array], tuple[TrainState, Statistics]]:
    """The function (state, motion, n) -> (state, statistics of all): n iterations in one call, one program for every n."""
    # traced once: the shapes of the statistics and the loop's body come from the same trace
    step = jax.jit(lambda motion, state: iterate(parts, motion, state))

    def run(state: TrainState, motion: Motion, n: Array) -> tuple[TrainState, Statistics]:
        _, shapes = jax.eval_shape(step, motion, state)

        def again(_: Array, carry: tuple[TrainState, Statistics]) -> tuple[TrainState, Statistics]:
            state, sums = carry
            state, stats = step(motion, state)
            return state, statistics.merge(sums, stats)

        return jax.lax.fori_loop(0, n, again, (state, statistics.nothing(shapes)))

    return run
