"""mimicjax: motion-imitation reinforcement learning for legged robots, in JAX on MuJoCo."""

from __future__ import annotations

import os
import re

__version__ = "0.2.0"

# With two threads in XLA's CPU pool, MJX with 48 or more environments waits for ever at 0 % CPU (jax 0.10.2; see
# docs/architecture.md). So do several devices that share a CPU, each of which waits for the others in a thread of the pool.
# The pool's size is read from NPROC when jax starts its backend.
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
_count = re.search(r"--xla_force_host_platform_device_count=(\d+)", os.environ.get("XLA_FLAGS", ""))
CPU_DEVICES = int(_count[1]) if _count else 1
_needed = max(4, 2 * CPU_DEVICES)
GUARDED = _needed > CORES and "NPROC" not in os.environ  # the guard below is ours to lift: commands.fit_threads
if GUARDED:
    os.environ["NPROC"] = str(_needed)
