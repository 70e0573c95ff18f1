"""Arrays on disk, by Orbax: what checkpoints and priors are stored as."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from mimicjax.errors import UserError


def write(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Arrays by name to a folder that does not exist yet; empty ones are left out, as zarr has none."""
    import orbax.checkpoint as ocp  # takes a second, which commands that save nothing do not wait for

    with _quiet(), ocp.PyTreeCheckpointer() as checkpointer:
        checkpointer.save(path.resolve(), {n: a for n, a in arrays.items() if a.size})


def read(path: Path, names: Iterable[str] | None, damaged: Callable[[str], UserError]) -> dict[str, np.ndarray]:
    """The arrays of `names`, or all; others are not read. Raises what `damaged` makes of a problem with the files."""
    import orbax.checkpoint as ocp

    part = {} if names is None else {"item": dict.fromkeys(names, 0), "partial_restore": True}
    try:
        with _quiet(), ocp.PyTreeCheckpointer() as checkpointer:
            arrays = checkpointer.restore(path.resolve(), args=ocp.args.PyTreeRestore(**part))
            return {name: np.asarray(array) for name, array in arrays.items()}
    except Exception as problem:  # whatever Orbax, tensorstore and the codecs say about damaged files
        raise damaged(" ".join(str(problem).split())[:200]) from problem


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Orbax logs pages of traces from its threads before it raises; the error that we raise says it in a line."""
    logger = logging.getLogger("absl")
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before
