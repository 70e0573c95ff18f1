"""Arrays on disk, by Orbax: what checkpoints and priors are stored as."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mimicjax.errors import UserError


def write(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Arrays by name to a folder that does not exist yet; empty ones are left out, as zarr has none."""
    with _quiet(), _checkpointer() as checkpointer:
        checkpointer.save(path.resolve(), {n: a for n, a in arrays.items() if a.size})


def read(path: Path, names: Iterable[str] | None, damaged: Callable[[str], UserError]) -> dict[str, np.ndarray]:
    """The arrays of `names`, or all; others are not read. Raises what `damaged` makes of a problem with the files."""
    import orbax.checkpoint as ocp

    part = {} if names is None else {"item": dict.fromkeys(names, 0), "partial_restore": True}
    try:
        with _quiet(), _checkpointer() as checkpointer:
            arrays = checkpointer.restore(path.resolve(), args=ocp.args.PyTreeRestore(**part))
            return {name: np.asarray(array) for name, array in arrays.items()}
    except Exception as problem:  # whatever Orbax, tensorstore and the codecs say about damaged files
        raise damaged(" ".join(str(problem).split())[:200]) from problem


def _checkpointer() -> Any:
    """Orbax's; of several processes each reads or writes for itself, where Orbax would have all do it together."""
    import jax
    import orbax.checkpoint as ocp  # takes a second, which commands that save nothing do not wait for

    if jax.process_count() == 1:
        return ocp.PyTreeCheckpointer()
    this = jax.process_index()
    alone = ocp.options.MultiprocessingOptions(
        primary_host=this, active_processes={this}, barrier_sync_key_prefix=f"process {this}"
    )
    handler = ocp.PyTreeCheckpointHandler(multiprocessing_options=alone)
    return ocp.Checkpointer(handler, multiprocessing_options=alone)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Orbax logs pages of traces from its threads before it raises; the error that we raise says it in a line."""
    logger = logging.getLogger("absl")
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before
