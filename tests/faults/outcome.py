"""What becomes of reading one file: a child process reads it, with limits, and what it does is named."""

from __future__ import annotations

import os
import resource
import signal
import time
import unicodedata
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mimicjax import errors
from mimicjax.errors import UserError

SECONDS, BYTES = 10, 2 * 2**30  # that no file of under 10 MB may take
NAMES = ("clean", "accepted", "untidy", "broken", "traceback", "hang", "memory", "crash", "execution")
GOOD = NAMES[:2]


class Outcome(NamedTuple):
    """`name` is one of NAMES: clean is refused in one line, broken is taken although it holds what is no number."""

    name: str
    detail: str
    seconds: float


def untidy(message: str, path: Path) -> str:
    """What is wrong with an error message, or ''."""
    if any(unicodedata.category(each) in ("Cc", "Cf", "Cs", "Zl", "Zp") for each in message):
        return f"control characters: {message[:200]!r}"
    if len(message.replace(str(path), "")) > errors.LONGEST:
        return f"{len(message)} characters: {message[:120]!r}"
    return "" if message.strip() else "empty"


def read(path: Path, reader: Callable[[Path], Any], folder: Path) -> Outcome:
    """Reads in a child, in `folder`, where only code of the file itself would make a file `canary`."""
    ours, theirs = os.pipe()
    begin = time.monotonic()
    child = os.fork()
    if child == 0:
        os.close(ours)
        os.chdir(folder)
        _child(path, reader, theirs)
    os.close(theirs)
    with os.fdopen(ours, "rb") as pipe:
        said = pipe.read().decode(errors="replace")
    _, status = os.waitpid(child, 0)
    seconds = time.monotonic() - begin
    name, _, detail = said.partition(" ")
    if os.WIFSIGNALED(status):
        killed = os.WTERMSIG(status)
        name, detail = ("hang", f"{seconds:.1f} s") if killed == signal.SIGALRM else ("crash", f"signal {killed}")
    elif not name:
        name, detail = "crash", f"exit code {os.WEXITSTATUS(status)}"
    if (folder / "canary").exists():
        name = "execution"
    return Outcome(name, detail, seconds)


def _child(path: Path, reader: Callable[[Path], Any], pipe: int) -> None:
    """Never returns."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + BYTES, used + BYTES))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(SECONDS)
    warnings.simplefilter("ignore")
    try:
        bad = _not_numbers(reader(path))
        said = f"broken {bad}" if bad else "accepted"
    except UserError as error:
        wrong = untidy(str(error), path)
        said = f"untidy {wrong}" if wrong else f"clean {error}"
    except MemoryError as error:
        said = f"memory {error!r}"
    except BaseException as error:
        where = error.__traceback__
        while where is not None and where.tb_next is not None:
            where = where.tb_next
        place = f"{Path(where.tb_frame.f_code.co_filename).name}:{where.tb_lineno}" if where else ""
        said = f"traceback {type(error).__name__} at {place}: {str(error)[:200]}"
    os.write(pipe, said.encode(errors="replace")[:60000])
    os._exit(0)


def _not_numbers(value: Any) -> str:
    """Where in what was read there is no finite number, or ''."""
    if isinstance(value, float) or (isinstance(value, np.ndarray) and value.dtype.kind == "f"):
        return "" if np.isfinite(value).all() else "not finite"
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return next((f"{n}: {bad}" for n in value._fields if (bad := _not_numbers(getattr(value, n)))), "")
    if isinstance(value, tuple | list):
        return next((bad for each in value if (bad := _not_numbers(each))), "")
    fields = getattr(value, "__dataclass_fields__", {})
    return next((f"{n}: {bad}" for n in fields if (bad := _not_numbers(getattr(value, n)))), "")
