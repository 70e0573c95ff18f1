"""A run folder, loaded to be used: evaluated, played, exported. Only the agent is read from a checkpoint.

Replay buffers and environments stay on the disk, so a run that was trained on other devices, or on more of them than
there are here, loads as well.
"""

from __future__ import annotations

import dataclasses
import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from mimicjax import config
from mimicjax.errors import UserError
from mimicjax.learn import actor_critic
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
    sizes: Callable[[Any], dict[str, int]],
    *,
    engine: str | None = None,
    motion: str | None = None,
    step: int | None = None,
    facts: Callable[[Any], dict[str, Any]] | None = None,
) -> Restored:
    """The agent of a run folder and the world it was trained in.

    world, sizes, facts: build's functions of these names. engine, motion: instead of the run's. step: of the
    checkpoint, None for the latest. Raises UserError for whatever is missing, damaged or does not fit.
    """
    trained = settings_of(folder)
    saved = checkpoint.read_facts(folder / "checkpoints", step)
    chosen = dataclasses.replace(trained.engine, name=engine or trained.engine.name)
    settings = dataclasses.replace(trained, num_envs=len(jax.devices()), motion=motion or trained.motion, engine=chosen)
    made = world(settings)
    path = checkpoint_files.find(folder / "checkpoints", step)
    number = int(path.name.partition(".")[0])
    agent = _read_agent(path, template(settings, sizes(made), made.robot.num_dofs))
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


def template(settings: RunSettings, sizes: dict[str, int], actions: int) -> ActorCritic:
    """The agent's shapes and types; nothing is computed."""
    init = lambda key: actor_critic.init(key, settings.learn, sizes["actor"], sizes["critic"], actions)  # noqa: E731
    return jax.eval_shape(init, jax.random.key(0))


def _read_agent(path: Path, like: ActorCritic) -> ActorCritic:
    """The leaves `agent.*` of a checkpoint, checked against their checksums; other leaves are not read."""
    pairs = jax.tree_util.tree_flatten_with_path({"agent": like})[0]
    wanted = {jax.tree_util.keystr(place, simple=True, separator="."): leaf for place, leaf in pairs}
    about = json.loads((path / "facts.json").read_text())["leaves"]  # read_facts has checked the file
    differ = []
    for name, leaf in wanted.items():
        here, there = (list(leaf.shape), str(leaf.dtype)), about.get(name)
        if there is None or (there["shape"], there["dtype"]) != here:
            is_there = f"{there['dtype']}{there['shape']}" if there else "nothing"
            differ.append(f"{name} is {is_there} there and {here[1]}{here[0]} by config.yaml")
    if differ:
        more = f" and {len(differ) - 3} more" if len(differ) > 3 else ""
        raise UserError(f"{path}: does not fit the run's config.yaml and robot: {'; '.join(differ[:3])}{more}")
    arrays = _read(path, [name for name, leaf in wanted.items() if 0 not in leaf.shape])
    for name, leaf in wanted.items():
        array = arrays.setdefault(name, np.zeros(leaf.shape, leaf.dtype))
        same = (array.shape, array.dtype) == (leaf.shape, leaf.dtype)
        if not same or zlib.crc32(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data) != about[name]["crc"]:
            raise checkpoint_files.damaged(path, f"{name} is missing or changed")
    return jax.tree.unflatten(jax.tree.structure(like), [jax.numpy.asarray(arrays[name]) for name in wanted])


def _read(path: Path, names: list[str]) -> dict[str, np.ndarray]:
    import orbax.checkpoint as ocp  # takes a second, which a mistaken command line does not wait for

    asked = ocp.args.PyTreeRestore(item=dict.fromkeys(names, 0), partial_restore=True)
    try:
        with ocp.PyTreeCheckpointer() as checkpointer:
            found = checkpointer.restore((path / "state").resolve(), args=asked)
    except Exception as problem:  # whatever Orbax, tensorstore and the codecs say about damaged files
        raise checkpoint_files.damaged(path, " ".join(str(problem).split())[:200]) from problem
    return {name: np.asarray(array) for name, array in found.items()}
