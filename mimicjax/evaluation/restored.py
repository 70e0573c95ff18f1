"""A run folder, loaded to be used: evaluated, played, exported. Only the agent is read from a checkpoint.

Replay buffers and environments stay on the disk, so a run that was trained on other devices, or on more of them than
there are here, loads as well.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from mimicjax import config
from mimicjax.config.settings import RunSettings
from mimicjax.errors import UserError
from mimicjax.learn.actor_critic import ActorCritic
from mimicjax.world import World


class Restored(NamedTuple):
    """A trained agent in its world."""

    world: World  # with the engine as chosen now
    agent: ActorCritic
    step: int  # of the checkpoint
    facts: dict[str, Any]  # of the checkpoint: versions, robot, samples, config as trained
    notes: tuple[str, ...]  # in what it differs from the run as trained, for the user


def settings_of(folder: Path) -> RunSettings:
    """The resolved settings in a run folder. Raises UserError if it is none."""
    if not folder.is_dir():
        raise UserError(f"{folder}: there is no such run folder")
    file = folder / "config.yaml"
    if not file.is_file():
        raise UserError(f"{folder}: is no run folder (no config.yaml in it)")
    return config.load(RunSettings, file)
