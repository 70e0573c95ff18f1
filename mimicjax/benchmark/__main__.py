"""python -m mimicjax.benchmark: control steps per second of physics, with policy, and of whole training."""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mimicjax import commands, config
from mimicjax.config.settings import RunSettings
from mimicjax.errors import UserError, unknown
from mimicjax.names import NAMES

DEFAULT = "deepmimic_g1"
ENGINES = ("native", "mjx-jax", "mjx-warp")  # as engine.choose.NAMES, which would load jax
FEW = 32  # environments of MJX on a CPU, where it is a tenth as fast as the native engine
COLUMNS = (
    "engine", "envs", "physics", "+ policy", "+ training", "policy/physics", "training/physics", "compile",
    "memory/env", "device peak",
)  # fmt: skip


class Request(NamedTuple):
    """What the command line asks for."""

    settings: RunSettings
    engines: tuple[str, ...]  # () for all that can run here
    num_envs: tuple[int, ...]  # () for what suits the machine
    seconds: float
    json: Path | None
    config: str


def parse(argv: Sequence[str]) -> Request:
    """The request of a command line. Raises UserError."""
    parser = argparse.ArgumentParser(
        prog="python -m mimicjax.benchmark", allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="%(prog)s [--config CONFIG] [--engines LIST] [--seconds S] [--json FILE] [--KEY VALUE ...]",
        description="Measure control steps per second (of all environments together): physics alone, rollouts with\n"
        "policy, whole training. All in one run, in turns. --num-envs takes a list too: --num-envs 256,1024.",
        epilog="configs: " + config.listing(),
    )  # fmt: skip
    parser.add_argument("--engines", metavar="LIST", default="", help="native,mjx-jax,mjx-warp (all that can run here)")
    parser.add_argument("--seconds", type=float, default=10.0, help="to measure each number (%(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write everything that was measured to FILE")
    argv, counts = _take_counts(commands.long_flags(argv))
    options, settings = config.command_line(parser, RunSettings, argv, DEFAULT, NAMES)
    if options.seconds <= 0:
        raise UserError(f"--seconds: given {options.seconds:g}, allowed is a number above 0")
    engines = tuple(options.engines.split(",")) if options.engines else ()
    for name in engines:
        if name not in ENGINES:
            raise unknown("--engines", "engine", name, ENGINES)
    if not engines and settings.engine.name != "auto":
        engines = (settings.engine.name,)
    counts = counts or ((settings.num_envs,) if settings.num_envs else ())
    return Request(settings, engines, counts, options.seconds, options.json, Path(options.config).stem)


def _take_counts(argv: list[str]) -> tuple[list[str], tuple[int, ...]]:
    """--num_envs with several numbers, which no config key takes: (argv without it, the numbers)."""
    for place, word in enumerate(argv):
        flag, equals, value = word.partition("=")
        if flag != "--num_envs":
            continue
        length = 1 if equals else 2
        text = value if equals else "".join(argv[place + 1 : place + 2])
        if "," in text:
            parts = [part.strip() for part in text.split(",")]
            if not all(part.isdecimal() and int(part) > 0 for part in parts):
                raise UserError(f"--num-envs: given {text!r}, allowed are whole numbers above 0, separated by commas")
            return argv[:place] + argv[place + length :], tuple(map(int, parts))
    return argv, ()


def settings_of(request: Request) -> tuple[list[RunSettings], list[str]]:
    """The settings to measure, one for each engine and number of environments; and notes on engines left out."""
    import jax

    from mimicjax.engine import choose

    on_cpu = jax.devices()[0].platform == "cpu"
    measured, notes = [], []
    for name in request.engines or choose.NAMES:
        engine = dataclasses.replace(request.settings.engine, name=name)
        if not request.engines and name == "mjx-warp" and (missing := _without_warp(on_cpu)):
            notes.append(f"mjx-warp left out: {missing}")
            continue
        try:
            choose.choose(engine)
        except UserError as error:
            if request.engines:
                raise
            notes.append(f"{name} left out: {error}")
            continue
        few = (FEW * len(jax.devices()),) if on_cpu and name != "native" else (0,)
        counts = request.num_envs or few
        measured += [dataclasses.replace(request.settings, engine=engine, num_envs=count) for count in counts]
    return measured, notes


def _without_warp(on_cpu: bool) -> str:
    """Why MJX with Warp is not worth measuring here; empty if it is."""
    if on_cpu:
        return "no NVIDIA GPU"
    from mimicjax.engine import mjx  # only here: it takes a second, and talks of a missing Warp

    return "" if mjx.has_warp() else "Warp is not installed"


def measure(settings: RunSettings, seconds: float) -> dict[str, Any]:
    """Everything about one engine and number of environments, as plain data."""
    import jax

    from mimicjax import build
    from mimicjax.benchmark import machine, throughput
    from mimicjax.run import devices

    begin = time.perf_counter()
    world = build.fitted_world(settings)
    parts = build.parts(world)
    chunk, place = devices.compiled(parts, world.devices)
    state = jax.block_until_ready(build.first_state(world, parts))
    setup = time.perf_counter() - begin
    cases = [
        throughput.physics(world, parts.engine),
        throughput.policy(parts, world.motion, state, world.devices),
        throughput.training(parts, chunk, world.motion, place(build.first_state(world, parts))),
    ]
    rates = throughput.measure(cases, seconds)
    return {
        "engine": world.settings.engine.name, "num_envs": world.settings.num_envs, "devices": len(world.devices),
        "steps_per_second": {name: statistics.median(each.rate) for name, each in rates.items()},
        "policy_of_physics": throughput.ratio(rates, "policy", "physics"),
        "training_of_physics": throughput.ratio(rates, "training", "physics"),
        "rounds": {name: each._asdict() for name, each in rates.items()},
        "setup_seconds": setup, "compile_seconds": {case.name: case.compile_seconds for case in cases},
        "bytes_per_env": parts.bytes_per_env, "device_peak_bytes": throughput.device_peak(world.devices),
        "process_peak_bytes_so_far": machine.peak_rss(),
    }  # fmt: skip


def row(result: dict[str, Any]) -> tuple[str, ...]:
    """The cells of a measurement, as COLUMNS."""
    rate, size, peak = result["steps_per_second"], result["bytes_per_env"], result["device_peak_bytes"]
    return (
        result["engine"], str(result["num_envs"]), *(f"{rate[name]:,.0f}" for name in ("physics", "policy", "training")),
        f"{result['policy_of_physics']:.2f}", f"{result['training_of_physics']:.2f}",
        f"{result['compile_seconds']['training']:.1f} s", f"{sum(size.values()) / 1024:.0f} KiB",
        f"{peak / 2**20:,.0f} MiB" if peak else "-",
    )  # fmt: skip


def show(rows: Sequence[Sequence[str]]) -> None:
    """Print the table: drawn on a terminal, plain columns elsewhere."""
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.table import Table

        table = Table(title="control steps per second, all environments together")
        for number, name in enumerate(COLUMNS):
            table.add_column(name, justify="right" if number else "left")
        for cells in rows:
            table.add_row(*cells)
        Console().print(table)
        return
    widths = [max(len(cells[i]) for cells in (COLUMNS, *rows)) for i in range(len(COLUMNS))]
    for cells in (COLUMNS, *rows):
        print("  ".join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True)))


def run(argv: Sequence[str]) -> int:
    """Measure as the command line says and print the table."""
    request = parse(argv)
    if request.engines == ("native",):
        commands.fit_threads("native")
    import jax

    from mimicjax.benchmark import machine
    from mimicjax.files import replace_text

    jax.config.update("jax_enable_compilation_cache", False)  # else compile times tell what was compiled before
    facts = machine.facts()
    todo, notes = settings_of(request)
    for note in (machine.line(facts), *notes):
        print(note, flush=True)
    results = []
    for settings in todo:
        print(f"measuring {settings.engine.name} ...", file=sys.stderr, flush=True)
        results.append(measure(settings, request.seconds))
    show([row(result) for result in results])
    print(f"most memory of this process: {machine.peak_rss() / 2**20:,.0f} MiB; load at the end {machine.load():g}")
    if request.json:
        data = {**facts, "load_after": machine.load(), "config": request.config, "seconds": request.seconds}
        try:
            replace_text(request.json, json.dumps({**data, "results": results}, indent=1) + "\n")
        except OSError as error:
            raise UserError(f"--json: {request.json} cannot be written: {error.strerror or error}") from None
    return 0


if __name__ == "__main__":
    raise SystemExit(commands.main("benchmark", run))
