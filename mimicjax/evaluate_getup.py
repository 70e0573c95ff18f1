"""python -m mimicjax.evaluate --run DIR --getup: whether a policy that was thrown down gets up. See docs/robustness.md."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mimicjax import commands, pretrained
from mimicjax.errors import UserError

if TYPE_CHECKING:
    from mimicjax.env.env import Env
    from mimicjax.evaluation.restored import Restored


def check(options: argparse.Namespace) -> None:
    """Raises UserError for flags that do not go together."""
    if options.getup and options.push_sweep:
        raise UserError("--getup does not go with --push-sweep: evaluate one after the other")
    if options.getup and options.episodes < 1:
        raise UserError(f"--episodes {options.episodes}: with --getup at least 1")


def run(options: argparse.Namespace, film: Callable[[Restored, argparse.Namespace, Env], None]) -> int:
    """Evaluate as the command line says. film: films an episode of an env."""
    from mimicjax import build_world
    from mimicjax.evaluation import getup, output
    from mimicjax.evaluation.restored import describe, engine_for

    restored = commands.restore(options.run, options.engine, options.motion, options.checkpoint)
    names, count = [clip.name for clip in restored.world.clips], options.episodes
    engine = engine_for(restored, count)
    print(f"{options.run}, checkpoint {restored.step}: {count} falls on {engine.name}", flush=True)
    env = build_world.env_on_the_ground(restored.world, options.seed)
    falls = getup.run(restored, env, engine, count, options.seed)
    data = getup.data(falls, names, describe(restored, options.seed))
    _show(data)
    stem = f"getup-{restored.step:010d}-{engine.name}-seed{options.seed}"
    stem += f"-{Path(options.motion).stem}" if options.motion else ""
    for path in output.write(options.out or pretrained.results_of(options.run), stem, data, getup.rows(data)):
        print(path)
    if options.video:
        film(restored, options, env)
    return 0


def _show(data: dict[str, Any]) -> None:
    for name, estimate in data["overall"].items():
        if name == "episodes":
            continue
        share = name != "Time"
        value, low, high = (
            "-" if estimate[key] is None else f"{100 * estimate[key]:.1f} %" if share else f"{estimate[key]:.2f} s"
            for key in ("value", "low", "high")
        )
        print(f"{name:12} {value} [{low}, {high}]")
