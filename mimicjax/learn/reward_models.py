"""Learned rewards. ADD: a discriminator between the difference of reference and robot and the zero vector."""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp

from mimicjax.config.settings import LearnSettings
from mimicjax.learn import discriminator, normalizers
from mimicjax.learn.discriminator import DiscState
from mimicjax.learn.sockets import RewardModel, RewardModelMaker
from mimicjax.statistics import Statistics
from mimicjax.types import Array, Rollout


def _add(settings: LearnSettings, size: int, envs: int, devices: int) -> RewardModel:
    """ADD (MimicKit 4.7): inputs are divided by their own mean size, and the one positive is no difference at all."""
    disc = discriminator.make(settings, size, envs, devices)

    def reward(state: DiscState, rollout: Rollout) -> Array:
        return discriminator.reward(disc, state.params, normalizers.scale(state.norm, rollout.views["difference"]))

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
        return fitted._replace(norm=norm), stats

    return RewardModel(
        name="Disc",
        weight=settings.disc_reward_weight,
        init=lambda key: discriminator.init(disc, normalizers.magnitude(size), key),
        reward=reward,
        update=update,
        specs=discriminator.specs,
    )


ADD = RewardModelMaker("difference", _add)
