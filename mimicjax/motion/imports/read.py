"""Which reader a file is for: by its first bytes and its keys."""

from __future__ import annotations

from pathlib import Path

from mimicjax import limits
from mimicjax.errors import UserError, reason
from mimicjax.motion import files, pickles
from mimicjax.motion.imports import arrays, text
from mimicjax.motion.imports.raw import Raw, stem
from mimicjax.types import Robot


def read(path: Path, robot: Robot) -> list[Raw]:
    """The motions in a file. Raises UserError for a file that holds none, or none that is read here."""
    if not path.is_file():
        raise UserError(f"{path}: is {'a folder' if path.is_dir() else 'no file'}")
    if (size := path.stat().st_size) > limits.MOTION_BYTES or size == 0:
        raise UserError(f"{path}: has {size} bytes; between 1 and {limits.MOTION_BYTES} are read")
    try:
        with path.open("rb") as file:
            head = file.read(8)
    except OSError as problem:
        raise UserError(f"{path}: cannot be read: {reason(problem)}") from None
    if head.startswith(b"\x89HDF"):
        raise UserError(f"{path}: HDF5 is not read here: save its arrays as a pickle or an .npz with the same names")
    if head.startswith(b"PK"):
        return _ours(path, robot) or arrays.read_npz(path)
    if head.startswith((b"\x80", b"(dp", b"(lp", b"}q")):
        return _pickle(path, robot)
    try:
        return [text.read(path, path.read_text("utf-8"))]
    except UnicodeDecodeError:
        raise UserError(f"{path}: neither text, nor a numpy archive, nor a pickle") from None


def _ours(path: Path, robot: Robot) -> list[Raw]:
    """A clip of ours; none if it is another archive."""
    import zipfile

    try:
        with zipfile.ZipFile(path) as archive:
            if "format_version.npy" not in archive.namelist():
                return []
    except zipfile.BadZipFile:
        return []
    return [_raw(files.read_clip(path, robot), "mimicjax")]


def _raw(clip, form: str) -> Raw:
    return Raw(clip.name, form, clip.root_pos, clip.root_quat, clip.dof_pos, fps=clip.fps, order="wxyz",
               names=clip.dof_names, loop=clip.loop, licence=clip.licence)  # fmt: skip


def _pickle(path: Path, robot: Robot) -> list[Raw]:
    data = pickles.load_pickle(path)
    if isinstance(data, dict) and {"loop_mode", "fps", "frames"} <= data.keys():
        return [_raw(pickles.read_mimickit(path, robot), "MimicKit")._replace(name=stem(path))]
    if not isinstance(data, dict):
        raise UserError(f"{path}: holds a {type(data).__name__}; motions are dicts")
    return arrays.of_keys(path, data)
