"""Standard output and error that cannot fail: what is shown is not what a command is for.

A reader that left (`| head -1`), a full device or a closed stream would otherwise end a training of hours. After the first
failure what is written there goes nowhere.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any


class _Screen:
    """A text stream in the place of another; all but writing is the other's."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError:
            _silence(self._stream)
            return len(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError:
            _silence(self._stream)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _silence(stream: Any) -> None:
    """From now on, and for what is still in the buffer, the stream's file is the null device."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


@contextlib.contextmanager
def kept() -> Iterator[None]:
    """Inside, printing cannot fail."""
    before = sys.stdout, sys.stderr
    with open(os.devnull, "w") as nowhere:  # a stream that was closed from the start is None
        sys.stdout, sys.stderr = (_Screen(stream or nowhere) for stream in before)
        try:
            yield
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            sys.stdout, sys.stderr = before
