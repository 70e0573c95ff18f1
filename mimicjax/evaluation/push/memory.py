"""How much memory is free for a sweep."""

from __future__ import annotations

import os
import re
from pathlib import Path

import jax


def free() -> int:
    """Bytes free where jax computes: on the accelerator, or in the computer's memory; 0 where nobody tells."""
    device = jax.devices()[0]
    stats = device.memory_stats() if device.platform != "cpu" else None
    if stats and "bytes_limit" in stats:
        return int(stats["bytes_limit"]) - int(stats.get("bytes_in_use", 0))
    try:  # what caches hold is free too, which sysconf does not know
        available = re.search(r"^MemAvailable:\s*(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE)
        return int(available[1]) * 1024 if available else os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return 0
