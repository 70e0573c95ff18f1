"""python -m mimicjax.evaluate --run DIR --push-sweep: how hard a policy can be pushed. See docs/robustness.md."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mimicjax.errors import UserError

if TYPE_CHECKING:
    from mimicjax.evaluation.push.cells import Cell
    from mimicjax.evaluation.push.profile import SweepSettings
    from mimicjax.evaluation.push.report import Sweep
    from mimicjax.evaluation.restored import Restored

MEMORY_SHARE = 0.6  # of what is free
MOST_ROWS = 40  # of the table on the screen


class _Asked(NamedTuple):
    """What to push, read and checked before anything is compiled."""

    name: str  # of the profile
    sweep: SweepSettings
    cells: list[Cell]
    bodies: list[str]  # that are pushed


def run(options: argparse.Namespace, facts: Callable[[argparse.Namespace, Restored], dict[str, Any]]) -> int:
    """Sweep the run of --run, and that of --compare with it, as the command line says. facts: see evaluate."""
    from mimicjax.evaluation.push import figures, profile, report
    from mimicjax.evaluation.push.outcomes import HOLD, RECOVERED, SUCCESS

    begun = time.monotonic()
    sweep = profile.load(options.push_sweep)
    loaded = _load(options, options.run, options.checkpoint)
    other = _load(options, options.compare, None) if options.compare else None
    asked = _asked(options.push_sweep, sweep, loaded)
    labels = _labels(options)
    about: dict[str, Any] = {
        "profile": asked.name, "sweep": _plain(sweep),
        "definitions": {"recovered_below": RECOVERED, "recovered_for": HOLD, "success_below": SUCCESS},
        "runs": [facts(options, loaded)],
    }  # fmt: skip
    sweeps = [_sweep(options, asked, loaded, labels[0])]
    if other:
        _same(options, loaded, other)
        about["runs"].append(facts(argparse.Namespace(**{**vars(options), "run": options.compare}), other))
        sweeps.append(_sweep(options, asked, other, labels[1]))
    data = report.data(facts(options, loaded), about, sweeps)
    _show(sweeps)
    out, stem = options.out or options.run / "evaluation", _stem(options, loaded, labels)
    paths = report.write(out, stem, data, sweeps)
    for path in paths + figures.draw(out, stem, sweeps):
        print(path)
    print(f"{time.monotonic() - begun:.0f} s in all")
    for line in data["quote"]:
        print(line)
    return 0


def _load(options: argparse.Namespace, folder: Path, checkpoint: int | None) -> Restored:
    from mimicjax import build, commands
    from mimicjax.evaluation.restored import settings_of

    commands.fit_threads(options.engine or settings_of(folder).engine.name)
    loaded = build.restore(folder, engine=options.engine, motion=options.motion, step=checkpoint)
    for note in loaded.notes:
        print(f"note: {note}")
    return loaded


def _asked(name: str, sweep: SweepSettings, loaded: Restored) -> _Asked:
    from mimicjax.evaluation.push import cells

    found = cells.expand(sweep, loaded.world.robot, name)
    return _Asked(Path(name).stem, sweep, found, list(dict.fromkeys(cell.body for cell in found)))


def _plain(sweep: SweepSettings) -> dict[str, Any]:
    from mimicjax import config

    return config.to_dict(sweep)


def _labels(options: argparse.Namespace) -> list[str]:
    """Names of the runs for tables and figures: their folders, told apart where these are called alike."""
    runs = [folder.resolve() for folder in (options.run, options.compare) if folder]
    if len(runs) == 2 and runs[0].name == runs[1].name:
        return [f"{folder.parent.name}/{folder.name}" for folder in runs]
    return [folder.name for folder in runs]


def _stem(options: argparse.Namespace, loaded: Restored, labels: list[str]) -> str:
    stem = f"push-{Path(options.push_sweep).stem}-{loaded.step:010d}-{loaded.world.settings.engine.name}"
    stem += f"-seed{options.seed}" + (f"-{Path(options.motion).stem}" if options.motion else "")
    return stem + (f"-vs-{labels[1].replace('/', '-')}" if options.compare else "")


def _same(options: argparse.Namespace, a: Restored, b: Restored) -> None:
    """Raises UserError if two runs cannot be pushed alike."""
    robots = a.world.robot, b.world.robot
    if robots[0].body_names != robots[1].body_names:
        raise UserError(f"--compare {options.compare}: its robot is {robots[1].name}, that of --run {robots[0].name}")
    clips = [[(clip.name, round(clip.duration, 3)) for clip in each.world.clips] for each in (a, b)]
    if clips[0] != clips[1]:
        raise UserError(
            f"--compare {options.compare}: imitates {b.world.settings.motion}, --run imitates {a.world.settings.motion}; "
            "say with --motion which of them both shall imitate"
        )


def _sweep(options: argparse.Namespace, asked: _Asked, loaded: Restored, label: str) -> Sweep:
    """Plan, compile, run and judge a sweep of one policy."""
    import numpy as np

    from mimicjax.evaluation.push import cells, outcomes, report
    from mimicjax.evaluation.push.sweep import Curves
    from mimicjax.motion.reference import clips_of

    world = loaded.world
    env = world.test_env
    clips = clips_of(world.motion)
    whole, rows = cells.plan(asked.cells, asked.bodies, clips, asked.sweep, env.dt, options.seed)
    onset, left = (max(0, round(seconds / env.dt)) for seconds in (asked.sweep.warm_up, asked.sweep.watched))
    steps = onset + max(1, left)
    short = [clip.name for clip in world.clips if not clip.loop and clip.duration < steps * env.dt - 1e-6]
    if short:
        print(f"note: {', '.join(short[:3])}: shorter than an episode of {steps * env.dt:g} s; the last pose is held")
    print(f"{label}, checkpoint {loaded.step}: {len(rows.cell):,} episodes of {steps * env.dt:.3g} s, "
          f"{len(asked.cells):,} kinds of pushes, on {world.settings.engine.name}", flush=True)  # fmt: skip
    found: list[Curves] = _run(options, asked, loaded, env, whole, onset, steps)
    curves = Curves(*(np.concatenate(values, axis=1)[:, : len(rows.cell)] for values in zip(*found, strict=True)))
    judged = outcomes.judge(curves, whole, rows, onset, env.dt)
    if not judged.stood.any():
        print(f"note: {label} fell in every episode before the onset of the push: it says nothing about pushes")
    return report.summarise(label, asked.cells, rows, judged, options.seed)


def _run(
    options: argparse.Namespace, asked: _Asked, loaded: Restored, env: Any, whole: Any, onset: int, steps: int
) -> list[Any]:
    """The curves of all parts of a sweep, in order."""
    from mimicjax import build
    from mimicjax.engine import scene
    from mimicjax.evaluation.progress import Progress
    from mimicjax.evaluation.push import memory
    from mimicjax.evaluation.push import sweep as running

    world = loaded.world
    pushed = scene.with_wrench_bodies(world.scene, [world.robot.body_names.index(body) for body in asked.bodies])

    def compiled(parts: int) -> running.Program:
        plan = running.part_of(whole, 0, parts)
        try:
            engine = build.engine(world._replace(scene=pushed), len(plan.clip))
        except UserError as problem:
            hint = "" if options.engine else "; choose another with --engine, such as native"
            raise UserError(f"{problem}{hint}") from problem
        return running.program(
            world.robot, pushed.layout, env, engine, world.settings.learn, onset, loaded.agent, world.motion, plan,
            options.seed,
        )  # fmt: skip

    made, parts = compiled(1), 1
    budget = memory.free()
    if budget and made.bytes > MEMORY_SHARE * budget:
        parts = running.parts(len(whole.clip), made.bytes, int(MEMORY_SHARE * budget))
        print(f"note: {made.bytes / 2**30:.1f} GiB are needed and {budget / 2**30:.1f} GiB are free: {parts} equal parts,"
              " one after the other")  # fmt: skip
        made = compiled(parts)
    found = []
    with Progress(len(whole.clip) * steps, parts, steps, sys.stderr) as bar:
        for number in range(parts):
            plan = running.part_of(whole, number, parts)
            tell = lambda done, number=number: bar.update(number, done)  # noqa: E731
            found.append(running.collect(made, loaded.agent, world.motion, plan, options.seed, steps, tell))
    return found


def _show(sweeps: list[Sweep]) -> None:
    """The table of 50 % and 90 % levels over all headings, or where there are none, of single directions."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from mimicjax import commands
    from mimicjax.evaluation.push import fit, report

    console = commands.console()
    table = Table(title="pushes survived, 95 % confidence", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for column in ("body", "direction", "push", *(f"{s.label}: {100 * q:.0f} %" for s in sweeps for q in fit.SHARES)):
        table.add_column(column)
    if len(sweeps) == 2:
        table.add_column("ratio at 50 %")
    pooled = {(k.body, k.duration) for k in sweeps[0].fits if k.direction == report.ALL_HEADINGS}
    keys = [k for k in sweeps[0].fits if k.direction == report.ALL_HEADINGS or (k.body, k.duration) not in pooled]
    for key in keys[:MOST_ROWS]:
        mine = [s.fits.get(key) for s in sweeps]
        row = [report.text(f.at[q], f, key.unit) if f else "-" for f in mine for q in fit.SHARES]
        if len(mine) == 2 and mine[0] and mine[1]:
            both = fit.ratio(mine[0], mine[1], 0.5)
            row.append(f"{both.value:.2f} [{both.low:.2f}, {both.high:.2f}]" if both else "-")
        how = f"{key.kind}, {key.duration:g} s" if key.duration else f"{key.kind}, steady"
        table.add_row(key.body, key.direction.replace("_", " "), how, *row)
    if keys:
        console.print(table)
    for sweep in sweeps:
        calm, error = sweep.unpushed, sweep.unpushed["body_error"]
        value = (
            "-"
            if error["value"] is None
            else f"{error['value']:.1f} mm [{error['low'] or 0:.1f}, {error['high'] or 0:.1f}]"
        )
        print(f"{sweep.label}, nobody pushing: body error {value}, {calm['survived']} of {calm['episodes']} stay up")


def check(options: argparse.Namespace) -> None:
    """Raises UserError for flags that do not go together."""
    if options.compare and not options.push_sweep:
        raise UserError("--compare goes with --push-sweep only")
    if options.video and options.push_sweep:
        raise UserError("--video does not go with --push-sweep: film the run without it")
