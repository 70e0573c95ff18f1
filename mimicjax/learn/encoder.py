"""ASE's encoder: a reward for motion from which one can tell the latent that it was made by (MimicKit 4.8)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax.sharding import PartitionSpec

from mimicjax import statistics
from mimicjax.config.settings import LearnSettings
from mimicjax.learn import minibatch, networks, normalizers, optimizers, parallel
from mimicjax.learn.minibatch import Fitted
from mimicjax.learn.sockets import RewardModel, RewardModelMaker
from mimicjax.statistics import Statistics
from mimicjax.types import Array, Rollout


class EncoderState(NamedTuple):
    """What the encoder carries from iteration to iteration."""

    params: Any
    opt: Any
    norm: normalizers.Moments  # of the windows of motion


def _make(settings: LearnSettings, size: int, envs: int, devices: int) -> RewardModel:
    """E(x) on the unit sphere for a window of motion x; reward max(z . E(x), 0), loss the mean of -z . E(x)."""
    net = networks.MLP(tuple(settings.enc.hidden), settings.latent.dim, output_scale=0.1)

    def likeness(params: Any, norm: normalizers.Moments, windows: Array, z: Array) -> Array:
        code = networks.apply(net, params, normalizers.normalize(norm, windows))
        return jnp.sum(z * code, axis=-1) / jnp.maximum(jnp.linalg.norm(code, axis=-1), 1e-6)

    def init(key: Array) -> EncoderState:
        params = net.init(key, jnp.zeros(size))
        return EncoderState(params, optimizers.make(settings.enc.optimizer).init(params), normalizers.moments(size))

    def reward(state: EncoderState, rollout: Rollout) -> Array:
        judge = lambda rows: jnp.maximum(likeness(state.params, state.norm, *rows), 0.0)  # noqa: E731
        return networks.by_rows(judge, (rollout.views["motion"], rollout.memory.z))

    def update(
        key: Array, state: EncoderState, rollout: Rollout, demonstrations: Callable[[Array], Array], active: Array,
        axis: str | None,
    ) -> tuple[EncoderState, Statistics]:  # fmt: skip
        windows = rollout.views["motion"].reshape(-1, size)
        z, counts = rollout.memory.z.reshape(len(windows), -1), rollout.valid.reshape(-1).astype(jnp.float32)

        def objective(params: Any, rows: Array, key: Array) -> tuple[Array, Statistics]:
            errors = -likeness(params, state.norm, windows[rows], z[rows])
            return parallel.share(errors, counts[rows], axis), {"Enc_Loss": statistics.mean(errors, counts[rows])}

        start = Fitted(state.params, state.opt)
        fitted, stats = minibatch.fit(key, objective, start, settings.enc.optimizer, len(windows), envs, axis)
        return EncoderState(fitted.params, fitted.opt, normalizers.update(state.norm, windows, active, axis)), stats

    def specs(axis: str) -> EncoderState:
        equal: Any = PartitionSpec()
        return EncoderState(equal, equal, equal)

    return RewardModel("Enc", settings.enc_reward_weight, init, reward, update, specs)


ENCODER = RewardModelMaker("motion", _make)
