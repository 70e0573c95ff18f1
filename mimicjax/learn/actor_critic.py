"""Actor and critic: their first parameters, acting, values, and the updates of an iteration (MimicKit 4.1, 4.4)."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from mimicjax.config.settings import LearnSettings
from mimicjax.learn import losses, minibatch, networks, normalizers, optimizers, parallel, returns
from mimicjax.learn.algorithms import Algorithm
from mimicjax.types import Reflection, Rollout


class Mirror(NamedTuple):
    """What observations and actions become in a mirror between left and right."""

    actor: Reflection
    critic: Reflection
    action: Reflection


class ActorCritic(NamedTuple):
    """Everything of actor and critic that training changes."""

    actor: Any  # {"net": parameters, "log_std": [A]}
    critic: Any
    actor_opt: Any
    critic_opt: Any
    actor_norm: normalizers.Moments
    critic_norm: normalizers.Moments
    mirror: Mirror | tuple[()]  # never changes; () without symmetry
    progress: jax.Array  # [] float32 in [0, 1], how far the standard deviation is annealed


class Batch(NamedTuple):
    """An iteration's samples [n, ...] with their targets; observations are normalised."""

    actor_obs: jax.Array
    critic_obs: jax.Array
    action: jax.Array
    log_prob: jax.Array
    random: jax.Array
    advantage: jax.Array
    target: jax.Array
    widening: jax.Array | None  # [n] added to the log of the standard deviation


def _nets(settings: LearnSettings, actions: int) -> tuple[networks.MLP, networks.MLP]:
    actor = networks.MLP(tuple(settings.actor_hidden), actions, settings.actor_init_output_scale)
    return actor, networks.MLP(tuple(settings.critic_hidden), 1)


def init(
    key: jax.Array, settings: LearnSettings, actor_size: int, critic_size: int, actions: int,
    mirror: Mirror | tuple[()] = (),
) -> ActorCritic:  # fmt: skip
    """First parameters for observations of the given sizes. mirror: for a policy that does the same in a mirror."""
    actor_net, critic_net = _nets(settings, actions)
    actor_key, critic_key = jax.random.split(key)
    actor = {
        "net": actor_net.init(actor_key, jnp.zeros(actor_size)),
        "log_std": jnp.full(actions, jnp.log(settings.std.begin), jnp.float32),
    }
    critic = critic_net.init(critic_key, jnp.zeros(critic_size))
    return ActorCritic(
        actor, critic, optimizers.make(settings.actor).init(actor), optimizers.make(settings.critic).init(critic),
        normalizers.moments(actor_size), normalizers.moments(critic_size), jax.tree.map(jnp.asarray, mirror),
        jnp.float32(0),
    )  # fmt: skip


def _mean(net: networks.MLP, params: Any, mirror: Mirror | tuple[()], obs: jax.Array) -> jax.Array:
    """The mean action [...,A]. With a mirror, the mean of the network's and of what it does in the mirror, taken back."""
    if not mirror:
        return networks.apply(net, params, obs)
    # two small products: as one stacked product they take a third longer on a CPU
    other = networks.apply(net, params, networks.reflect(mirror.actor, obs))
    return 0.5 * (networks.apply(net, params, obs) + networks.reflect(mirror.action, other))


def _value(net: networks.MLP, params: Any, mirror: Mirror | tuple[()], obs: jax.Array) -> jax.Array:
    """The value [...], the same for an observation and its mirror image."""
    if not mirror:
        return networks.apply(net, params, obs)[..., 0]
    other = networks.apply(net, params, networks.reflect(mirror.critic, obs))
    return 0.5 * (networks.apply(net, params, obs) + other)[..., 0]


def mode(state: ActorCritic, settings: LearnSettings, obs: dict[str, jax.Array]) -> jax.Array:
    """The policy's mean action [...,A], normalised."""
    net, _ = _nets(settings, state.actor["log_std"].shape[-1])
    return _mean(net, state.actor["net"], state.mirror, normalizers.normalize(state.actor_norm, obs["actor"]))


def _widening(state: ActorCritic, settings: LearnSettings, obs: dict[str, jax.Array]) -> jax.Array | None:
    """What pushed environments add to the log of the standard deviation [...]; None if they do not differ.

    The noise of what an action was worth is as large as what is at stake, and what it teaches is as small as the action's own
    noise: where falls are at stake, policies go on learning with large noise only (docs/architecture.md).
    """
    if settings.std.mode != "annealed" or settings.std.end_pushed is None:
        return None
    return obs["pushed"] * state.progress * jnp.log(settings.std.end_pushed / settings.std.end)


def _widened(log_std: jax.Array, widening: jax.Array | None) -> jax.Array:
    return log_std if widening is None else log_std + widening[..., None]


def act(state: ActorCritic, settings: LearnSettings, obs: dict[str, jax.Array], keys: jax.Array, explore: jax.Array):
    """Sample actions [B,A] with one key per environment -> (action, log-probability [B], sampled [B] bool).

    With probability `explore` the sampled action is taken, else the mode.
    """
    mean = mode(state, settings, obs)
    log_std = _widened(state.actor["log_std"], _widening(state, settings, obs))

    def one(key: jax.Array) -> tuple[jax.Array, jax.Array]:
        noise, choice = jax.random.split(key)
        return jax.random.normal(noise, log_std.shape[-1:]), jax.random.uniform(choice) < explore

    noise, random = jax.vmap(one)(keys)
    action = jnp.where(random[:, None], mean + jnp.exp(log_std) * noise, mean)
    return action, networks.log_prob(mean, log_std, action), random


def values(state: ActorCritic, settings: LearnSettings, obs: dict[str, jax.Array]) -> jax.Array:
    """The critic's estimate [...]."""
    _, net = _nets(settings, 1)
    return _value(net, state.critic, state.mirror, normalizers.normalize(state.critic_norm, obs["critic"]))


def targets(
    state: ActorCritic, settings: LearnSettings, rollout: Rollout, reward: jax.Array, axis: str | None
) -> tuple[Batch, dict[str, jax.Array]]:
    """TD(lambda) targets and normalised advantages of a rollout [T,B], flattened to samples [T B] -> (batch, statistics)."""
    after = returns.end_values(rollout.done, values(state, settings, rollout.last_obs))
    target = returns.td_lambda(reward, after, rollout.done, settings.discount, settings.td_lambda)
    advantage = target - values(state, settings, rollout.obs)
    normalized = returns.normalize_advantages(
        advantage, rollout.random, settings.norm_adv_clip, axis, settings.norm_adv_own
    )
    actor_obs = normalizers.normalize(state.actor_norm, rollout.obs["actor"])
    critic_obs = normalizers.normalize(state.critic_norm, rollout.obs["critic"])
    widening = _widening(state, settings, rollout.obs)
    batch = Batch(actor_obs, critic_obs, rollout.action, rollout.log_prob, rollout.random, normalized, target, widening)
    stats = {"Adv_Mean": jnp.mean(advantage), "Adv_Std": jnp.std(advantage)}
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), batch), stats


def update_critic(
    key: jax.Array, state: ActorCritic, settings: LearnSettings, batch: Batch, envs: int, axis: str | None
) -> tuple[ActorCritic, dict[str, jax.Array]]:
    """The critic's gradient steps of one iteration -> (state, {Critic_Loss})."""
    _, net = _nets(settings, 1)
    optimizer = optimizers.make(settings.critic)

    def step(carry, rows):
        params, opt = carry
        obs, target = batch.critic_obs[rows], batch.target[rows]
        loss, grads = jax.value_and_grad(lambda p: losses.value(_value(net, p, state.mirror, obs), target))(params)
        changes, opt = optimizer.update(parallel.mean(grads, axis), opt, params)
        return (optax.apply_updates(params, changes), opt), {"Critic_Loss": loss}

    order = minibatch.indices(key, len(batch.target), envs, settings.critic)
    (params, opt), stats = minibatch.descend(step, (state.critic, state.critic_opt), order)
    return state._replace(critic=params, critic_opt=opt), stats


def _actor_loss(
    params: Any, mirror: Mirror | tuple[()], settings: LearnSettings, algorithm: Algorithm, rows: Batch
) -> tuple[jax.Array, dict]:
    log_std = params["log_std"]
    if settings.std.mode != "trained":
        log_std = jax.lax.stop_gradient(log_std)
    net, _ = _nets(settings, log_std.shape[-1])
    mean = _mean(net, params["net"], mirror, rows.actor_obs)
    log_prob = networks.log_prob(mean, _widened(log_std, rows.widening), rows.action)
    loss, info = algorithm.policy_loss(log_prob, rows.log_prob, rows.advantage, rows.random, settings.ppo_clip_ratio)
    bound = losses.action_bound(mean)
    regular = jnp.mean(jnp.sum(mean**2, axis=-1))
    loss = loss + settings.action_bound_weight * bound + settings.action_reg_weight * regular
    loss = loss - settings.action_entropy_weight * networks.entropy(log_std)
    return loss, {"Actor_Loss": loss, **info, "Action_Bound_Loss": bound}


def update_actor(
    key: jax.Array, state: ActorCritic, settings: LearnSettings, algorithm: Algorithm, batch: Batch, envs: int,
    axis: str | None,
):  # fmt: skip
    """The actor's gradient steps of one iteration, then its rate's adaptation to the KL -> (state, statistics)."""
    optimizer = optimizers.make(settings.actor)

    def step(carry, rows):
        params, opt = carry
        picked = jax.tree.map(lambda x: x[rows], batch)
        (_, info), grads = jax.value_and_grad(_actor_loss, has_aux=True)(
            params, state.mirror, settings, algorithm, picked
        )
        changes, opt = optimizer.update(parallel.mean(grads, axis), opt, params)
        changed: Any = optax.apply_updates(params, changes)
        if settings.std.mode != "trained":  # it has no gradient, but weight decay would move it
            changed = {**changed, "log_std": params["log_std"]}
        return (changed, opt), info

    order = minibatch.indices(key, len(batch.target), envs, settings.actor)
    (params, opt), stats = minibatch.descend(step, (state.actor, state.actor_opt), order)
    if settings.target_kl > 0 and stats:
        kl = parallel.mean(stats["KL"], axis)
        rate = opt.hyperparams["learning_rate"]
        factor = jnp.where(kl > 1.5 * settings.target_kl, 1 / 1.5, jnp.where(kl < settings.target_kl / 1.5, 1.5, 1.0))
        rate = jnp.clip(rate * factor, settings.learning_rate_min, settings.learning_rate_max)
        opt = opt._replace(hyperparams={**opt.hyperparams, "learning_rate": rate})
    return state._replace(actor=params, actor_opt=opt), stats


def anneal(state: ActorCritic, settings: LearnSettings, failed: jax.Array, axis: str | None) -> ActorCritic:
    """Move the annealed standard deviation on if failures were rare in this iteration.

    Success, not time, drives it: high noise until the robot stays up, then less for precision, at any speed of learning.
    """
    if settings.std.mode != "annealed":
        return state
    std = settings.std
    failures = parallel.mean(jnp.mean(failed.astype(jnp.float32)), axis)
    step = jnp.where(failures * std.success_length < 1.0, 1.0 / std.anneal_iterations, 0.0)
    progress = jnp.minimum(state.progress + step, 1.0)
    log_std = (1.0 - progress) * jnp.log(std.begin) + progress * jnp.log(std.end)
    actor = {**state.actor, "log_std": jnp.full_like(state.actor["log_std"], log_std)}
    return state._replace(actor=actor, progress=progress.astype(jnp.float32))


def update_normalizers(state: ActorCritic, rollout: Rollout, active: jax.Array, axis: str | None) -> ActorCritic:
    """Merge the rollout's observations."""
    actor = normalizers.update(state.actor_norm, rollout.obs["actor"], active, axis)
    critic = normalizers.update(state.critic_norm, rollout.obs["critic"], active, axis)
    if state.mirror:
        actor = normalizers.symmetric(actor, state.mirror.actor)
        critic = normalizers.symmetric(critic, state.mirror.critic)
    return state._replace(actor_norm=actor, critic_norm=critic)
