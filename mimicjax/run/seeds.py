"""Several seeds of one run, each in a folder of its own, and what they have in common."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from mimicjax.config.settings import RunSettings
from mimicjax.draw import curves, spread
from mimicjax.errors import UserError

NAME = "seed_"
# what a summary says of the last test: column of metrics.jsonl -> words and factor
LAST = {"Test_Episode_Length": ("test episode, steps", 1.0), "Body_Pos_Err": ("body error, mm", 1e3)}


def folders(out: Path) -> list[Path]:
    """The run folders of seeds in `out`, by seed; none if it holds no such."""
    there = [path for path in out.glob(f"{NAME}*") if (path / "config.yaml").is_file()]
    numbers = {path: path.name.removeprefix(NAME) for path in there}
    return sorted((path for path in there if numbers[path].isdecimal()), key=lambda path: int(numbers[path]))


def split(settings: RunSettings, count: int, out: Path) -> list[tuple[RunSettings, Path]]:
    """(settings, run folder) of each seed, from the one in the settings on. Raises UserError."""
    if count < 1:
        raise UserError(f"--seeds: given {count}, allowed are whole numbers from 1")
    if not (settings.max_samples or settings.max_minutes or settings.max_iterations):
        raise UserError("--seeds: the first would never end; give --max-samples, --max-minutes or --max-iterations too")
    numbers = range(settings.seed, settings.seed + count)
    return [(dataclasses.replace(settings, seed=number), out / f"{NAME}{number}") for number in numbers]


def draw(out: Path) -> None:
    """curves.png in `out`: the mean of all seeds so far, and how far they spread."""
    tables = [curves.without_short_rows(curves.read(folder / "metrics.jsonl")) for folder in folders(out)]
    spread.draw([table for table in tables if table], out / "curves.png", out.resolve().name)


def summary(out: Path) -> str:
    """What the last tests of all seeds found, in a line: mean and standard deviation."""
    tables = [table for folder in folders(out) if (table := curves.read(folder / "metrics.jsonl"))]
    parts = []
    for column, (words, factor) in LAST.items():
        values = factor * np.asarray([table[column][-1] for table in tables if column in table])
        if len(values) > 1 and np.all(np.isfinite(values)):
            parts.append(f"{words} {np.mean(values):.1f} ± {np.std(values, ddof=1):.1f}")
    return f"{len(tables)} seeds in {out}: {', '.join(parts) or 'no tests yet'}"
