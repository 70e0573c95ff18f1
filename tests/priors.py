"""Untrained diffusion priors on disk, for tests of what uses them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from mimicjax.config.settings import SmpSettings
from mimicjax.learn import diffusion, prior_files


def write(
    folder: Path, size: int, settings: SmpSettings | None = None, facts: dict[str, Any] | None = None
) -> SmpSettings:
    """Settings that name a prior of windows [size], whose parameters are the seed's; also while something is traced."""
    settings = settings or SmpSettings(hidden=[8], prior=str(folder))
    known = {"timesteps": settings.timesteps, "hidden": list(settings.hidden), "size": size}
    with jax.ensure_compile_time_eval():
        params = diffusion.Denoiser(tuple(settings.hidden)).init(jax.random.key(0), jnp.zeros(size), jnp.float32(0))
        prior_files.save(folder, diffusion.Prior(params, jnp.zeros(size), jnp.ones(size)), known | (facts or {}))
    return settings
