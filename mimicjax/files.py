"""Files that are either the old ones or the new ones, never half of one."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path


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
