"""The folder of checkpoints on disk: names, what is complete, what is left over, and the arrays in it (Orbax).

A complete checkpoint is named by its step, `0000000120`; one that is being written or deleted has a hidden name.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mimicjax import arrays
from mimicjax.errors import UserError

NAME = re.compile(r"(\d{10,})(?:\.(\d+))?")  # step, and a count if the step was saved again
HIDDEN = ".unfinished-"
BEST = "best"  # stands for the step of the best checkpoint


def finished(folder: Path) -> dict[int, Path]:
    """step -> folder of its last complete checkpoint."""
    names = [m for p in (folder.iterdir() if folder.is_dir() else ()) if (m := NAME.fullmatch(p.name))]
    ordered = sorted(names, key=lambda m: (int(m[1]), int(m[2] or 0)))
    return {int(m[1]): folder / m[0] for m in ordered}


def best(checkpoints: dict[int, Path]) -> int | None:
    """The step with the largest `score` in its facts, the latest of equals; None if none has one that can be read."""
    scores = {}
    for step, path in checkpoints.items():
        try:
            scores[step] = [float(number) for number in json.loads((path / "facts.json").read_bytes())["score"]]
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            continue  # damaged, or saved without
    return max(scores, key=lambda step: (scores[step], step), default=None)


def find(folder: Path, step: int | str | None) -> Path:
    """The checkpoint of a step, BEST or (None) the latest. Raises UserError if there is none."""
    checkpoints = finished(folder)
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; there are no checkpoints to restore")
    if not checkpoints:
        raise UserError(f"{folder}: no finished checkpoint in it")
    if step == BEST:
        step = best(checkpoints)  # the latest if nothing says how good they are
    if step is not None and step not in checkpoints:
        raise UserError(
            f"{folder}: no checkpoint of step {step}; there are: {', '.join(map(str, sorted(checkpoints)))}"
        )
    return checkpoints[max(checkpoints) if step is None else int(step)]


def damaged(path: Path, what: str) -> UserError:
    """The error for a checkpoint that cannot be read; names the others that there are."""
    others = [str(s) for s, p in sorted(finished(path.parent).items()) if p != path]
    hint = f"; other checkpoints there: {', '.join(others)}" if others else ""
    return UserError(f"{path}: is damaged ({what}){hint}")


def free_name(folder: Path, step: int) -> Path:
    """A step may be saved again: then under the next name, so that the one before stays until this one is complete."""
    before = finished(folder).get(step)
    match = NAME.fullmatch(before.name) if before else None
    count = int(match[2] or 0) + 1 if match else 0
    return folder / (f"{step:010d}" + (f".{count}" if count else ""))


def prune(folder: Path, last: int, keep: int, keep_every: int) -> None:
    """Delete checkpoints after `last`, and all before it but the `keep` latest, the best, and multiples of `keep_every`."""
    tidy(folder)  # the same step saved before
    checkpoints = finished(folder)
    there = {step: path for step, path in checkpoints.items() if step <= last}
    kept = {
        best(there),
        *sorted(there)[-max(keep, 1) :],
        *(step for step in there if keep_every and step % keep_every == 0),
    }
    for step in checkpoints.keys() - kept:
        remove(checkpoints[step])


def tidy(folder: str | Path) -> None:
    """Delete what a killed process left; only for the process that writes to the folder. `save` does it first."""
    folder = Path(folder)
    for left in folder.glob(f"{HIDDEN}*"):
        shutil.rmtree(left)
    kept = set(finished(folder).values())
    for path in folder.iterdir() if folder.is_dir() else ():
        if NAME.fullmatch(path.name) and path not in kept:
            remove(path)


def remove(path: Path) -> None:
    hidden = path.with_name(f"{HIDDEN}old-{path.name}")  # half deleted it must not look like a checkpoint
    os.rename(path, hidden)
    shutil.rmtree(hidden)


write_arrays = arrays.write


def read_arrays(path: Path, shapes: Mapping[str, Sequence[int]] | None = None) -> dict[str, np.ndarray]:
    """The arrays that `shapes` names, or all, of a checkpoint's `path`. Raises UserError for damaged ones."""
    return arrays.read(path, shapes, lambda what: damaged(path.parent, what))


def sync(folder: Path) -> None:
    """Make sure that a folder's content is on the disk before its name is: power may fail."""
    for root, _, files in os.walk(folder):
        for name in files:
            with open(os.path.join(root, name), "rb") as file:
                os.fsync(file.fileno())
        sync_folder(Path(root))


def sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
