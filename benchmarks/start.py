"""Seconds from the command to the end of the first iteration: python benchmarks/start.py [--config deepmimic_g1].

Every start is a process of its own: `cold` with an empty compilation cache, `warm` with the one that the cold start filled.
The whole is timed from outside, on `python -m mimicjax.train` itself in a terminal of ours, until its live line tells of
the first iteration. Where the seconds go is asked of another process, which calls what the command calls, with a clock
between; JAX itself tells how much of each part it traced, lowered and compiled. Processor time beside wall time: the
first hardly changes when the machine is shared.
"""

from __future__ import annotations

import argparse
import json
import os
import pty
import re
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import report

CASES = ("cold", "warm")
FIRST = re.compile(rb"iter(?:ation)? [1-9]")  # in the live line, once an iteration is done
LONGEST = 900.0  # s, for a start on a busy machine
# what JAX says that it did, by the events of jax.monitoring
EVENTS = {
    "/jax/core/compile/jaxpr_trace_duration": "trace",
    "/jax/core/compile/jaxpr_to_mlir_module_duration": "lower",
    "/jax/core/compile/backend_compile_duration": "compile",  # or reading what the cache has
}


class Marks:
    """Wall and processor seconds of parts that follow each other, and of each what JAX did in it."""

    def __init__(self, launched: float) -> None:
        self.parts: dict[str, dict[str, float]] = {}
        self.spans: dict[str, list[tuple[float, float]]] = {kind: [] for kind in EVENTS.values()}
        self.wall, self.cpu = launched, 0.0

    def heard(self, event: str, duration_secs: float, **_: Any) -> None:
        """A listener of jax.monitoring, called as something ends."""
        if event in EVENTS:
            now = time.time()
            self.spans[EVENTS[event]].append((now - duration_secs, now))

    def end(self, name: str) -> None:
        """The part `name` ends here."""
        wall, cpu = time.time(), time.process_time()
        did = {kind: _covered(spans) for kind, spans in self.spans.items()}
        self.parts[name] = {"wall": wall - self.wall, "cpu": cpu - self.cpu, **did}
        self.spans = {kind: [] for kind in self.spans}
        self.wall, self.cpu = wall, cpu


def _covered(spans: list[tuple[float, float]]) -> float:
    """Seconds that lie in any span: functions are traced within others, and both are told."""
    total, until = 0.0, -np.inf
    for begin, end in sorted(spans):
        total += max(0.0, end - max(begin, until))
        until = max(until, end)
    return total


def shares(argv: list[str], launched: float) -> dict[str, dict[str, float]]:
    """A start in this process, part by part, as train.run does it. argv: of the command."""
    marks = Marks(launched)
    from mimicjax import commands, train

    commands.use_compilation_cache()
    settings, out, _ = train.parse(argv)
    import jax

    from mimicjax import build
    from mimicjax.run import loop

    jax.monitoring.register_event_duration_secs_listener(marks.heard)
    marks.end("import")
    commands.fit_threads(settings.engine.name)
    loop.check_folder(out, False)
    world = build.world(settings)
    marks.end("world")
    training = build.training(world)
    state = training.place(jax.block_until_ready(training.first()))
    marks.end("first state")
    for name in ("first iteration", "second iteration"):
        state, stats = training.chunk(state, training.motion, jax.numpy.int32(1))
        jax.device_get(stats)
        marks.end(name)
    return marks.parts


def _environment(cache: Path) -> dict[str, str]:
    """With a compilation cache of its own, which the command itself sets up below this folder."""
    rest = {name: value for name, value in os.environ.items() if name != "JAX_COMPILATION_CACHE_DIR"}
    return {**rest, "XDG_CACHE_HOME": str(cache), "COLUMNS": "200", "TERM": "xterm"}


def command(argv: list[str], cache: Path) -> float:
    """Wall seconds of `python -m mimicjax.train` until its live line tells of the first iteration."""
    ours, its = pty.openpty()
    begin = time.monotonic()
    words = [sys.executable, "-m", "mimicjax.train", *argv]
    process = subprocess.Popen(words, stdin=its, stdout=its, stderr=its, env=_environment(cache))
    os.close(its)
    try:
        text = b""
        while not FIRST.search(text):
            if time.monotonic() - begin > LONGEST or process.poll() is not None:
                raise SystemExit(f"no first iteration came of {' '.join(words)}:\n{text.decode(errors='replace')}")
            if select.select([ours], [], [], 0.1)[0]:
                text += os.read(ours, 65536)
        return time.monotonic() - begin
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def parts(argv: list[str], cache: Path) -> dict[str, dict[str, float]]:
    """`shares` in a fresh process."""
    words = [sys.executable, __file__, "--launched", repr(time.time()), "--", *argv]
    done = subprocess.run(words, env=_environment(cache), capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def measure(argv: list[str], repeats: int) -> dict[str, dict[str, list[Any]]]:
    """Case -> "command" and "parts" -> what each repeat measured."""
    ways: dict[str, Callable[[list[str], Path], Any]] = {"command": command, "parts": parts}
    rows: dict[str, dict[str, list[Any]]] = {case: {way: [] for way in ways} for case in CASES}
    for _ in range(repeats):
        for way, start in ways.items():
            with tempfile.TemporaryDirectory() as folder:
                for case in CASES:
                    out = Path(folder) / f"run_{case}"
                    rows[case][way].append(start([*argv, "--out", str(out)], Path(folder) / "cache"))
    return rows


def summary(rows: dict[str, dict[str, list[Any]]]) -> dict[str, Any]:
    """Medians over the repeats."""
    medians: dict[str, Any] = {}
    for case, row in rows.items():
        runs = row["parts"]
        each = {
            name: {kind: float(np.median([run[name][kind] for run in runs])) for kind in values}
            for name, values in runs[0].items()
        }
        medians[case] = {"command_seconds": float(np.median(row["command"])), "parts": each}
    return medians


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="deepmimic_g1")
    parser.add_argument("--repeats", type=int, default=3, help="starts of each kind, medians are shown (%(default)s)")
    parser.add_argument("--name", default="start", help="results/<name>.json (%(default)s)")
    parser.add_argument("--launched", type=float, help=argparse.SUPPRESS)  # of the processes started here
    parser.add_argument("rest", nargs="*", metavar="FLAG", help="flags of train, after --")
    args = parser.parse_args()
    if args.launched:
        print(json.dumps(shares(args.rest, args.launched)))
        return
    facts = report.begin(devices=False)
    rows = measure(["--config", args.config, *args.rest], args.repeats)
    medians = summary(rows)
    path = report.write(args.name, facts, {"config": args.config, "flags": args.rest, "medians": medians, "runs": rows})
    cells = [
        [case, name, *(f"{values[kind]:.2f}" for kind in ("wall", "cpu", *EVENTS.values()))]
        for case, median in medians.items()
        for name, values in median["parts"].items()
    ]
    print(report.table(["start", "part", "seconds", "processor", *(f"of it {k}" for k in EVENTS.values())], cells))
    print()
    print(report.table(["start", "seconds to the first iteration"],
                       [[case, f"{median['command_seconds']:.1f}"] for case, median in medians.items()]))  # fmt: skip
    print("", report.footer(facts), f"written: results/{path.name}", sep="\n")


if __name__ == "__main__":
    main()
