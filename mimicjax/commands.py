"""What all commands share: one-line errors with exit code 2, Ctrl-C, and JAX's persistent compilation cache."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import mimicjax
from mimicjax import screen
from mimicjax.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

    from mimicjax.evaluation.restored import Restored

WIDE = 300  # columns
MEMORY_FRACTION = 0.5  # of a device, that --num-envs auto fills
SHORT = {"engine": "engine.name", "skill": "learn.skill.run"}  # flags that stand for a longer key


class Parser(argparse.ArgumentParser):
    """An ArgumentParser, and its commands', whose errors are one line like all others."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message.removeprefix('argument ')} (--help lists all flags)")


def main(name: str, function: Callable[[Sequence[str]], int | None], argv: Sequence[str] | None = None) -> int:
    """Run a command and give its exit code: 0 done, 2 the user can mend it (one line on stderr), 130 interrupted.

    Printing cannot fail in it. What the system refuses (memory, files) and nobody caught is a line too.
    """
    label = f"mimicjax.{name}" if name else "mimicjax"
    with screen.kept():
        try:
            use_compilation_cache()
            return function(sys.argv[1:] if argv is None else argv) or 0
        except UserError as error:
            print(f"{label}: error: {error}", file=sys.stderr)
        except MemoryError:
            print(f"{label}: error: the machine has no memory left for this", file=sys.stderr)
        except OSError as error:
            about = f"{error.filename}: " if error.filename else ""
            print(f"{label}: error: {about}{error.strerror or error}", file=sys.stderr)
        except KeyboardInterrupt:
            print(f"{label}: interrupted", file=sys.stderr)
            return 130
        return 2


def console() -> Console:
    """Standard output for tables; where it is no terminal, wide enough that none is wrapped."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else WIDE)


def checkpoint(text: str | None) -> int | str | None:
    """What --checkpoint names: an iteration, "best", or None for the latest. Raises UserError."""
    if text in (None, "best"):
        return text
    if not text.isdigit():
        raise UserError(f"--checkpoint {text}: allowed is an iteration, or best")
    return int(text)


def restore(folder: Path, engine: str | None, motion: str | None, checkpoint: int | str | None) -> Restored:
    """A run folder, loaded to be used; prints in what it differs from the run as trained.

    engine, motion: instead of the run's. checkpoint: its iteration, "best", or None for the latest. Raises UserError.
    """
    from mimicjax import build
    from mimicjax.evaluation.restored import settings_of

    fit_threads(engine or settings_of(folder).engine.name)
    restored = build.restore(folder, engine=engine, motion=motion, step=checkpoint)
    for note in restored.notes:
        print(f"note: {note}")
    return restored


def fit_threads(engine: str) -> None:
    """Give XLA's CPU pool the machine's cores where the engine allows it; call before JAX starts its backend.

    Spare threads, which MJX on a CPU needs so as not to hang (mimicjax/__init__.py), cost training with the native
    engine an eighth of its speed on two cores: they take turns with MuJoCo's.
    """
    if mimicjax.GUARDED and mimicjax.CPU_DEVICES == 1 and engine in ("auto", "native"):
        os.environ["NPROC"] = str(mimicjax.CORES)


def use_compilation_cache() -> None:
    """Keep compiled programs between runs, in JAX_COMPILATION_CACHE_DIR or below the user's cache folder.

    JAX leaves out programs with host callbacks (the native engine's), so these compile at every start (run/devices.py).
    """
    if "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return
    import jax

    # many small programs, of 0.1 to 1 s each, are what a start is made of beside the large ones
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
    try:
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:  # no HOME, and a user without a name, as containers have: then nothing is kept
        return
    jax.config.update("jax_compilation_cache_dir", str(home / "mimicjax" / "jax"))


def long_flags(argv: Sequence[str]) -> list[str]:
    """Flags as the schema names them: --max-samples becomes --max_samples, --engine becomes --engine.name.

    `--num-envs auto` becomes the share of memory that it stands for.
    """
    words: list[str] = []
    for word in argv:
        if word == "auto" and words[-1:] == ["--num_envs"] or word in ("--num-envs=auto", "--num_envs=auto"):
            words = words[:-1] if word == "auto" else words
            words += ["--num_envs", "0", "--memory_fraction", str(MEMORY_FRACTION)]
            continue
        flag, equals, value = word.partition("=")
        name = flag[2:].replace("-", "_")
        is_flag = flag.startswith("--") and name
        words.append(f"--{SHORT.get(name, name)}{equals}{value}" if is_flag else word)
    return words
