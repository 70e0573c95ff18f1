"""Kill -9 at random moments of training, half of them while a checkpoint is written: python tests/faults/kills.py."""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from trained import checksums, started

from mimicjax.run import checkpoint, checkpoint_files

START = 15.0  # s within which a kill falls that is aimed at nothing: imports, compiles, the first iterations


class Killed(NamedTuple):
    """What a chain of kills found: how many fell into the writing of a checkpoint, and what was lost, a line each."""

    kills: int
    writing: int
    lost: list[str]


def chain(seed: int, kills: int) -> Killed:
    """Start, kill, resume, and so on; then compare with a run that was left alone."""
    rng, lost, writing, last = random.Random(seed), [], 0, 0
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        for number in range(kills):
            process = started(run, 10**6)
            written, said = _kill(process, run, rng, aimed=number % 2 == 0)
            writing += written
            if said:
                lost.append(f"seed {seed}, kill {number}: it had left by itself: {said}")
            step = checkpoint.latest(run / "checkpoints") or 0
            if step < last:
                lost.append(f"seed {seed}, kill {number}: checkpoint {step} after {last}")
            last = step
        last += 2
        for out in (run, Path(folder) / "alone"):
            process = started(out, last)
            said = process.communicate()[1].decode()
            if process.returncode:
                lost.append(f"seed {seed}: {out.name} ends with exit code {process.returncode}: {said[-300:]}")
                return Killed(kills, writing, lost)
        if checksums(run, last) != checksums(Path(folder) / "alone", last):
            lost.append(f"seed {seed}: iteration {last} is not that of a run left alone")
    return Killed(kills, writing, lost)


def _kill(process: subprocess.Popen, run: Path, rng: random.Random, aimed: bool) -> tuple[bool, str]:
    """Whether a checkpoint was being written when it was killed, and what it said if it was not alive any more."""
    end = time.monotonic() + (120.0 if aimed else rng.uniform(0.0, START))
    began = time.time()

    def writing() -> bool:
        try:
            half = list(run.glob(f"checkpoints/{checkpoint_files.HIDDEN}*"))
            return any(path.stat().st_mtime > began for path in half)
        except FileNotFoundError:  # renamed in this moment
            return False

    while time.monotonic() < end and process.poll() is None:
        if aimed and writing():
            time.sleep(rng.uniform(0.0, 0.06))
            break
        time.sleep(0.001 if aimed else 0.05)
    gone = process.poll() is not None
    process.kill()
    said = process.communicate()[1].decode(errors="replace")
    return writing(), f"{process.returncode}, {said[-300:]}" if gone else ""


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split(":")[0])
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--chain", type=int, default=20, help="kills of one run (%(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time")
    options = parser.parse_args(argv)
    counts = [min(options.chain, options.kills - begin) for begin in range(0, options.kills, options.chain)]
    kills = writing = 0
    lost: list[str] = []
    with ThreadPoolExecutor(options.jobs) as pool:
        for found in pool.map(chain, range(options.seed, options.seed + len(counts)), counts):
            kills, writing, lost = kills + found.kills, writing + found.writing, lost + found.lost
            print(f"{kills} kills, {writing} of them in a checkpoint half written; lost: {len(lost)}", flush=True)
    print("\n".join(lost), file=sys.stderr)
    return int(bool(lost))


if __name__ == "__main__":
    raise SystemExit(main())
