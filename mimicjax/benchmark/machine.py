"""What a measurement was made on: processor, accelerator, versions, commit, date. Nothing that names the computer."""

from __future__ import annotations

import datetime
import os
import platform
import re
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

from mimicjax.versions import versions

SHOWN = ("jax", "mujoco")  # of the versions, in the line for people


def facts(devices: bool = True) -> dict[str, Any]:
    """Machine, versions, commit and date as plain data for JSON. devices: ask jax for accelerators (starts jax)."""
    facts: dict[str, Any] = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="minutes"),
        "processor": _processor(),
        "cores": _cores(),
        "memory_gib": _memory_gib(),
        "load_before": load(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": versions(),
        "commit": _commit(),
    }
    if devices:
        import jax

        facts["devices"] = [device.device_kind for device in jax.devices()]
    return facts


def line(facts: dict[str, Any]) -> str:
    """The facts in one line for people."""
    packages = ", ".join(f"{name} {facts['versions'][name]}" for name in SHOWN if name in facts["versions"])
    kinds = [kind for kind in dict.fromkeys(facts.get("devices", ())) if kind.lower() != "cpu"]
    devices = ", ".join(f"{facts['devices'].count(kind)} x {kind}" for kind in kinds) or "no accelerator"
    return (
        f"{facts['processor']}, {facts['cores']} cores (load {facts['load_before']:g}), {devices}; {packages}; "
        f"commit {facts['commit']}, {facts['date'][:10]}"
    )


def load() -> float:
    """Programs that compete for the cores just now (1-minute average), or -1 where the system does not tell."""
    return round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else -1.0


def peak_rss() -> int:
    """Most memory this process has held so far, bytes."""
    return in_bytes(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def in_bytes(maxrss: int) -> int:
    """ru_maxrss in bytes: Linux counts in KiB, macOS in bytes."""
    return maxrss if sys.platform == "darwin" else maxrss * 1024


def _processor() -> str:
    try:
        model = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        model = None
    return model.group(1).strip() if model else platform.processor() or platform.machine()


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _memory_gib() -> float:
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)


def _commit() -> str:
    """Short commit of the checkout this package runs from, "+" if tracked files were changed; "" outside a checkout."""
    try:
        return _git("rev-parse", "--short", "HEAD") + ("+" if _git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.CalledProcessError):
        return ""


def _git(*words: str) -> str:
    folder = str(Path(__file__).parent)
    return subprocess.run(["git", "-C", folder, *words], check=True, capture_output=True, text=True).stdout.strip()
