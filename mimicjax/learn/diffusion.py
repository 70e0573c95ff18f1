"""A diffusion prior over windows of motion: what noise it would take away from a noised one (MimicKit 4.9).

DDPM (Ho et al. 2020) with the squared-cosine schedule of Nichol and Dhariwal (2021). The denoiser is a multilayer perceptron of
the whole window, where MimicKit has a transformer: a few clips are learned in minutes on two cores.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn

from mimicjax.config.settings import SmpSettings
from mimicjax.types import Array

MIN_STD = 0.2  # of a channel: what hardly moves must not weigh more than what does
CLOCK = 32  # numbers that tell the denoiser the step


class Prior(NamedTuple):
    """A trained prior over windows of S numbers."""

    params: Any
    mean: Array  # [S] of the clips' windows
    std: Array  # [S], at least MIN_STD


class Denoiser(nn.Module):
    """(noised windows [...,S], steps [...] int) -> the noise in them [...,S]."""

    hidden: Sequence[int]

    @nn.compact
    def __call__(self, x: jax.Array, step: jax.Array) -> jax.Array:
        size = x.shape[-1]
        rate = jnp.exp(-jnp.log(1000.0) * jnp.arange(CLOCK // 2) / (CLOCK // 2))
        angle = step[..., None] * rate
        x = jnp.concatenate([x, jnp.sin(angle), jnp.cos(angle)], axis=-1)
        for width in self.hidden:
            x = nn.silu(nn.Dense(width)(x))
        return nn.Dense(size)(x)


def alphas(timesteps: int) -> np.ndarray:
    """[T]: the share of a window's variance that is left after each step, from nearly 1 down to nearly 0."""
    time = np.arange(timesteps + 1) / timesteps
    left = np.cos((time + 0.008) / 1.008 * np.pi / 2) ** 2
    beta = np.minimum(1.0 - left[1:] / left[:-1], 0.999)
    return np.cumprod(1.0 - beta).astype(np.float32)


def noised(x: Array, noise: Array, left: Array) -> Array:
    """A window [...,S] with noise [...,S], of which `left` [...] of the variance is still its own."""
    return jnp.sqrt(left)[..., None] * x + jnp.sqrt(1.0 - left)[..., None] * noise


def denoise(settings: SmpSettings, params: Any, x: Array, step: Array) -> Array:
    """The noise [...,S] that the prior sees in normalised windows [...,S] after `step` [...] int."""
    return Denoiser(tuple(settings.hidden)).apply(params, x, step.astype(jnp.float32))  # type: ignore[return-value]


class PriorFit(NamedTuple):
    """A prior in training."""

    params: Any
    opt: Any
    averaged: Any  # parameters, what is kept of them in the end
    step: Array  # [] int32


def fitting(
    settings: SmpSettings, size: int, draw: Callable[[Array], Array]
) -> tuple[
    Callable[[Array], tuple[PriorFit, Prior]], Callable[[PriorFit, Prior, Array, Array], tuple[PriorFit, Array]]
]:
    """(begin(key) -> (fit, prior without parameters), train(fit, prior, key, n) -> (fit, mean loss)); both may be compiled.

    draw: keys [n] -> windows [n,size] of the clips. The loss is the mean absolute error of the noise, as in MimicKit.
    """
    left = jnp.asarray(alphas(settings.timesteps))
    rate = optax.cosine_decay_schedule(settings.learning_rate, settings.gradient_steps)
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(rate, weight_decay=0.01))

    def begin(key: Array) -> tuple[PriorFit, Prior]:
        windows = draw(jax.random.split(key, 8192))
        std = jnp.maximum(jnp.std(windows, axis=0), MIN_STD)
        params = Denoiser(tuple(settings.hidden)).init(key, jnp.zeros(size), jnp.float32(0))
        fit = PriorFit(params, optimizer.init(params), jax.tree.map(jnp.copy, params), jnp.int32(0))
        return fit, Prior((), jnp.mean(windows, axis=0), std)

    def loss(params: Any, x: Array, noise: Array, step: Array) -> Array:
        return jnp.mean(jnp.abs(denoise(settings, params, noised(x, noise, left[step]), step) - noise))

    def learn(fit: PriorFit, prior: Prior, key: Array) -> tuple[PriorFit, Array]:
        window_key, noise_key, step_key = jax.random.split(jax.random.fold_in(key, fit.step), 3)
        x = (draw(jax.random.split(window_key, settings.batch_size)) - prior.mean) / prior.std
        step = jax.random.randint(step_key, (len(x),), 0, settings.timesteps)
        value, grad = jax.value_and_grad(loss)(fit.params, x, jax.random.normal(noise_key, x.shape), step)
        change, opt = optimizer.update(grad, fit.opt, fit.params)
        params = optax.apply_updates(fit.params, change)
        kept = jnp.minimum(settings.ema, fit.step / (fit.step + 10.0))  # the first steps are forgotten soon
        averaged = jax.tree.map(lambda old, now: kept * old + (1.0 - kept) * now, fit.averaged, params)
        return PriorFit(params, opt, averaged, fit.step + 1), value

    def train(fit: PriorFit, prior: Prior, key: Array, count: Array) -> tuple[PriorFit, Array]:
        def again(_: Array, carry: tuple[PriorFit, Array]) -> tuple[PriorFit, Array]:
            fit, total = carry
            fit, value = learn(fit, prior, key)
            return fit, total + value

        fit, total = jax.lax.fori_loop(0, count, again, (fit, jnp.float32(0)))
        return fit, total / jnp.maximum(count, 1)

    return begin, train
