"""Motion clips in files: our own .npz is read and written, MimicKit's .pkl is read. See docs/formats.md."""

from __future__ import annotations

import dataclasses
import io
import os
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from mimicjax import limits
from mimicjax.errors import UserError, nearest, reason
from mimicjax.files import replace_file
from mimicjax.motion._numpy_rotation import continuous
from mimicjax.motion.pickles import OTHER_FORMATS, read_mimickit
from mimicjax.types import CLAMP, WRAP, Clip, Robot

FORMAT_VERSION = 1
SUFFIXES = (".npz", ".pkl")
UNIT_TOLERANCE = 1e-3  # how far from 1 the length of a quaternion may be
_LOOPS = {"clamp": CLAMP, "wrap": WRAP}
_KEYS = ("robot", "dof_names", "fps", "loop", "root_pos", "root_quat", "dof_pos", "maker", "licence")


def read_clip(path: str | Path, robot: Robot | None = None) -> Clip:
    """The motion clip in a file, named after the file.

    With `robot`, its degrees of freedom are the columns of the result: named columns are put in the robot's order, and
    unnamed ones must be as many. Quaternions are normalised, with neighbouring frames on one hemisphere.
    Raises UserError if the file cannot be read, holds no valid clip, or does not fit the robot.
    """
    path = Path(path)
    readers: dict[str, Callable[[Path, Robot | None], Clip]] = {".npz": _read_npz, ".pkl": read_mimickit}
    if path.is_dir():
        raise UserError(f"{path}: is a folder; a motion file ends in {' or '.join(SUFFIXES)}")
    if path.suffix.lower() not in readers:
        raise UserError(
            f"{path}: unknown suffix {path.suffix!r}; motion files are .npz (ours) or .pkl (MimicKit's), "
            f"sets of them .yaml; {OTHER_FORMATS}"
        )
    if not path.exists():
        siblings = sorted(p.name for p in path.parent.glob("*") if p.suffix.lower() in readers)
        raise UserError(f"{path}: there is no such file{nearest(path.name, siblings)}")
    if not path.is_file():
        raise UserError(f"{path}: is no file, but a device or a pipe")
    if path.stat().st_size == 0:
        raise UserError(f"{path}: the file is empty")
    clip = readers[path.suffix.lower()](path, robot)
    clip = check_clip(clip, str(path))
    return clip if robot is None else _fit(clip, robot, str(path))


def write_clip(path: str | Path, clip: Clip) -> None:
    """Write a clip as .npz: the whole file or nothing. The clip's `name` is the file's; `weight` belongs to sets.

    Raises UserError if the clip is not valid or the file cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() != ".npz":
        raise UserError(f"{path}: clips are written as .npz, not {path.suffix!r}")
    clip = check_clip(clip, str(path))
    data = {
        "format_version": FORMAT_VERSION,
        "robot": clip.robot,
        "dof_names": np.array(clip.dof_names, np.str_),
        "fps": float(clip.fps),
        "loop": {value: name for name, value in _LOOPS.items()}[clip.loop],
        "root_pos": clip.root_pos,
        "root_quat": clip.root_quat,
        "dof_pos": clip.dof_pos,
        "maker": clip.maker,
        "licence": clip.licence,
    }
    packed = io.BytesIO()  # packed in memory, because zipfile hides a full disk behind errors of its own
    np.savez_compressed(packed, **data)

    def write(part: Path) -> None:
        with part.open("wb") as file:
            file.write(packed.getvalue())
            file.flush()
            os.fsync(file.fileno())  # a full disk must be known before the old file is replaced

    try:
        replace_file(path, write)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror or error}") from None


def check_clip(clip: Clip, where: str) -> Clip:
    """The clip in float64 with unit, continuous quaternions; UserError, starting with `where`, if it is not valid."""
    pos, quat, dof = (_floats(where, key, getattr(clip, key)) for key in ("root_pos", "root_quat", "dof_pos"))
    frames = pos.shape[0] if pos.ndim else -1
    width = len(clip.dof_names) or (dof.shape[1] if dof.ndim == 2 else -1)
    if pos.ndim and frames < 2:
        what = "is empty (0 frames)" if frames == 0 else "has one frame"
        raise UserError(f"{where}: the clip {what}; a motion needs at least 2")
    for key, array, columns in (("root_pos", pos, 3), ("root_quat", quat, 4), ("dof_pos", dof, width)):
        if array.shape != (frames, columns):
            wanted = f"[{'frames' if frames < 0 else frames}, {columns if columns >= 0 else 'degrees of freedom'}]"
            names = f" for {len(clip.dof_names)} dof_names" if key == "dof_pos" and clip.dof_names else ""
            raise UserError(f"{where}: {key} has shape {list(array.shape)}; expected {wanted}{names}")
    twice = [name for name, count in Counter(clip.dof_names).items() if count > 1]
    if twice:
        raise UserError(f"{where}: dof_names has {twice[0]} more than once")
    if not limits.FPS[0] <= clip.fps <= limits.FPS[1]:
        raise UserError(f"{where}: fps is {clip.fps}; allowed is {limits.FPS[0]:g} to {limits.FPS[1]:g}")
    if clip.loop not in _LOOPS.values():
        raise UserError(f"{where}: unknown loop mode {clip.loop}; allowed are clamp and wrap")
    for key, array in (("root_pos", pos), ("root_quat", quat), ("dof_pos", dof)):
        _check_finite(where, key, array, clip.dof_names)
    length = np.linalg.norm(quat, axis=-1)
    worst = int(np.argmax(np.abs(length - 1.0)))
    if abs(length[worst] - 1.0) > UNIT_TOLERANCE:
        raise UserError(f"{where}: root_quat of frame {worst} has length {length[worst]:.4g}; it must be 1")
    quat = continuous(quat / length[:, None])
    return dataclasses.replace(clip, fps=float(clip.fps), root_pos=pos, root_quat=quat, dof_pos=dof)


def _floats(where: str, key: str, value: Any) -> np.ndarray:
    array = np.asarray(value)
    if array.size > limits.NUMBERS:
        raise UserError(f"{where}: {key} has {array.size} numbers; at most {limits.NUMBERS} are read")
    if array.dtype.kind not in "iuf":
        raise UserError(f"{where}: {key} holds {array.dtype}, not numbers")
    return array.astype(np.float64)


def _check_finite(where: str, key: str, array: np.ndarray, names: tuple[str, ...]) -> None:
    """UserError naming the first frame and column of `array [F,D]` that is NaN, infinite or beyond all use."""
    bad = np.argwhere(~(np.abs(array) <= limits.COORDINATE))
    if len(bad):
        frame, column = bad[0]
        named = f" ({names[column]})" if key == "dof_pos" and names else ""
        hint = "" if names or key != "dof_pos" else "; in a ball joint NaN may be mended: read it with its robot"
        value = array[frame, column]
        raise UserError(
            f"{where}: {key} is {value} in frame {frame}, column {column}{named}, not a number we can use{hint}"
        )


def _fit(clip: Clip, robot: Robot, where: str) -> Clip:
    """The clip with its columns in the robot's order of degrees of freedom."""
    if not clip.dof_names:
        if clip.dof_pos.shape[1] != robot.num_dofs:
            raise UserError(
                f"{where}: has {clip.dof_pos.shape[1]} degrees of freedom without names; "
                f"robot {robot.name} has {robot.num_dofs}"
            )
        return dataclasses.replace(clip, robot=robot.name, dof_names=robot.dof_names)
    missing = [name for name in robot.dof_names if name not in clip.dof_names]
    unexpected = [name for name in clip.dof_names if name not in robot.dof_names]
    if missing or unexpected:
        made_for = f" (the clip is for robot {clip.robot})" if clip.robot and clip.robot != robot.name else ""
        raise UserError(
            f"{where}: joints are not those of robot {robot.name}{made_for}: "
            f"missing {_first(missing)}; unexpected {_first(unexpected)}"
        )
    columns = [clip.dof_names.index(name) for name in robot.dof_names]
    return dataclasses.replace(clip, robot=robot.name, dof_names=robot.dof_names, dof_pos=clip.dof_pos[:, columns])


def _first(names: list[str], most: int = 4) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return (", ".join(names[:most]) or "none") + more


def _read_npz(path: Path, robot: Robot | None) -> Clip:
    """The unchecked clip in a .npz file. Takes `robot` only to look like the other readers."""
    data = _load_npz(path)
    known = ", ".join(list(data)[:12]) or "none"
    if "format_version" not in data:
        raise UserError(f"{path}: not a mimicjax clip: no key format_version (keys: {known}); {OTHER_FORMATS}")
    version = str(data["format_version"])[:40]
    if version != str(FORMAT_VERSION):
        raise UserError(f"{path}: format_version is {version}; this mimicjax reads {FORMAT_VERSION}")
    missing = [key for key in _KEYS if key not in data]
    if missing:
        raise UserError(f"{path}: no key {missing[0]} (keys: {known})")
    loop = _text(path, data, "loop")
    if loop not in _LOOPS:
        raise UserError(f"{path}: unknown loop mode {loop[:40]!r}; allowed are {' and '.join(_LOOPS)}")
    names = data["dof_names"]
    if names.ndim != 1 or (names.size and names.dtype.kind != "U"):
        raise UserError(f"{path}: dof_names must be a list of names")
    if data["fps"].shape != () or data["fps"].dtype.kind not in "iuf":
        raise UserError(f"{path}: fps must be one number")
    return Clip(
        name=path.stem,
        robot=_text(path, data, "robot"),
        dof_names=tuple(map(str, names)),
        fps=float(data["fps"]),
        loop=_LOOPS[loop],
        root_pos=data["root_pos"],
        root_quat=data["root_quat"],
        dof_pos=data["dof_pos"],
        maker=_text(path, data, "maker"),
        licence=_text(path, data, "licence"),
    )


def _text(path: Path, data: dict[str, np.ndarray], key: str) -> str:
    if data[key].shape != () or data[key].dtype.kind != "U":
        raise UserError(f"{path}: {key} must be text")
    return str(data[key])


def _load_npz(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a .npz file; of a foreign one that holds objects, only the keys are looked at."""
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > limits.UNPACKED_BYTES:
            raise UserError(f"{path}: unpacks to {size} bytes; at most {limits.UNPACKED_BYTES} are read")
        with np.load(path, allow_pickle=False) as file:
            wanted = set(file.files) & {"format_version", *_KEYS} if "format_version" in file.files else ()
            return {key: file[key] if key in wanted else np.zeros(0) for key in file.files}
    except UserError:
        raise
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {reason(error)}") from None
    except Exception as error:  # noqa: BLE001 - a damaged archive can raise nearly anything
        raise UserError(f"{path}: truncated or damaged ({reason(error)})") from None
