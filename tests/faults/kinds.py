"""The kinds of files that are read: whole ones to damage, and who reads them."""

from __future__ import annotations

import io
import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import orbax.checkpoint  # noqa: F401  (once, and not in every child)

from mimicjax import config, paths
from mimicjax.config.settings import RunSettings
from mimicjax.motion import datasets
from mimicjax.motion.files import read_clip
from mimicjax.motion.imports.convert import ImportOptions, clip_of
from mimicjax.motion.imports.read import read as read_import
from mimicjax.robot.load import load
from mimicjax.run import checkpoint, log


class Kind(NamedTuple):
    """make(folder) puts a whole file there and gives its path; read(path) is what a command does with it."""

    make: Callable[[Path], Path]
    read: Callable[[Path], Any]
    text: bool


def _copied(source: Path, name: str) -> Callable[[Path], Path]:
    return lambda folder: Path(shutil.copyfile(source, folder / name))


def _pkl(folder: Path) -> Path:
    """A clip as MimicKit pickles it: 20 frames of a G1."""
    frames = np.concatenate([np.zeros((20, 6)), 0.1 * np.sin(np.arange(20 * 29)).reshape(20, 29)], axis=1)
    frames[:, 2] = 0.8
    (folder / "clip.pkl").write_bytes(pickle.dumps({"loop_mode": 0, "fps": 30, "frames": frames.tolist()}))
    return folder / "clip.pkl"


def _table(folder: Path) -> Path:
    """A robot's motion as a table: root place, quaternion, 29 joints."""
    clip = read_clip(paths.MOTIONS / "g1" / "walk.npz")
    rows = np.concatenate([clip.root_pos, clip.root_quat, clip.dof_pos], axis=1)[:60]
    np.savetxt(folder / "clip.csv", rows, delimiter=",", fmt="%.5f")
    return folder / "clip.csv"


def _deepmimic(folder: Path) -> Path:
    """A humanoid's motion as DeepMimic writes it."""
    row = [0.033, 0.0, 0.9, 0.0, 1.0, 0.0, 0.0, 0.0, *[1.0, 0.0, 0.0, 0.0] * 4, 0.1, 1.0, 0.0, 0.0, 0.0, 0.1,
           1.0, 0.0, 0.0, 0.0, 0.1, 1.0, 0.0, 0.0, 0.0, 0.1, 1.0, 0.0, 0.0, 0.0]  # fmt: skip
    text = {"Loop": "wrap", "Frames": [(row + [0.0] * 44)[:44] for _ in range(20)]}
    (folder / "clip.txt").write_text(json.dumps(text))
    return folder / "clip.txt"


def _archive(folder: Path) -> Path:
    """A motion in the archive of BeyondMimic and mjlab."""
    clip = read_clip(paths.MOTIONS / "g1" / "walk.npz")
    packed = io.BytesIO()
    frames, bodies = len(clip.root_pos), 30
    place, turn = np.zeros((frames, bodies, 3)), np.zeros((frames, bodies, 4))
    place[:, 0], turn[:, :, 0], turn[:, 0] = clip.root_pos, 1.0, clip.root_quat
    np.savez(packed, fps=[50], joint_pos=clip.dof_pos, joint_vel=clip.dof_pos, body_pos_w=place, body_quat_w=turn,
             body_lin_vel_w=place, body_ang_vel_w=place)  # fmt: skip
    (folder / "motion.npz").write_bytes(packed.getvalue())
    return folder / "motion.npz"


def _set(folder: Path) -> Path:
    (folder / "set.yaml").write_text("motions:\n- {file: g1/walk.npz, weight: 2.0}\n- {file: g1/squat.npz}\n")
    return folder / "set.yaml"


def _robot(name: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        for file in ("robot.xml", "robot.yaml"):
            shutil.copyfile(paths.ROBOTS / "g1" / file, folder / file)
        return folder / name

    return make


def _facts(folder: Path) -> Path:
    source = next((paths.PRETRAINED / "g1_walk" / "checkpoints").iterdir())
    shutil.copytree(source, folder / "checkpoints" / source.name)
    return folder / "checkpoints" / source.name / "facts.json"


def _stored(place: str) -> Callable[[Path], Path]:
    """A checkpoint's file by its place below `state`; `*` stands for the largest one there."""

    def make(folder: Path) -> Path:
        source = next((paths.PRETRAINED / "g1_squat" / "checkpoints").iterdir())
        to = folder / "checkpoints" / source.name
        shutil.copytree(source, to, dirs_exist_ok=True)
        return max((to / "state").glob(place), key=lambda path: path.stat().st_size)

    return make


def _facts_and_a_leaf(path: Path) -> None:
    folder, leaf = path.parents[1], "agent.actor.net.params.Dense_0.bias"
    checkpoint.read_facts(folder)
    checkpoint.restore(folder, {leaf: np.zeros(256, np.float32)}, part=True)


def _restored(path: Path) -> list[np.ndarray]:
    """Every array of the checkpoint that holds `path`, but random keys, which are numbers of their own kind."""
    folder = next(parent for parent in path.parents if parent.name == "checkpoints")
    about = json.loads(next(folder.glob("*/facts.json")).read_text())["leaves"]
    wanted = {
        name: np.zeros(leaf["shape"], leaf["dtype"])
        for name, leaf in about.items()
        if not leaf["dtype"].startswith("key")
    }
    return list(checkpoint.restore(folder, wanted, part=True)[0].values())


def _rows(folder: Path, suffix: str) -> Path:
    logger = log.Logger(folder, curves=False)
    for number in range(5):
        logger.write({"Iteration": number, "Samples": 100 * number, "Test_Return": 1.5 * number, "Wall_Time": 0.1})
    logger.close()
    return next(folder.glob(f"*{suffix}"))


def _imported(path: Path, robot: str = "g1") -> list[Any]:
    wishes = ImportOptions()
    return [clip_of(raw, _robot_of(robot), wishes)[0] for raw in read_import(path, _robot_of(robot))]


def _resumed(path: Path) -> None:
    log.Logger(path.parent, 250, curves=False).close()


KINDS: dict[str, Kind] = {
    "clip .npz": Kind(_copied(paths.MOTIONS / "g1" / "squat.npz", "clip.npz"), read_clip, False),
    "clip .pkl": Kind(_pkl, lambda path: read_clip(path, _robot_of("g1")), False),
    "set": Kind(_set, lambda path: datasets.load_motions(path, _robot_of("g1")), True),
    "config": Kind(
        _copied(paths.CONFIGS / "deepmimic_g1_push.yaml", "mine.yaml"),
        lambda path: config.load(RunSettings, path), True,
    ),
    "robot.yaml": Kind(_robot("robot.yaml"), lambda path: load(path.parent), True),
    "robot.xml": Kind(_robot("robot.xml"), lambda path: load(path.parent), True),
    "import: table": Kind(_table, _imported, True),
    "import: text": Kind(_deepmimic, lambda path: _imported(path, "humanoid"), True),
    "import: archive": Kind(_archive, _imported, False),
    "import: pickle": Kind(_pkl, _imported, False),
    "facts.json": Kind(_facts, _facts_and_a_leaf, True),
    "checkpoint: arrays": Kind(_stored("ocdbt.process_0/d/*"), _restored, False),
    "checkpoint: index": Kind(_stored("d/*"), _restored, False),
    "checkpoint: manifest": Kind(_stored("manifest.ocdbt"), _restored, False),
    "checkpoint: names": Kind(_stored("_METADATA"), _restored, True),
    "log.txt": Kind(lambda folder: _rows(folder, "log.txt"), _resumed, True),
    "metrics.jsonl": Kind(lambda folder: _rows(folder, "metrics.jsonl"), _resumed, True),
}  # fmt: skip


_KNOWN: dict[str, Any] = {}


def _robot_of(name: str) -> Any:
    if name not in _KNOWN:
        _KNOWN[name] = load(name)
    return _KNOWN[name]
