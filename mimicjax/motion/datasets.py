"""Sets of motion clips: weighted lists in YAML (MimicKit's dataset files too), and clips found by name."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

from mimicjax import limits, paths
from mimicjax.config.loading import read_yaml
from mimicjax.errors import UserError, nearest, reason, unknown
from mimicjax.files import is_file
from mimicjax.motion.files import SUFFIXES, read_clip
from mimicjax.types import Clip, Robot

SET_SUFFIXES = (".yaml", ".yml")


def load_motions(name_or_path: str | Path, robot: Robot) -> tuple[Clip, ...]:
    """The clips behind a name (`walk`) or a path to a clip or a set, with their weights and distinct names.

    A name is looked up in `motions/<robot>/<name>.npz`, then in `motions/<robot>/sets/<name>.yaml`; a relative path in
    the current directory, then in `motions/`. Raises UserError for an unknown name and for anything wrong in the files.
    """
    text = str(name_or_path)
    folder = paths.MOTIONS / robot.name
    for shipped in (folder / f"{text}.npz", folder / "sets" / f"{text}.yaml"):
        if text and is_file(shipped):
            return _load(shipped, robot)
    path = expanded(text)
    if path.suffix.lower() not in SUFFIXES + SET_SUFFIXES and not is_file(path):
        names = motion_names(robot.name)
        raise UserError(
            f"no motion {text[:100]!r} for robot {robot.name}{nearest(text, names)}; "
            f"names: {', '.join(names) or 'none'}; or give a path that ends in {', '.join(SUFFIXES + SET_SUFFIXES)}"
        )
    return _load(_find(path, [Path(), paths.MOTIONS]), robot)


def motion_names(robot_name: str) -> list[str]:
    """Names of the clips and sets that are shipped for a robot, sorted."""
    folder = paths.MOTIONS / robot_name
    return sorted({path.stem for path in [*folder.glob("*.npz"), *folder.glob("sets/*.yaml")]})


def _load(path: Path, robot: Robot) -> tuple[Clip, ...]:
    if path.suffix.lower() not in SET_SUFFIXES:
        return (read_clip(path, robot),)
    clips = []
    for number, (file, weight) in enumerate(_read_set(path)):
        clip_path = _find(expanded(file), [path.parent, Path(), paths.MOTIONS])
        try:
            clips.append(dataclasses.replace(read_clip(clip_path, robot), weight=weight))
        except UserError as error:
            raise UserError(f"{path}: motions[{number}]: {error}") from None
    return _distinct(clips)


def expanded(text: str) -> Path:
    """The path, ~ replaced. Raises UserError for what can be none: unknown users, names too long."""
    try:
        path = Path(text).expanduser()
        path.exists()
    except (RuntimeError, OSError, ValueError) as problem:
        raise UserError(f"motion {text[:100]!r}: can be no file: {reason(problem)}") from None
    return path


def _find(path: Path, folders: list[Path]) -> Path:
    """The first of `folder / path` that exists; if none does, the very first, so that the error names it."""
    tried = [folder / path for folder in folders]
    return next((candidate for candidate in tried if is_file(candidate)), tried[0])


def _read_set(path: Path) -> list[tuple[str, float]]:
    """`(file, weight)` of every entry of a set file."""
    data = read_yaml(path)
    _only(f"{path}", data, ("motions",))
    entries = data.get("motions")
    if not isinstance(entries, list) or not entries:
        raise UserError(f"{path}: motions must be a list with at least one entry {{file: path, weight: number}}")
    result = [_entry(f"{path}: motions[{number}]", entry) for number, entry in enumerate(entries)]
    if not any(weight > 0 for _, weight in result):
        raise UserError(f"{path}: all weights are 0; at least one motion needs a positive weight")
    return result


def _entry(where: str, entry: Any) -> tuple[str, float]:
    """`(file, weight)` of one entry; the weight is 1 if it is not given."""
    if not isinstance(entry, dict):
        raise UserError(f"{where}: must be {{file: path, weight: number}}, not {str(entry)[:60]!r}")
    _only(where, entry, ("file", "weight"))
    file, weight = entry.get("file"), entry.get("weight", 1.0)
    if not isinstance(file, str) or not file:
        raise UserError(f"{where}: file must be a path, not {str(file)[:60]!r}")
    try:
        number = math.nan if isinstance(weight, bool) else float(weight)  # YAML reads 1e-3 as text
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not 0.0 <= number <= limits.WEIGHT:
        raise UserError(
            f"{where} ({file[:100]}): weight must be a number from 0 to {limits.WEIGHT:g}, not {str(weight)[:60]!r}"
        )
    return file, number


def _only(where: str, mapping: dict, allowed: tuple[str, ...]) -> None:
    for key in mapping:
        if key not in allowed:
            raise unknown(where, "key", key, allowed)


def _distinct(clips: list[Clip]) -> tuple[Clip, ...]:
    """The clips with _2, _3, ... after names that came before."""
    names, used = {clip.name for clip in clips}, set()
    result = []
    for clip in clips:
        name, number = clip.name, 2
        while name in used or (name != clip.name and name in names):
            name, number = f"{clip.name}_{number}", number + 1
        used.add(name)
        result.append(dataclasses.replace(clip, name=name))
    return tuple(result)
