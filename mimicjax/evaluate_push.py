"""python -m mimicjax.evaluate --run DIR --push-sweep: how hard a policy can be pushed. See docs/robustness.md."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mimicjax import commands, config, pretrained
from mimicjax.errors import UserError

if TYPE_CHECKING:
    from mimicjax.evaluation.push.report import Sweep
    from mimicjax.evaluation.push.trial import Trial
    from mimicjax.evaluation.restored import Restored


def run(options: argparse.Namespace) -> int:
    """Sweep the run of --run, and that of --compare with it, as the command line says."""
    from mimicjax.evaluation import output
    from mimicjax.evaluation.push import figures, profile, report, sweep, trial
    from mimicjax.evaluation.restored import describe

    start = time.monotonic()
    settings = profile.load(options.push_sweep)
    runs = [commands.restore(options.run, options.engine, options.motion, options.checkpoint)]
    if options.compare:
        runs.append(commands.restore(options.compare, options.engine, options.motion, None))
    pushes = trial.prepare(options.push_sweep, settings, runs[0].world.robot)
    labels = _labels(options)
    if options.compare:
        _same(options, *runs)
    sweeps = [_sweep(each, pushes, label, options.seed) for each, label in zip(runs, labels, strict=True)]
    facts = [describe(each, options.seed) | {"error_about": sweep.error_about(each.world.scope)} for each in runs]
    data = report.data(facts[0], _about(pushes, facts), sweeps)
    _show(sweeps)
    out, stem = options.out or pretrained.results_of(options.run), _stem(options, runs[0], labels)
    paths = output.write(out, stem, data, report.rows(sweeps))
    for path in paths + figures.draw(out, stem, sweeps):
        print(path)
    print(f"{time.monotonic() - start:.0f} s in all")
    for line in data["quote"]:
        print(line)
    return 0


def _about(pushes: Trial, runs: list[dict[str, Any]]) -> dict[str, Any]:
    """What was done, for the report: profile, definitions, and the facts of every run."""
    from mimicjax.evaluation.push import outcomes

    definitions = {
        "recovered_below": outcomes.RECOVERED, "recovered_for": outcomes.HOLD, "success_below": outcomes.SUCCESS
    }  # fmt: skip
    sweep = config.to_dict(pushes.settings)
    return {"profile": pushes.name, "sweep": sweep, "definitions": definitions, "runs": runs}


def _labels(options: argparse.Namespace) -> list[str]:
    """Names of the runs for tables and figures: their folders, told apart where these are called alike."""
    runs = [folder.resolve() for folder in (options.run, options.compare) if folder]
    if len(runs) == 2 and runs[0].name == runs[1].name:
        return [f"{folder.parent.name}/{folder.name}" for folder in runs]
    return [folder.name for folder in runs]


def _stem(options: argparse.Namespace, restored: Restored, labels: list[str]) -> str:
    stem = f"push-{Path(options.push_sweep).stem}-{restored.step:010d}-{restored.world.settings.engine.name}"
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


def _sweep(restored: Restored, pushes: Trial, label: str, seed: int) -> Sweep:
    """Plan, compile, run and judge a sweep of one policy."""
    from mimicjax.evaluation.progress import Progress
    from mimicjax.evaluation.push import sweep, trial

    world, dt = restored.world, restored.world.test_env.dt
    episodes = trial.schedule(pushes, world, seed)
    count, steps = len(episodes.plan.clip), episodes.steps
    if episodes.short:
        names = ", ".join(episodes.short[:3])
        print(f"note: {names}: shorter than an episode of {steps * dt:g} s; the last pose is held")
    print(f"{label}, checkpoint {restored.step}: {count:,} episodes of {steps * dt:.3g} s, "
          f"{len(pushes.cells):,} kinds of pushes, on {world.settings.engine.name}", flush=True)  # fmt: skip
    compiled = trial.compile_for(restored, pushes, episodes, seed)
    if (about := sweep.error_about(world.scope)) != "root":
        print(f"note: {label}: its reference turns with the robot, and body errors are about {about}")
    if compiled.parts > 1:
        print(f"note: {compiled.needed / 2**30:.1f} GiB are needed and {compiled.free / 2**30:.1f} GiB are free: "
              f"{compiled.parts} equal parts, one after the other")  # fmt: skip
    with Progress(count * steps, compiled.parts, steps, sys.stderr) as bar:
        curves = trial.run(compiled, restored, episodes, bar.update)
    result = trial.summarise(label, pushes, episodes, curves, dt, seed)
    if not any(row["stood"] for row in [result.unpushed, *result.cells]):
        print(f"note: {label} fell in every episode before the onset of the push: it says nothing about pushes")
    return result


def _show(sweeps: list[Sweep]) -> None:
    from mimicjax.evaluation.push import table

    thresholds = table.thresholds(sweeps)
    if thresholds is not None:
        commands.console().print(thresholds)
    for sweep in sweeps:
        print(table.unpushed(sweep))


def check(options: argparse.Namespace) -> None:
    """Raises UserError for flags that do not go together."""
    if options.compare and not options.push_sweep:
        raise UserError("--compare goes with --push-sweep only")
    if options.video and options.push_sweep:
        raise UserError("--video does not go with --push-sweep: film the run without it")
