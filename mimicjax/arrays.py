"""Arrays on disk, by Orbax: what checkpoints and priors are stored as."""

from __future__ import annotations

import contextlib
import functools
import logging
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mimicjax import limits
from mimicjax.errors import UserError


def write(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Arrays by name to a folder that does not exist yet; empty ones are left out, as zarr has none."""
    _no_late_reports()
    with _quiet(), _checkpointer() as checkpointer:
        checkpointer.save(path.resolve(), {n: a for n, a in arrays.items() if a.size})


def read(
    path: Path, shapes: Mapping[str, Sequence[int]] | None, damaged: Callable[[str], UserError]
) -> dict[str, np.ndarray]:
    """The arrays that `shapes` names, or all of them; others are not read. Raises what `damaged` makes of a problem.

    What the files claim is compared with `shapes`, or with limits.NUMBERS, before anything is allocated.
    """
    import orbax.checkpoint as ocp

    part = {} if shapes is None else {"item": dict.fromkeys(shapes, 0), "partial_restore": True}
    try:
        with _quiet(), _checkpointer() as checkpointer:
            if wrong := _claimed(checkpointer.metadata(path.resolve()).item_metadata.tree, shapes):
                raise damaged(wrong)
            arrays = checkpointer.restore(path.resolve(), args=ocp.args.PyTreeRestore(**part))
            return {name: np.asarray(array) for name, array in arrays.items()}
    except UserError:
        raise
    except Exception as problem:  # whatever Orbax, tensorstore and the codecs say about damaged files
        raise damaged(" ".join(str(problem).split())[:200]) from problem


def _claimed(stored: Mapping[str, Any], shapes: Mapping[str, Sequence[int]] | None) -> str:
    """What is wrong with the shapes in files' own headers, or ''. A chunk is allocated whole, so it counts too."""
    size = 0
    for name in stored if shapes is None else shapes:
        if name not in stored:
            return f"{name} is missing"
        there = tuple(stored[name].shape)
        if shapes is not None and there != tuple(shapes[name]):
            return f"{name} has the shape {there}, not {tuple(shapes[name])}"
        chunk = math.prod(stored[name].storage.chunk_shape)
        if chunk > max(math.prod(there), 1):
            return f"{name} of shape {there} is stored in pieces of {chunk} numbers"
        size += math.prod(there)
    over = shapes is None and size > limits.NUMBERS
    return f"it claims {size} numbers; at most {limits.NUMBERS} are read" if over else ""


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


@functools.cache
def _no_late_reports() -> None:
    """Once and for good: threads of tensorstore still report to the event loop of a write that has failed and ended."""
    before = sys.unraisablehook

    def hook(problem: sys.UnraisableHookArgs) -> None:
        if "Event loop is closed" not in str(problem.exc_value):
            before(problem)

    sys.unraisablehook = hook
    logging.getLogger("asyncio").addFilter(
        lambda record: not all(words in record.getMessage() for words in ("was never retrieved", "OCDBT"))
    )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Orbax logs pages of traces from its threads before it raises; the error that we raise says it in a line."""
    logger = logging.getLogger("absl")
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before
