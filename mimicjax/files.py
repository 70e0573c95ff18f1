"""Files that are either the old ones or the new ones, never half of one."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from mimicjax.errors import UserError


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Call `write` with a name beside `path`, then put what it wrote in the place of `path` in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")  # keeps the suffix: writers look at it
    try:
        write(half)
        os.replace(half, path)
    finally:
        half.unlink(missing_ok=True)


def replace_text(path: Path, text: str) -> None:
    """Write `text` (UTF-8, line ends as they are) to `path` in one step."""
    replace_file(path, lambda half: half.write_bytes(text.encode()))


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Holds a folder for this process, until it ends in whatever way. Raises UserError if another one holds it."""
    try:
        import fcntl
    except ImportError:  # Windows: nothing to hold it with
        yield
        return
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"{folder}: another process is writing there; wait for it or choose another folder"
            ) from None
        yield
