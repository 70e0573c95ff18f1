"""Films and pictures as files, each written whole or not at all."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mimicjax.errors import UserError
from mimicjax.files import replace_file

FILMS, PICTURES = (".mp4", ".gif"), (".png", ".jpg")


def check(path: Path, flag: str, what: str, suffixes: Sequence[str]) -> None:
    """Whether a file can be written there, before anything is computed. Raises UserError.

    flag: that named the path, such as --video. what: the file is, in the plural, such as videos.
    """
    if path.suffix.lower() not in suffixes:
        raise UserError(f"{flag} {path}: unknown suffix {path.suffix!r}; {what} end in {', '.join(suffixes)}")
    if path.is_dir():
        raise UserError(f"{flag} {path}: is a folder; give a file that ends in {' or '.join(suffixes)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as problem:
        raise UserError(f"{flag} {path}: cannot be written: {problem.strerror or problem}") from problem


def write_film(path: Path, frames: Iterator[np.ndarray], fps: int) -> None:
    """Write pictures [height,width,3] one after the other: .gif, or H.264 for .mp4. Raises UserError."""
    _write(path, lambda half: _gif(half, frames, fps) if path.suffix.lower() == ".gif" else _h264(half, frames, fps))


def write_picture(path: Path, image: np.ndarray) -> None:
    """Write a picture [height,width,3] as its suffix says. Raises UserError."""
    import imageio.v3 as imageio

    _write(path, lambda half: imageio.imwrite(half, image))


def _write(path: Path, write: Any) -> None:
    try:
        replace_file(path, write)
    except (OSError, RuntimeError, ImportError) as problem:  # RuntimeError: imageio-ffmpeg finds no ffmpeg
        raise UserError(f"{path}: cannot be written: {' '.join(str(problem).split())[:300]}") from problem


def _h264(half: Path, frames: Iterator[np.ndarray], fps: int) -> None:
    import imageio.v2 as imageio

    options = {"codec": "libx264", "quality": 8, "pixelformat": "yuv420p", "macro_block_size": 16}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "os.fork", RuntimeWarning)  # jax's; ffmpeg is started with exec at once
        writer: Any = imageio.get_writer(half, format="FFMPEG", fps=fps, **options)  # type: ignore[arg-type]
        with writer:
            for frame in frames:
                writer.append_data(frame)


def _gif(half: Path, frames: Iterator[np.ndarray], fps: int) -> None:
    import imageio.v3 as imageio

    imageio.imwrite(half, list(frames), duration=1000.0 / fps, loop=0)
