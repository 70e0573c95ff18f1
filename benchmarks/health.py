"""A healthy run of AMP beside sick ones: python benchmarks/health.py [--minutes 8].

Trains a config a few times, one run after the other: as it is, and with settings that make it sick, each in another way. What
the runs logged is drawn side by side, a column each, into docs/media/amp_health.png, and stored in results/amp_health.json.
Flags that this script does not know go to every run. A folder of runs that were done before (--runs) is drawn again.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import report
from learning import watch

from mimicjax.draw import curves, figure

PICTURE = Path(report.ROOT) / "docs" / "media" / "amp_health.png"
LENGTH = 300  # control steps of a whole episode


class Case(NamedTuple):
    """A run and what it is meant to show."""

    name: str
    flags: tuple[str, ...]


CASES = (
    Case("healthy", ()),
    Case(
        "the discriminator has won",
        (
            "--learn.disc.grad_penalty=0", "--learn.disc.optimizer.learning_rate=2e-3", "--learn.disc.optimizer.epochs=5",
            "--learn.disc.logit_reg=0",
        ),
    ),
    Case("too weak a discriminator", ("--learn.disc.grad_penalty=1000", "--learn.disc.optimizer.learning_rate=1e-5")),
    Case("too little noise to learn from", ("--learn.std.begin=0.01", "--learn.std.end=0.01")),
)  # fmt: skip
# title -> label -> column of the log
PANELS = {
    "accuracy of the discriminator": {"on the robot": "Disc_Agent_Acc", "on the clips": "Disc_Demo_Acc"},
    "style reward": {"mean": "Disc_Reward_Mean"},
    "distance (standard deviations)": {
        "robot to clips": "Motion_Distance", "clips to robot": "Demo_Distance", "between clips": "Demo_Spread",
    },
    "episode length of tests (control steps)": {"mean": "Test_Episode_Length"},
}  # fmt: skip
FLOOR = {"accuracy of the discriminator": (0.0, 1.05), "episode length of tests (control steps)": (0.0, 1.05 * LENGTH)}


def folder_of(case: Case, runs: Path) -> Path:
    return runs / case.name.replace(" ", "_")


def train(case: Case, given: argparse.Namespace, flags: list[str], runs: Path) -> None:
    """One run of the train command. Raises RuntimeError with what it printed last if it fails."""
    out = folder_of(case, runs)
    command = [
        sys.executable, "-m", "mimicjax.train", f"--config={given.config}", f"--seed={given.seed}",
        f"--max-minutes={given.minutes:g}", "--keep.iters_per_output=20", f"--out={out}", *flags, *case.flags,
    ]  # fmt: skip
    log = runs / f"{out.name}.txt"
    process = watch(command, out / "metrics.jsonl", log)
    if process.code or not process.rows:
        raise RuntimeError(f"{case.name}: exit code {process.code}:\n{log.read_text()[-2000:]}")


def warnings(case: Case, runs: Path) -> list[str]:
    """What the run was told of its sickness."""
    log = runs / f"{folder_of(case, runs).name}.txt"
    return [line.strip() for line in log.read_text().splitlines() if line.lstrip().startswith("warning: ")]


def draw(tables: dict[str, curves.Curves], path: Path) -> None:
    """A column for every run, a row for every panel; the panels of a row have one scale."""
    sheet = figure.make(3.6 * len(tables), 2.4 * len(PANELS))
    grid = sheet.subplots(len(PANELS), len(tables), squeeze=False, sharey="row", sharex=True)
    for column, (name, table) in enumerate(tables.items()):
        for row, (title, lines) in enumerate(PANELS.items()):
            axis = grid[row, column]
            for label, source in lines.items():
                axis.plot(table["Samples"] / 1e6, table[source], linewidth=1.3, label=label)
            axis.grid(alpha=0.3)
            axis.set_ylim(*FLOOR.get(title, (0.0, None)))
            if row == 0:
                axis.set_title(name, fontsize=11)
            if column == 0:
                axis.set_ylabel(title, fontsize=8)
                if len(lines) > 1:
                    axis.legend(fontsize=7, framealpha=0.5)
    for axis in grid[-1]:
        axis.set_xlabel("million samples")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.write(sheet, path, dpi=90)


def end(table: curves.Curves) -> dict[str, Any]:
    """The last row of what is drawn."""
    columns = ["Samples", *(source for lines in PANELS.values() for source in lines.values())]
    return {name: float(table[name][-1]) if np.isfinite(table[name][-1]) else None for name in columns}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="amp_g1")
    parser.add_argument("--minutes", type=float, default=8.0, help="of training, for each run (%(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runs", type=Path, help="keep the run folders below this one, or draw those that are there")
    parser.add_argument("--picture", type=Path, default=PICTURE, help="(docs/media/amp_health.png)")
    given, flags = parser.parse_known_args()
    facts = report.begin(devices=False)  # jax would take memory that belongs to the runs
    runs = given.runs or Path(tempfile.mkdtemp(prefix="health_"))
    runs.mkdir(parents=True, exist_ok=True)
    try:
        for case in CASES:
            if not (folder_of(case, runs) / "metrics.jsonl").is_file():
                train(case, given, flags, runs)
            print(f"{case.name}: {'; '.join(warnings(case, runs)) or 'no warning'}", flush=True)
        tables = {case.name: curves.read(folder_of(case, runs) / "metrics.jsonl") for case in CASES}
        draw(tables, given.picture)
        results = {
            case.name: {"flags": case.flags, "end": end(tables[case.name]), "warnings": warnings(case, runs)}
            for case in CASES
        }
        setup = {"config": given.config, "minutes": given.minutes, "seed": given.seed, "flags": flags, "runs": results}
        path = report.write("amp_health", facts, setup)
    finally:
        if not given.runs:
            shutil.rmtree(runs, ignore_errors=True)
    print(f"written: {given.picture.name}, results/{path.name}\n{report.footer(facts)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
