"""Untrained diffusion priors on disk, for tests of what uses them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from mimicjax.config.settings import SmpSettings
from mimicjax.learn import diffusion, prior_files


def write(folder: Path, size: int, settings: SmpSettings | None = None, **facts: Any) -> SmpSettings:
    """Settings that name a prior of windows [size], whose parameters are the seed's."""
    settings = settings or SmpSettings(hidden=[8], prior=str(folder))
    params = diffusion.Denoiser(tuple(settings.hidden)).init(jax.random.key(0), jnp.zeros(size), jnp.float32(0))
    known = {"timesteps": settings.timesteps, "hidden": list(settings.hidden), "size": size}
    prior_files.save(folder, diffusion.Prior(params, jnp.zeros(size), jnp.ones(size)), known | facts)
    return settings
