"""A run folder, loaded to be used: evaluated, played, exported. Only the agent is read from a checkpoint.

Replay buffers and environments stay on the disk, so a run that was trained on other devices, or on more of them than
there are here, loads as well.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax

from mimicjax import config
from mimicjax.errors import UserError
from mimicjax.learn.actor_critic import ActorCritic
from mimicjax.run import checkpoint, checkpoint_files
from mimicjax.settings import RunSettings


class Restored(NamedTuple):
    """A trained agent in its world."""

    world: Any  # build.World, with the engine as chosen now
    agent: ActorCritic
    step: int  # of the checkpoint
    facts: dict[str, Any]  # of the checkpoint: versions, robot, samples, config as trained
    notes: tuple[str, ...]  # in what it differs from the run as trained, for the user


def load(
    folder: Path,
    world: Callable[[RunSettings], Any],
    first_agent: Callable[[Any, jax.Array], ActorCritic],
    *,
    engine: str | None = None,
    motion: str | None = None,
    step: int | None = None,
    facts: Callable[[Any], dict[str, Any]] | None = None,
) -> Restored:
    """The agent of a run folder and the world it was trained in.

    world, first_agent, facts: build's functions of these names. engine, motion: instead of the run's. step: of the
    checkpoint, None for the latest. Raises UserError for whatever is missing, damaged or does not fit.
    """
    trained = settings_of(folder)
    saved = checkpoint.read_facts(folder / "checkpoints", step)
    chosen = dataclasses.replace(trained.engine, name=engine or trained.engine.name)
    settings = dataclasses.replace(trained, num_envs=len(jax.devices()), motion=motion or trained.motion, engine=chosen)
    made = world(settings)
    number = int(checkpoint_files.find(folder / "checkpoints", step).name.partition(".")[0])
    like = {"agent": jax.eval_shape(lambda key: first_agent(made, key), jax.random.key(0))}
    agent = checkpoint.restore(folder / "checkpoints", like, step=step, part=True)[0]["agent"]
    here = facts(made) if facts else {}
    differs = []
    if here and here.get("robot_hash") != saved.get("robot_hash"):
        differs.append(f"the files of robot {settings.robot} have changed since the run was trained")
    if here and not motion and here.get("motion_hash") != saved.get("motion_hash"):
        differs.append(f"the motion {settings.motion} has changed since the run was trained")
    return Restored(made, agent, number, saved, tuple(differs))


def settings_of(folder: Path) -> RunSettings:
    """The resolved settings in a run folder. Raises UserError if it is none."""
    if not folder.is_dir():
        raise UserError(f"{folder}: there is no such run folder")
    file = folder / "config.yaml"
    if not file.is_file():
        raise UserError(f"{folder}: is no run folder (no config.yaml in it)")
    return config.load(RunSettings, file)
