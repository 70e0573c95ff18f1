"""How much memory the table of poses may take, and how fine it can be in that."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

from mimicjax.motion import table
from mimicjax.types import Clips, Device, Robot

ROWS_PER_STEP = (2, 1)  # rows per control step to choose from, the best first; docs/architecture.md has their errors
SHARE = 4  # a quarter of the memory: the rest is for clips while the table is computed, environments and networks
UNKNOWN = 4 << 30  # bytes of memory where nothing tells


class TablePlan(NamedTuple):
    """A table that fits."""

    rows_per_step: int  # rows per control step; 0: not even the coarsest fits
    bytes: int  # that it takes; of the coarsest where it does not fit


def plan(robot: Robot, clips: Clips, control_dt: float, budget: int) -> TablePlan:
    """The finest table that fits `budget` bytes; nothing is allocated."""
    sizes = {rows: table.size(robot, clips, control_dt, rows) for rows in ROWS_PER_STEP}
    fitting = [rows for rows in ROWS_PER_STEP if sizes[rows] <= budget]
    return TablePlan(fitting[0], sizes[fitting[0]]) if fitting else TablePlan(0, sizes[ROWS_PER_STEP[-1]])


def budget(devices: Sequence[Device]) -> int:
    """Bytes the table may take on each of the devices: a share of all their memory, not of what is free just now.

    A run that is resumed must find the table that it began with, whatever else the machine does meanwhile.
    """
    return of_a_device(devices) // SHARE


def of_a_device(devices: Sequence[Device]) -> int:
    """Bytes of memory that each of the devices has, used or free; processors share the machine's."""
    limits = [(device.memory_stats() or {}).get("bytes_limit", 0) for device in devices]
    return min(limits) if all(limits) else _system() // len(devices)


def _system() -> int:
    """Bytes of the machine's main memory."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return UNKNOWN


def note(planned: TablePlan, limit: int) -> str:
    """What was chosen, for the user. limit: bytes, the budget."""
    rows, takes, most = planned.rows_per_step, _text(planned.bytes), _text(limit)
    if not rows:
        return (
            f"no reference table: it would take {takes}, more than {most}, so poses are computed from frames (slower)"
        )
    if rows == ROWS_PER_STEP[0]:
        return f"reference table: {rows} rows per control step, {takes}"
    return f"reference table: {rows} row per control step, {takes}; more would take over {most}"


def _text(count: int) -> str:
    """A number of bytes for people."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.3g} MB"
