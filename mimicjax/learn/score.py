"""SMP's reward: a frozen diffusion prior judges motion by how well it sees the noise that is added to it (MimicKit 4.9)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from mimicjax import statistics
from mimicjax.config.settings import LearnSettings, SmpSettings
from mimicjax.errors import UserError
from mimicjax.learn import diffusion, networks, normalizers, parallel, prior_files
from mimicjax.learn.diffusion import Prior
from mimicjax.learn.normalizers import Magnitude
from mimicjax.learn.sockets import RewardModel, RewardModelMaker
from mimicjax.statistics import Statistics
from mimicjax.types import Array, Rollout

VIEW = "motion_without_dof_vel"


class ScoreState(NamedTuple):
    """What changes of a frozen prior's reward."""

    prior: Prior  # as it was trained
    norm: Magnitude  # [K] mean errors at the steps of settings.diffusion_steps
    key: Array  # of the noise, another one in every iteration


def of_sample(key: Array, x: Array) -> Array:
    """A key of a window [S], by its bits: what is drawn for a sample does not depend on where it lies in a batch."""
    bits = jax.lax.bitcast_convert_type(x, jnp.uint32)
    return jax.random.fold_in(key, jax.lax.reduce(bits, jnp.uint32(0), jax.lax.bitwise_xor, (0,)))


def errors(settings: SmpSettings, prior: Prior, key: Array, windows: Array) -> Array:
    """[n,K]: mean squared error of the noise that the prior sees in windows [n,S], at each of its diffusion_steps."""
    left = jnp.asarray(diffusion.alphas(settings.timesteps))

    def judge(x: Array, key: Array, step: int) -> Array:
        noise = jax.random.normal(jax.random.fold_in(key, step), x.shape)
        seen = diffusion.denoise(settings, prior.params, diffusion.noised(x, noise, left[step]), jnp.int32(step))
        return jnp.mean((seen - noise) ** 2)

    def judge_all(window: Array) -> Array:
        sample_key = of_sample(key, window)
        x = (window - prior.mean) / prior.std
        return jnp.stack([judge(x, sample_key, step) for step in settings.diffusion_steps])

    return jax.vmap(judge_all)(windows)


def _checked(settings: SmpSettings, size: int) -> Prior:
    if not settings.prior:
        raise UserError(
            "learn.smp.prior: given none; python -m mimicjax.train_prior makes one, --learn.smp.prior DIR names it"
        )
    beyond = [step for step in settings.diffusion_steps if step >= settings.timesteps]
    if beyond or not settings.diffusion_steps:
        raise UserError(
            f"learn.smp.diffusion_steps: given {settings.diffusion_steps}, allowed is at least one step, each below "
            f"learn.smp.timesteps {settings.timesteps}"
        )
    folder = Path(settings.prior)
    prior_files.check(folder, {"timesteps": settings.timesteps, "hidden": list(settings.hidden), "size": size})
    return prior_files.load(folder)


def _make(settings: LearnSettings, size: int, envs: int, devices: int) -> RewardModel:
    """reward_scale exp(-loss_scale x mean over steps of the error, by its mean size so far)."""
    smp = settings.smp
    prior = _checked(smp, size)

    def init(key: Array) -> ScoreState:
        return ScoreState(
            jax.tree.map(jnp.asarray, prior), normalizers.magnitude(len(smp.diffusion_steps)), jax.random.key_data(key)
        )

    def judged(state: ScoreState, windows: Array) -> Array:
        return errors(smp, state.prior, jax.random.wrap_key_data(state.key), windows)

    def reward(state: ScoreState, rollout: Rollout) -> Array:
        def judge(windows: Array) -> Array:
            size = jnp.mean(normalizers.scale(state.norm, judged(state, windows)), axis=-1)
            return smp.reward_scale * jnp.exp(-smp.loss_scale * size)

        return networks.by_rows(judge, rollout.views[VIEW])

    def update(
        key: Array, state: ScoreState, rollout: Rollout, demonstrations: Callable[[Array], Array], active: Array,
        axis: str | None,
    ) -> tuple[ScoreState, Statistics]:  # fmt: skip
        gaps = judged(state, rollout.views[VIEW].reshape(-1, size))
        counts = rollout.valid.reshape(-1).astype(jnp.float32)
        early = active & (state.norm.count < smp.normalizer_samples)
        norm = normalizers.update_magnitude(state.norm, gaps, early, axis, counts)
        mean, deviation = parallel.mean_and_deviation(jnp.mean(gaps, axis=-1), counts, axis)
        stats: Statistics = {
            "Sds_Loss_Mean": statistics.once(mean, axis), "Sds_Loss_Std": statistics.once(deviation, axis)
        }  # fmt: skip
        return state._replace(norm=norm, key=jax.random.key_data(key)), stats

    def specs(axis: str) -> Any:
        return PartitionSpec()

    return RewardModel("Smp", settings.smp_reward_weight, init, reward, update, specs)


SMP = RewardModelMaker(VIEW, _make)
