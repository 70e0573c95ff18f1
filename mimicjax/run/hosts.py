"""Several processes that train one run, on one machine or many: how they meet, agree, share arrays, and end together.

Every process runs the same program in step with the others. The first one leads: it alone writes into the run folder and
talks to the user. What a process decides by its own clock or signals (when to test, when to stop) is agreed upon first.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np

from mimicjax.errors import UserError
from mimicjax.types import Device

HEARTBEAT = 30  # s without a sign of life after which a process counts as dead, and the others end
MEETING = 300  # s to wait for all to come
SLURM = "SLURM_STEP_NUM_TASKS"  # set by srun, as JAX reads it
AUTO = "auto"
LOST = 3  # exit code of a process whose others are gone


def add_flags(parser: argparse.ArgumentParser) -> None:
    """--coordinator, --processes and --process."""
    parser.add_argument(
        "--coordinator", metavar="HOST:PORT",
        help="several processes train one run: where process 0 listens, or auto for what JAX detects; not needed below srun",
    )  # fmt: skip
    parser.add_argument("--processes", type=int, metavar="N", help="how many there are")
    parser.add_argument("--process", type=int, metavar="I", help="which this one is, from 0")


def named(argv: Sequence[str]) -> tuple[str | None, int | None, int | None]:
    """What a command line gives of these flags."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    add_flags(parser)
    found = parser.parse_known_args(argv)[0]
    return found.coordinator, found.processes, found.process


def join(coordinator: str | None, processes: int | None, process: int | None) -> None:
    """Meet the other processes, if there are any; call before JAX starts its backend. Raises UserError."""
    named = {"--processes": processes, "--process": process}
    given = {flag for flag, value in named.items() if value is not None}
    patience = {"initialization_timeout": MEETING, "heartbeat_timeout_seconds": HEARTBEAT}
    if coordinator is None or coordinator == AUTO:
        if given:
            raise UserError(f"{min(given)}: goes with --coordinator HOST:PORT")
        if coordinator is None and int(os.environ.get(SLURM, "1")) < 2:
            return
        method = {} if coordinator else {"cluster_detection_method": "slurm"}
        return _initialize(f"as {coordinator or 'SLURM'} tells", **patience, **method)
    if processes is None or process is None:
        raise UserError(f"--coordinator {coordinator}: also needs {' and '.join(sorted(named.keys() - given))}")
    if not 0 <= process < processes:
        raise UserError(f"--process: given {process}, allowed are 0 to {processes - 1} of --processes {processes}")
    if not coordinator.rpartition(":")[2].isdecimal():
        raise UserError(f"--coordinator: given {coordinator!r}, allowed is HOST:PORT or auto")
    where = {"coordinator_address": coordinator, "num_processes": processes, "process_id": process}
    _initialize(f"at {coordinator}", **where, **patience)


def _initialize(where: str, **arguments: Any) -> None:
    try:
        jax.distributed.initialize(**arguments)
    except (RuntimeError, ValueError) as problem:
        reason = " ".join(str(problem).split())[:200]
        raise UserError(f"the processes of this run did not meet {where}: {reason}") from None


def count() -> int:
    """Processes of this run."""
    return jax.process_count()


def leads() -> bool:
    """Whether this process writes and talks."""
    return jax.process_index() == 0


def own(devices: Sequence[Device]) -> list[Device]:
    """Those of the devices that are this process's."""
    return [device for device in devices if getattr(device, "process_index", 0) == jax.process_index()]


def agree(iterations: int, stop: bool) -> tuple[int, bool]:
    """What all processes do next: as many iterations as the leader wants, and stop if any was asked to."""
    if count() == 1:
        return iterations, stop
    from jax.experimental import multihost_utils

    rows = np.asarray(multihost_utils.process_allgather(np.asarray([iterations, stop], np.int32)))
    return int(rows[0, 0]), bool(rows[:, 1].any())


def put(value: Any, sharding: Any) -> Any:
    """An array or array of random keys, which every process has whole, as `sharding` wants it over all of them."""
    if sharding is None or sharding.is_fully_addressable:
        return jax.device_put(value, sharding)
    if jax.numpy.issubdtype(value.dtype, jax.dtypes.prng_key):
        return jax.random.wrap_key_data(put(jax.random.key_data(value), sharding), impl=jax.random.key_impl(value))
    data = np.asarray(value)
    return jax.make_array_from_callback(data.shape, sharding, lambda index: data[index])


def on_one(tree: Any) -> Any:
    """What all devices have alike, on one device of this process."""
    if count() == 1:
        return jax.device_put(tree, jax.devices()[0])
    return jax.tree.map(lambda leaf: leaf.addressable_data(0), tree)


def gathered(tree: Any) -> Any:
    """Arrays that lie over the devices of several processes, whole on each; all processes call it."""
    if count() == 1:
        return tree
    everywhere = lambda leaf: jax.sharding.NamedSharding(leaf.sharding.mesh, jax.sharding.PartitionSpec())  # noqa: E731
    return jax.jit(lambda leaves: leaves, out_shardings=jax.tree.map(everywhere, tree))(tree)


@contextlib.contextmanager
def together() -> Iterator[None]:
    """Ends this process at once where it cannot go on beside others, so that they are not kept waiting: they end too."""
    try:
        yield
    except (UserError, jax.errors.JaxRuntimeError) as problem:
        if count() == 1:
            raise
        user = isinstance(problem, UserError)
        why = (
            str(problem)
            if user
            else f"another process has ended or cannot be reached ({str(problem).splitlines()[0][:200]})"
        )
        end = "" if user else "; the run is as its last checkpoint has it: start all again with --resume"
        print(f"mimicjax.train: error: process {jax.process_index()}: {why}{end}", file=sys.stderr, flush=True)
        os._exit(2 if user else LOST)
