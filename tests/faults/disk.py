"""Disks of every size that fill while a run trains, and no shared memory: python tests/faults/disk.py.

Needs Linux that lets a user have a namespace of mounts.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from trained import checksums, started

LAST = 8  # iterations
INSIDE = "MIMICJAX_TRIAL_OF_DISKS"  # set in the namespace whose mounts are its own


def fills(size: int, whole: dict[str, int]) -> tuple[str, str]:
    """A disk of `size` kB: (what became of the run, what is wrong with that or ''); then there is room, and it goes on."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "disk" / "run"
        run.parent.mkdir()
        _mount("-t", "tmpfs", "-o", f"size={size}k", "tmpfs", str(run.parent))
        try:
            code, wrong = _trained(run, lambda code: code in (0, 2))
            _mount("-o", "remount,size=64m", str(run.parent))
            if not (run / "config.yaml").exists():
                subprocess.run(["rm", "-rf", str(run)], check=True)
            _, later = _trained(run, lambda code: code == 0)
            if not (wrong or later) and checksums(run, LAST) != whole:
                later = "in the end it is not the run of a large disk"
            return f"exit code {code}", wrong or later
        finally:
            subprocess.run(["umount", str(run.parent)], check=True)


def without_shared_memory(whole: dict[str, int]) -> str:
    """What is wrong with a run where nothing can be written to /dev/shm, or ''."""
    _mount("-t", "tmpfs", "-o", "ro", "tmpfs", "/dev/shm")
    with tempfile.TemporaryDirectory() as folder:
        _, wrong = _trained(Path(folder) / "run", lambda code: code == 0)
        return wrong or ("" if checksums(Path(folder) / "run", LAST) == whole else "it is another run")


def _mount(*flags: str) -> None:
    subprocess.run(["mount", *flags], check=True)


def _trained(run: Path, fine: Callable[[int], bool]) -> tuple[int, str]:
    """Exit code, and what is wrong with it or with what was said, or ''."""
    process = started(run, LAST)
    said = process.communicate(timeout=300)[1].decode(errors="replace")
    lines = [line for line in said.splitlines() if line.strip()]
    told = sum(line.startswith("mimicjax.train: error: ") for line in lines) == 1 and lines[-1].startswith(
        "mimicjax.train"
    )
    wrong = not fine(process.returncode) or "Traceback" in said or (process.returncode == 2 and not told)
    return process.returncode, f"exit code {process.returncode}: {said[-1500:]}" if wrong else ""


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split(":")[0])
    parser.add_argument("--sizes", type=int, default=40, help="of disks, from 8 kB to 4 MB (%(default)s)")
    options = parser.parse_args(argv)
    if INSIDE not in os.environ:
        flags = ["unshare", "--user", "--map-root-user", "--mount", sys.executable, *sys.argv]
        return subprocess.run(flags, env={**os.environ, INSIDE: "1"}, check=False).returncode
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        _, wrong = _trained(Path(folder) / "run", lambda code: code == 0)
        assert not wrong, wrong
        whole = checksums(Path(folder) / "run", LAST)
    for size in np.unique(np.geomspace(8, 4096, options.sizes).astype(int)):
        outcome, wrong = fills(int(size), whole)
        bad += bool(wrong)
        print(f"{size} kB: {outcome}, then it goes on{': NOT: ' + wrong if wrong else ''}", flush=True)
    wrong = without_shared_memory(whole)
    print(f"no /dev/shm: {wrong or 'trains as ever'}")
    return int(bad > 0 or bool(wrong))


if __name__ == "__main__":
    raise SystemExit(main())
