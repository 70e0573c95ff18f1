"""mimicjax: motion-imitation reinforcement learning for legged robots, in JAX on MuJoCo."""

from __future__ import annotations

import os

__version__ = "0.1.0"

# With two threads in XLA's CPU pool, MJX with 48 or more environments waits for ever at 0 % CPU (jax 0.10.2; see
# docs/architecture.md). The pool's size is read from NPROC when jax starts its backend.
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
GUARDED = CORES < 4 and "NPROC" not in os.environ  # the guard below is ours to lift: commands.fit_threads
if GUARDED:
    os.environ["NPROC"] = "4"
