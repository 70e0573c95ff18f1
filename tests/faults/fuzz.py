"""Files damaged at random, by the thousand, and files made to do harm: python tests/faults/fuzz.py."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import hostile
import numpy as np
import outcome
from kinds import KINDS
from mutate import mutated
from outcome import Outcome


class Tried(NamedTuple):
    """A file and what became of it."""

    what: str
    found: Outcome


def damaged(kind: str, files: int, seed: int) -> Iterator[Tried]:
    """So many files of a kind, damaged at random."""
    whole = _whole(kind)
    for number in range(files):
        data = mutated(whole, np.random.default_rng([seed, number, len(kind)]), KINDS[kind].text)
        yield Tried(f"file {number} of seed {seed}", tried(kind, data))


def hostile_ones(kind: str, every: int = 1) -> Iterator[Tried]:
    """The hostile files of a kind, or each `every`-th of them."""
    for number, (what, data) in enumerate(hostile.files(kind, _whole(kind))):
        if number % every == 0:
            yield Tried(what, tried(kind, data))


def tried(kind: str, data: bytes | Callable[[Path], None]) -> Outcome:
    """What becomes of a file of a kind with these bytes, or after such a change."""
    with tempfile.TemporaryDirectory() as folder:
        path = KINDS[kind].make(Path(folder))
        read = KINDS[kind].read
        if isinstance(data, bytes):
            path.write_bytes(data)
            return outcome.read(path, read, Path(folder))
        return outcome.read(path, lambda path: (data(path), read(path))[1], Path(folder))  # no threads before the fork


def _whole(kind: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return KINDS[kind].make(Path(folder)).read_bytes()


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split(":")[0])
    parser.add_argument("--files", type=int, default=1000, help="of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--every", type=int, default=1, metavar="N", help="take only each N-th hostile file")
    parser.add_argument("--kinds", default=",".join(KINDS), help="%(default)s")
    options = parser.parse_args(argv)
    print("| kind | files | " + " | ".join(outcome.NAMES) + " |\n|---|---:|" + "---:|" * len(outcome.NAMES))
    bad = 0
    for kind in options.kinds.split(","):
        for name, trials in (
            ("damaged", damaged(kind, options.files, options.seed)),
            ("hostile", hostile_ones(kind, options.every)),
        ):
            count: Counter[str] = Counter()
            for what, found in trials:
                count[found.name] += 1
                if found.name not in outcome.GOOD:
                    bad += 1
                    print(f"{kind}, {what}: {found.name}: {found.detail} ({found.seconds:.1f} s)", file=sys.stderr)
            cells = (f"{kind}, {name}", count.total(), *(count[each] for each in outcome.NAMES))
            print(f"| {' | '.join(map(str, cells))} |", flush=True)
    return int(bad > 0)


if __name__ == "__main__":
    raise SystemExit(main())
