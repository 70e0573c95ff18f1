"""Versions of what computes, for checkpoints, evaluations and measurements."""

from __future__ import annotations

import importlib.metadata

import mimicjax

PACKAGES = (
    "jax", "jaxlib", "mujoco", "mujoco-mjx", "warp-lang", "flax", "optax", "orbax-checkpoint", "numpy",
)  # fmt: skip


def versions() -> dict[str, str]:
    """Name -> version of mimicjax and of those of PACKAGES that are installed."""
    installed = {"mimicjax": mimicjax.__version__}
    for name in PACKAGES:
        try:
            installed[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:  # Warp is optional
            continue
    return installed
