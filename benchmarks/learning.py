"""How soon and how well a config learns: python benchmarks/learning.py --config deepmimic_g1 --motion walk.

Runs `python -m mimicjax.train` as a user does, one seed after the other, and reads its metrics.jsonl while it grows:
the clock starts with the command, so imports and compilation count. Flags that this script does not know go to it.
Tests are the run's own: episodes with mode actions from random phases. With --evaluate each run is then given to
`python -m mimicjax.evaluate`: its figures over all clips are stored, and a strip of pictures of the first seed.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import report

from mimicjax.benchmark import machine

POLL = 0.2  # s between looks at metrics.jsonl
MEDIA = Path(report.ROOT) / "docs" / "media"
INTERRUPTED = 130  # exit code of a run that was interrupted and has saved itself


class Process(NamedTuple):
    """A run of the train command, watched."""

    rows: list[dict[str, Any]]  # rows of metrics.jsonl with "minutes" since the command began
    first_output: float  # minutes until it printed something
    minutes: float  # until it ended
    peak_bytes: int  # most memory it held
    code: int


def watch(
    command: Sequence[str], metrics: Path, log: Path, enough: Callable[[dict], bool] = lambda row: False
) -> Process:
    """Run a command to its end and note when each row of `metrics` came; its output goes to `log`.

    enough: whether nothing more is asked of the run after this row: then it is interrupted, which counts as its end.
    """
    rows: list[dict[str, Any]] = []
    first, seen, begin = None, 0, time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        ended, told = 0, False
        try:
            while not ended:
                time.sleep(POLL)
                ended, status, usage = os.wait4(process.pid, os.WNOHANG)
                minutes = (time.monotonic() - begin) / 60
                if first is None and log.stat().st_size:
                    first = minutes
                whole = metrics.read_text().split("\n")[:-1] if metrics.is_file() else []
                rows += [{**json.loads(line), "minutes": minutes} for line in whole[seen:]]
                if not ended and not told and any(enough(row) for row in rows[seen:]):
                    process.send_signal(signal.SIGINT)  # the run saves itself and ends
                    told = True
                seen = len(whole)
        except BaseException:
            process.terminate()  # the run saves itself and ends
            process.wait()
            raise
    process.returncode = os.waitstatus_to_exitcode(status)
    code = 0 if told and process.returncode == INTERRUPTED else process.returncode
    return Process(rows, first or minutes, minutes, machine.in_bytes(usage.ru_maxrss), code)


def point(row: dict[str, Any]) -> dict[str, Any]:
    """What a test found, and when."""
    length = row["Test_Episode_Length"]
    return {
        "minutes": row["minutes"], "samples": row["Samples"], "test_length": length,
        # none where the environment rewards nothing, and all that is learned from is learned itself
        "return_per_step": None if row["Test_Return"] is None else row["Test_Return"] / max(length, 1.0),
        "body_error_mm": 1e3 * row["Body_Pos_Err"], "root_error_mm": 1e3 * row["Root_Pos_Err"],
    }  # fmt: skip


def summary(process: Process, marks: Sequence[float], length: float) -> dict[str, Any]:
    """A run in numbers; `marks`: minutes at which to look, `length`: mean control steps that count as learned."""
    points = [point(row) for row in process.rows]
    learned = [p["test_length"] >= length for p in points]
    after_last_miss = len(learned) - next((i for i, good in enumerate(reversed(learned)) if not good), len(learned))
    rates = [row["Samples_Per_Second"] for row in process.rows if row.get("Samples_Per_Second")]
    return {
        "minutes_to_first": points[learned.index(True)]["minutes"] if any(learned) else None,
        "minutes_to_stay": points[after_last_miss]["minutes"] if after_last_miss < len(points) else None,
        "at": {f"{mark:g}": _latest(points, mark) for mark in marks}, "end": points[-1] if points else None,
        "samples_per_second": statistics.median(rates) if rates else None,
        "samples_per_second_in_all": points[-1]["samples"] / (60 * process.minutes) if points else None,
        "minutes_to_first_output": process.first_output, "minutes": process.minutes,
        "peak_mib": process.peak_bytes / 2**20, "points": points,
    }  # fmt: skip


def reached(text: str) -> Callable[[dict], bool]:
    """Reads 'return_per_step>=0.85,body_error_mm<=35': whether a test has reached all of it."""
    parts = [part.partition(sign) for part in text.split(",") for sign in (">=", "<=") if sign in part]

    def enough(row: dict) -> bool:
        figures = {name: math.nan if value is None else value for name, value in point(row).items()}
        return all(figures[name] >= float(v) if sign == ">=" else figures[name] <= float(v) for name, sign, v in parts)

    return enough if parts else lambda row: False


def _latest(points: list[dict[str, float]], minute: float) -> dict[str, float] | None:
    """The last test that was over at that minute."""
    past = [p for p in points if p["minutes"] <= minute]
    return past[-1] if past else None


def tables(seeds: dict[str, dict[str, Any]], marks: Sequence[float], length: float) -> str:
    """Two Markdown tables: a row for each seed; and the course, a row for each seed and mark."""
    rows = [[
        seed, _text(run["minutes_to_first"]), _text(run["minutes_to_stay"]), *_cells(run["end"])[1:],
        _text(run["samples_per_second"], ".0f"), _text(run["peak_mib"], ".0f"), _text(run["minutes"]),
    ] for seed, run in seeds.items()]  # fmt: skip
    measures = ["test length", "return/step", "body error, mm", "root error, mm"]
    columns = ["seed", f"minutes to {length:g} steps", "and to stay", *measures, "samples/s", "peak MiB", "minutes"]
    course = [
        [f"{seed}, minute {mark:g}", *_cells(run["at"][f"{mark:g}"])] for mark in marks for seed, run in seeds.items()
    ]
    return f"{report.table(columns, rows)}\n\n{report.table(['seed, minute', 'samples', *measures], course)}"


def _cells(found: dict[str, float] | None) -> list[str]:
    if found is None:
        return ["-"] * 5
    formats = {"samples": ",.0f", "test_length": ".0f", "return_per_step": ".3f", "body_error_mm": ".1f"}
    return [_text(found[name], form) for name, form in (formats | {"root_error_mm": ".1f"}).items()]


def _text(value: float | None, form: str = ".1f") -> str:
    return "-" if value is None else format(value, form)


def parse() -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--config", default="deepmimic_g1")
    parser.add_argument("--motion", default="walk")
    parser.add_argument("--seeds", default="0", help="separated by commas (%(default)s)")
    parser.add_argument("--max-minutes", type=float, default=12.0, help="of training, for each seed (%(default)s)")
    parser.add_argument("--at", default="2,4,6,8,10,12", help="minutes since the command began (%(default)s)")
    parser.add_argument("--length", type=float, default=290.0, help="control steps that count as learned (%(default)s)")
    parser.add_argument("--until", default="", metavar="CONDITIONS", help="end a run at the first test that has reached "
                        "all of, for example, test_length>=290,return_per_step>=0.85,body_error_mm<=35")  # fmt: skip
    parser.add_argument("--evaluate", type=int, default=0, metavar="EPISODES", help="evaluate each run by as many")
    parser.add_argument("--name", help="results/learning_<name>.json (config and motion)")
    parser.add_argument("--runs", type=Path, help="keep the run folders below this one (they are thrown away)")
    return parser.parse_known_args()


def main() -> int:
    given, flags = parse()
    name = given.name or f"{Path(given.config).stem}_{Path(given.motion).stem}"
    marks = [float(mark) for mark in given.at.split(",")]
    facts = report.begin(devices=False)  # jax would take memory that belongs to the run
    folder = given.runs or Path(tempfile.mkdtemp(prefix="learning_"))
    folder.mkdir(parents=True, exist_ok=True)
    seeds = {}
    try:
        for seed in given.seeds.split(","):
            process, log = train(given, flags, seed, folder)
            if process.code or not process.rows:
                print(f"seed {seed} ended with exit code {process.code}:\n{log.read_text()[-2000:]}", file=sys.stderr)
                return 1
            seeds[seed] = {**summary(process, marks, given.length), "notes": _notes(log)}
            if given.evaluate:
                strip = None if len(seeds) > 1 else MEDIA / f"{name}.png"
                data = evaluate(folder / f"seed_{seed}", given.evaluate, int(seed), strip)
                seeds[seed] |= {"evaluation": data["overall"]["all"], "units": data["units"]}
            print(f"seed {seed}: {process.minutes:.1f} minutes", flush=True)
            setup = {**vars(given), "seeds": seeds, "flags": flags}
            path = report.write(f"learning_{name}", facts, {k: plain(v) for k, v in setup.items() if k != "runs"})
    finally:
        if not given.runs:
            shutil.rmtree(folder, ignore_errors=True)
    shown = [tables(seeds, marks, given.length), *([evaluated(seeds)] if given.evaluate else []), report.footer(facts)]
    print("\n\n".join(["", *shown]) + f"\nwritten: results/{path.name}")
    return 0


def train(given: argparse.Namespace, flags: list[str], seed: str, folder: Path) -> tuple[Process, Path]:
    """The command for one seed, watched; and the file with what it printed."""
    out, log = folder / f"seed_{seed}", folder / f"seed_{seed}.txt"
    command = [
        sys.executable, "-m", "mimicjax.train", f"--config={given.config}", f"--motion={given.motion}",
        f"--seed={seed}", f"--max-minutes={given.max_minutes:g}", f"--out={out}", *flags,
    ]  # fmt: skip
    return watch(command, out / "metrics.jsonl", log, reached(given.until)), log


def plain(value: Any) -> Any:
    """What may be published: no folders of this computer."""
    if isinstance(value, list):
        return [plain(each) for each in value]
    if not isinstance(value, str):
        return value
    flag, equals, rest = value.rpartition("=")
    return flag + equals + (Path(rest).name if os.path.isabs(rest) or Path(rest).exists() else rest)


def evaluate(run: Path, episodes: int, seed: int, strip: Path | None = None) -> dict[str, Any]:
    """What `python -m mimicjax.evaluate` writes of a run. Raises SystemExit with what it printed last if it fails.

    strip: where a strip of pictures goes.
    """
    out = run / "figures"
    command = [sys.executable, "-m", "mimicjax.evaluate", f"--run={run}", f"--episodes={episodes}", f"--seed={seed}"]
    done = subprocess.run(
        [*command, f"--out={out}", *([f"--video={strip}"] if strip else [])], capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(f"evaluation ended with exit code {done.returncode}:\n{done.stderr[-2000:]}")
    return json.loads(next(out.glob("*.json")).read_text())


def evaluated(seeds: dict[str, dict[str, Any]]) -> str:
    """A Markdown table of the evaluations: a row for each figure, a column for each seed."""
    names = [name for name in next(iter(seeds.values()))["evaluation"] if name != "episodes"]
    rows = [[name, *(_text(run["evaluation"][name]["value"], ".4g") for run in seeds.values())] for name in names]
    return report.table(["evaluation", *(f"seed {seed}" for seed in seeds)], rows)


def _notes(log: Path) -> list[str]:
    """What the run chose for this machine: its first lines, up to the one that names its folder."""
    lines = log.read_text(errors="replace").splitlines()
    end = next((i for i, line in enumerate(lines) if line.lstrip().startswith(("writes in", "goes on in"))), 0)
    return lines[:end]


if __name__ == "__main__":
    raise SystemExit(main())
