"""Which engine runs here, and why; and the engine itself, from scene and settings."""

from __future__ import annotations

import jax

from mimicjax.config.settings import EngineSettings, RandomizeSettings
from mimicjax.engine import native, randomisation
from mimicjax.engine.scene import Scene
from mimicjax.errors import UserError, unknown
from mimicjax.types import Engine

NAMES = ("native", "mjx-jax", "mjx-warp")
COMPARED = "isaacgym"  # kept to compare with; nothing chooses it by itself


def make(
    scene: Scene, settings: EngineSettings, num_envs: int, randomize: RandomizeSettings | None = None, seed: int = 0
) -> Engine:
    """The engine that `choose` names, for a scene built with these settings; with `randomize`, for a table of models.

    `seed` draws the table. Raises UserError if settings do not go together, with the scene or with this machine.
    """
    if num_envs < 1:
        raise UserError(f"num_envs = {num_envs}: at least 1 environment is needed")
    name, _ = choose(settings)
    variants = randomisation.tabulate(scene, randomize, seed) if randomize else {}
    if name == "native":
        return native.make(scene, num_envs, settings, variants)
    if name == COMPARED:
        from mimicjax.engine import isaacgym

        return isaacgym.make(scene, num_envs, settings, variants)
    from mimicjax.engine import mjx  # only here: it takes a second, and talks of a missing Warp

    return mjx.make(scene, num_envs, settings, "warp" if name == "mjx-warp" else "jax", variants)


def choose(settings: EngineSettings) -> tuple[str, str]:
    """The engine's name and the reason, one line to print.

    `auto` takes Warp on NVIDIA if it is installed, MJX's own implementation on other accelerators, and MuJoCo's C
    engine on CPUs, where it is ten to twenty times as fast as MJX.

    Raises UserError if the engine asked for cannot run here or with these settings.
    """
    name, reason = (settings.name, "asked for") if settings.name != "auto" else _fastest(_accelerator())
    _check(name, settings)
    return name, reason


def _accelerator() -> str:
    """'cpu', 'nvidia', 'tpu' or another platform's name: where jax computes by default."""
    device = jax.devices()[0]
    if device.platform in ("gpu", "cuda") and "cuda" in device.client.platform_version.lower():
        return "nvidia"
    return device.platform


def _fastest(accelerator: str) -> tuple[str, str]:
    if accelerator == "cpu":
        return "native", "no accelerator: MuJoCo's C engine on all cores"
    if accelerator != "nvidia":
        return "mjx-jax", f"jax computes on {accelerator}"
    from mimicjax.engine import mjx

    if mjx.has_warp():
        return "mjx-warp", "an NVIDIA GPU, and Warp is installed"
    return "mjx-jax", 'an NVIDIA GPU without Warp; pip install -e ".[warp]" makes it faster'


def _check(name: str, settings: EngineSettings) -> None:
    if name not in (*NAMES, COMPARED):
        raise unknown("engine.name", "engine", name, ("auto", *NAMES, COMPARED))
    if name.startswith("mjx") and settings.integrator == "implicit":
        raise UserError(
            f"engine {name} has no integrator 'implicit'; use engine.integrator = implicitfast or engine.name = native"
        )
    if name == "mjx-warp" and _accelerator() not in ("cpu", "nvidia"):
        raise UserError(f"engine mjx-warp runs on NVIDIA GPUs and CPUs, not on {_accelerator()}; use mjx-jax")
    if name in ("native", COMPARED):
        try:
            jax.devices("cpu")
        except RuntimeError as error:
            raise UserError(
                f"engine {name} computes on the CPU, which jax was told to leave out: add cpu to JAX_PLATFORMS"
            ) from error
