"""Files that are either the old ones or the new ones, never half of one."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from mimicjax.errors import UserError, reason

LOCK = ".lock"  # in a run folder, of the process that trains there


def is_file(path: Path) -> bool:
    """Whether there is such a file; no for what can be none, such as a name that is too long."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Call `write` with a name beside `path`, then put what it wrote in the place of `path` in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")  # keeps the suffix: writers look at it
    try:
        write(half)
        os.replace(half, path)
    except OSError as problem:
        problem.filename = problem.filename or str(path)  # writing to a full disk does not say where
        raise
    finally:
        half.unlink(missing_ok=True)


def append(path: Path, data: bytes) -> None:
    """Add to the end of a file, all or nothing: what a full disk took of it is cut off again. Raises OSError."""
    with path.open("ab", buffering=0) as file:
        before = file.tell()
        try:
            if file.write(data) != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        except OSError:
            file.truncate(before)
            raise


def replace_text(path: Path, text: str) -> None:
    """Write `text` (UTF-8, line ends as they are) to `path` in one step."""
    replace_file(path, lambda half: half.write_bytes(text.encode()))


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Holds a folder, which is made, for this process, until it ends in whatever way.

    Raises UserError if another one holds it, or where it cannot be held. The lock `.lock` is never followed to another place,
    and keeps what it holds.
    """
    try:
        import fcntl
    except ImportError:  # Windows: nothing to hold it with
        yield
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    except OSError as problem:
        raise UserError(f"{folder / LOCK}: cannot be held: {reason(problem)}") from None
    with os.fdopen(lock, "r+") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"{folder}: another process is writing there; wait for it or choose another folder"
            ) from None
        yield
