"""Learned rewards, each a discriminator. ADD: between the difference of reference and robot and the zero vector. AMP: between
what the robot's motion looks like over some steps and what the clips' does."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from mimicjax.config.settings import LearnSettings
from mimicjax.learn import discriminator, nearness, normalizers
from mimicjax.learn.discriminator import DiscState
from mimicjax.learn.sockets import RewardModel, RewardModelMaker
from mimicjax.statistics import Statistics
from mimicjax.types import Array, Rollout


def _add(settings: LearnSettings, size: int, envs: int, devices: int) -> RewardModel:
    """ADD (MimicKit 4.7): inputs are divided by their own mean size, and the one positive is no difference at all."""
    disc = discriminator.make(settings, size, envs, devices)

    def reward(state: DiscState, rollout: Rollout) -> Array:
        normalize = lambda x: normalizers.scale(state.norm, x)  # noqa: E731
        return discriminator.reward(disc, state.params, rollout.views["difference"], normalize)

    def update(
        key: Array, state: DiscState, rollout: Rollout, demonstrations: Callable[[Array], Array], active: Array,
        axis: str | None,
    ) -> tuple[DiscState, Statistics]:  # fmt: skip
        gaps = rollout.views["difference"].reshape(-1, size)
        fitted, stats = discriminator.update(
            disc, key, state, rollout, gaps, lambda x: normalizers.scale(state.norm, x),
            lambda rows: jnp.zeros((1, size)), axis,
        )  # fmt: skip
        counts = rollout.valid.reshape(-1).astype(jnp.float32)
        norm = normalizers.update_magnitude(state.norm, gaps, active, axis, counts)
        few, valid = (nearness.some(x, devices) for x in (rollout.views["difference"], rollout.valid))
        stats |= nearness.size(normalizers.scale(state.norm, few), valid)
        return fitted._replace(norm=norm), stats

    return RewardModel(
        name="Disc",
        weight=settings.disc_reward_weight,
        init=lambda key: discriminator.init(disc, normalizers.magnitude(size), key),
        reward=reward,
        update=update,
        specs=discriminator.specs,
    )


def _amp(settings: LearnSettings, size: int, envs: int, devices: int) -> RewardModel:
    """AMP (MimicKit 4.6): a window of the robot's motion against windows of the clips, both by their common moments."""
    disc = discriminator.make(settings, size, envs, devices)

    def reward(state: DiscState, rollout: Rollout) -> Array:
        normalize = lambda x: normalizers.normalize(state.norm, x)  # noqa: E731
        return discriminator.reward(disc, state.params, rollout.views["motion"], normalize)

    def update(
        key: Array, state: DiscState, rollout: Rollout, demonstrations: Callable[[Array], Array], active: Array,
        axis: str | None,
    ) -> tuple[DiscState, Statistics]:  # fmt: skip
        draw_key, fit_key = jax.random.split(key)
        windows, clips = rollout.views["motion"].reshape(-1, size), demonstrations(draw_key)
        normalize = lambda x: normalizers.normalize(state.norm, x)  # noqa: E731
        fitted, stats = discriminator.update(
            disc, fit_key, state, rollout, windows, normalize, lambda rows: normalize(clips[rows]), axis
        )
        # where physics exploded, the clips stand in
        counted = jnp.where(rollout.valid.reshape(-1, 1), windows, clips)
        norm = normalizers.update(state.norm, jnp.concatenate([counted, clips]), active, axis)
        stats = {name.replace("_Pos_", "_Demo_").replace("_Neg_", "_Agent_"): stat for name, stat in stats.items()}
        few, valid, some_clips = (
            nearness.some(x, devices)
            for x in (rollout.views["motion"], rollout.valid, clips.reshape(rollout.views["motion"].shape))
        )
        stats |= nearness.measure(normalize(few), valid.astype(jnp.float32), normalize(some_clips), axis)
        return fitted._replace(norm=norm), stats

    return RewardModel(
        name="Disc",
        weight=settings.disc_reward_weight,
        init=lambda key: discriminator.init(disc, normalizers.moments(size), key),
        reward=reward,
        update=update,
        specs=discriminator.specs,
    )


ADD = RewardModelMaker("difference", _add)
AMP = RewardModelMaker("motion", _amp)
