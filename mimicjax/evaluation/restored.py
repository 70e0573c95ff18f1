"""A run folder, loaded to be used: evaluated, played, exported. Only the agent is read from a checkpoint.

Replay buffers and environments stay on the disk, so a run that was trained on other devices, or on more of them than
there are here, loads as well.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import jax

from mimicjax import config, pretrained
from mimicjax.config.settings import RunSettings
from mimicjax.engine import choose
from mimicjax.engine.scene import Scene
from mimicjax.errors import UserError
from mimicjax.learn.sockets import Agent, Policy
from mimicjax.run import checkpoint
from mimicjax.types import Engine
from mimicjax.versions import versions
from mimicjax.world import World


class Restored(NamedTuple):
    """A trained agent in its world."""

    folder: Path  # of the run
    world: World  # with the engine as chosen now
    policy: Policy
    agent: Agent
    step: int  # of the checkpoint
    facts: dict[str, Any]  # of the checkpoint: versions, robot, samples, config as trained
    notes: tuple[str, ...]  # in what it differs from the run as trained, for the user

    @property
    def trained_on(self) -> str | None:
        """Name of the engine of the training, if the checkpoint says so."""
        return ((self.facts.get("config") or {}).get("engine") or {}).get("name")


def lean(agent: Agent) -> Agent:
    """What of an agent acts: without critic and optimisers, which packed policies leave out."""
    return agent._replace(critic=(), actor_opt=(), critic_opt=())


def settings_of(folder: Path) -> RunSettings:
    """The resolved settings in a run folder. Raises UserError if it is none."""
    if not folder.is_dir():
        names = ", ".join(pretrained.names())
        known = f"; policies that come with mimicjax: {names}" if names else ""
        raise UserError(f"{folder}: there is no such run folder{known}")
    file = folder / "config.yaml"
    if not file.is_file():
        raise UserError(f"{folder}: is no run folder (no config.yaml in it)")
    checkpoint.check_format(folder / "checkpoints")
    return config.load(RunSettings, file)


def engine_for(restored: Restored, episodes: int, scene: Scene | None = None) -> Engine:
    """The chosen engine for so many episodes at once, without randomisation. scene: instead of the world's.

    Raises UserError if it cannot run here; if the run was trained on it, the message says which flag helps.
    """
    settings = restored.world.settings
    try:
        return choose.make(scene or restored.world.scene, settings.engine, episodes, None, settings.seed)
    except UserError as problem:
        if settings.engine.name != restored.trained_on:
            raise
        hint = "the run was trained with this engine: choose another with --engine, such as native"
        raise UserError(f"{problem}; {hint}") from problem


def describe(restored: Restored, seed: int) -> dict[str, Any]:
    """What is evaluated, where and with what, as JSON data: all that is needed to do it again."""
    settings = restored.world.settings
    return {
        "run": restored.folder.resolve().name, "checkpoint": restored.step, "samples": restored.facts.get("samples"),
        "robot": settings.robot, "motion": settings.motion, "seed": seed, "engine": settings.engine.name,
        "trained_on": restored.trained_on, "control_freq": settings.engine.control_freq,
        "sim_freq": settings.engine.sim_freq, "episode_length": settings.env.episode_length,
        "device": jax.devices()[0].device_kind, "versions": versions(),
        "trained_with": restored.facts.get("versions"), "notes": list(restored.notes),
    }  # fmt: skip
