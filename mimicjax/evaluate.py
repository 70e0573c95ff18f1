"""python -m mimicjax.evaluate: how well a trained policy imitates its clips. See docs/evaluation.md."""

from __future__ import annotations

import argparse
import copy
import importlib.metadata
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mimicjax import commands, evaluate_push
from mimicjax.errors import UserError

if TYPE_CHECKING:
    from mimicjax.build import World
    from mimicjax.evaluation.episodes import Recording
    from mimicjax.evaluation.restored import Restored

EPISODES = 64
MOST_CLIPS = 30  # rows of the table on the screen
PACKAGES = ("mimicjax", "mujoco", "mujoco-mjx", "warp-lang", "jax", "jaxlib", "numpy")
HEADLINE = ("Completed", "Success_0.5m", "Success_0.25m", "MPJPE_Global", "MPJPE_Root", "Return_Per_Step")


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"given {text!r}, allowed is a whole number") from None


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The command line. Raises UserError."""
    parser = commands.Parser(
        prog="python -m mimicjax.evaluate", allow_abbrev=False,
        description="Evaluate the policy of a run: every clip from its start and from random phases, mode actions.",
    )  # fmt: skip
    parser.add_argument("--run", type=Path, required=True, metavar="DIR", help="run folder")
    parser.add_argument(
        "--engine", help="native, mjx-jax, mjx-warp or auto (the run's own); another is a sim-to-sim check"
    )
    parser.add_argument("--episodes", type=_whole, default=EPISODES, metavar="N",
                        help="episodes from random phases, spread evenly over the clips (%(default)s); "
                        "each clip's start comes on top")  # fmt: skip
    parser.add_argument("--motion", metavar="NAME|FILE", help="clip or set to imitate instead of the run's")
    parser.add_argument("--checkpoint", type=_whole, metavar="STEP", help="iteration of the checkpoint (the latest)")
    parser.add_argument("--seed", type=_whole, default=0, help="seed of the phases (%(default)s)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder of the results (evaluation/ in the run folder)")
    parser.add_argument("--video", type=Path, metavar="FILE.mp4", help="also film the first clip from its start")
    parser.add_argument("--reference", default="ghost", choices=("ghost", "beside", "none"),
                        help="how the video shows the clip (%(default)s)")  # fmt: skip
    parser.add_argument("--push-sweep", nargs="?", const="quick", metavar="PROFILE",
                        help="push the robot instead: tiny, quick (if none is named), full or FILE.yaml; "
                        "see docs/robustness.md")  # fmt: skip
    parser.add_argument(
        "--compare", type=Path, metavar="RUN2", help="with --push-sweep: push this run alike, side by side"
    )
    options = parser.parse_args(argv)
    evaluate_push.check(options)
    if options.episodes < 0:
        raise UserError(f"--episodes {options.episodes}: must be 0 (only the clips' starts) or more")
    if not 0 <= options.seed < 2**32:
        raise UserError(f"--seed {options.seed}: must be at least 0 and less than 2^32")
    return options


def run(argv: Sequence[str]) -> int:
    """Evaluate as the command line says."""
    options = parse(argv)
    if options.push_sweep:
        return evaluate_push.run(options, _facts)
    from mimicjax import build  # after parsing: --help and mistakes answer at once
    from mimicjax.draw import video
    from mimicjax.evaluation import report as evaluation

    if options.video:
        from mimicjax.draw import canvas as graphics

        video.check(options.video)
        graphics.backend()
    loaded = build.restore(options.run, engine=options.engine, motion=options.motion, step=options.checkpoint)
    world = loaded.world
    names = [clip.name for clip in world.clips]
    count = len(names) + options.episodes
    for note in loaded.notes:
        print(f"note: {note}")
    print(f"{options.run}, checkpoint {loaded.step}: {count} episodes on {world.settings.engine.name}", flush=True)
    engine = _engine(build, loaded, options.engine, count)
    results = evaluation.run(
        world.robot, world.scene.layout, world.test_env, engine, world.settings.learn, world.settings.env.observations,
        loaded.agent, world.motion, options.episodes, options.seed,
    )  # fmt: skip
    data = evaluation.report(results, names, _facts(options, loaded))
    _show(data)
    stem = f"{loaded.step:010d}-{engine.name}-seed{options.seed}"
    stem += f"-{Path(options.motion).stem}" if options.motion else ""
    for path in evaluation.write(options.out or options.run / "evaluation", stem, data):
        print(path)
    if options.video:
        _film(build, loaded, options)
    return 0


def _engine(build: Any, loaded: Restored, asked: str | None, count: int) -> Any:
    """The engine for `count` environments. Where the run's own cannot run here, say which flag helps."""
    try:
        return build.engine(loaded.world, count)
    except UserError as problem:
        hint = "" if asked else "; the run was trained with this engine: choose another with --engine, such as native"
        raise UserError(f"{problem}{hint}") from problem


def _facts(options: argparse.Namespace, loaded: Restored) -> dict[str, Any]:
    """What was evaluated, where and with what: all that is needed to do it again."""
    import jax

    settings, saved = loaded.world.settings, loaded.facts
    trained = saved.get("config") or {}
    return {
        "run": options.run.resolve().name, "checkpoint": loaded.step, "samples": saved.get("samples"),
        "robot": settings.robot, "motion": settings.motion, "seed": options.seed, "engine": settings.engine.name,
        "trained_on": (trained.get("engine") or {}).get("name"), "control_freq": settings.engine.control_freq,
        "sim_freq": settings.engine.sim_freq, "episode_length": settings.env.episode_length,
        "device": jax.devices()[0].device_kind, "versions": _versions(PACKAGES), "trained_with": saved.get("versions"),
        "notes": list(loaded.notes),
    }  # fmt: skip


def _versions(packages: Iterable[str]) -> dict[str, str]:
    import mimicjax

    found = {"mimicjax": mimicjax.__version__}
    for name in packages:
        try:
            found.setdefault(name, importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _show(data: dict[str, Any]) -> None:
    """The tables: all figures overall, then the main ones of every clip."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    console = commands.console()
    overall, clips = data["overall"], data["clips"]
    table = Table(title="overall, 95 % confidence", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for column in ("", "", *(f"{origin} ({found['episodes']})" for origin, found in overall.items())):
        table.add_column(column, justify="right" if column else "left", no_wrap=True)
    for name in [key for key in overall["all"] if key != "episodes"]:
        unit = data["units"].get(name, "")
        table.add_row(name, "" if unit == "share" else unit, *(_text(name, found[name]) for found in overall.values()))
    console.print(table)
    if len(clips) == 1:
        return
    table = Table(
        "clip", "episodes", *HEADLINE, title="per clip", title_justify="left", box=SIMPLE_HEAD, pad_edge=False
    )
    for name, found in list(clips.items())[:MOST_CLIPS]:
        mine = found["all"]
        table.add_row(name, str(mine["episodes"]), *(_value(key, mine[key]["value"]) for key in HEADLINE))
    console.print(table)
    if len(clips) > MOST_CLIPS:
        console.print(f"and {len(clips) - MOST_CLIPS} clips more, in the files")


def _text(name: str, estimate: dict[str, Any]) -> str:
    value, low, high = (estimate[key] for key in ("value", "low", "high"))
    if low is None:
        return _value(name, value)
    if _is_share(name):
        return f"{_value(name, value)} [{100 * low:.0f}, {100 * high:.0f}]"
    half = (high - low) / 2
    return (
        f"{_value(name, value)} ± {100 * half:.1f}" if name == "Completion" else f"{_value(name, value)} ± {half:.2g}"
    )


def _value(name: str, value: float | None) -> str:
    if value is None:
        return "-"
    return f"{100 * value:.1f} %" if _is_share(name) or name == "Completion" else f"{value:.4g}"


def _is_share(name: str) -> bool:
    return name == "Completed" or name.startswith("Success")


def _film(build: Any, loaded: Restored, options: argparse.Namespace) -> None:
    import jax
    import jax.numpy as jnp

    from mimicjax.draw import video
    from mimicjax.evaluation import episodes, progress
    from mimicjax.motion.reference import Motion, poses_at
    from mimicjax.robot.kinematics import qpos_of
    from mimicjax.types import Array

    world, layout = loaded.world, loaded.world.scene.layout
    name, dt = world.clips[0].name, world.test_env.dt
    print(f"filming {name}: first its episode is run", flush=True)

    def reference(motion: Motion, clip: Array, time: Array) -> Array:
        return layout.with_robot(*qpos_of(world.robot, poses_at(world.robot, motion, clip, time)))[0]

    film = jax.jit(episodes.record(world.test_env, build.engine(world, 1), world.settings.learn, reference))
    key = jax.random.key(options.seed)
    took = jax.device_get(film(loaded.agent, world.motion, key, jnp.int32(0), jnp.float32(0)))
    rows, model = slice(0, int(took.length) + 1), copy.copy(world.scene.model)  # drawing changes its looks
    failure = _failure(world, took)
    print(f"filming {name}, {took.length * dt:.1f} s{': ' if failure else ''}{failure}", flush=True)
    frames = video.render(
        model, took.qpos[rows], took.reference[rows], dt, options.reference, name, failure,
        watch=lambda frames: progress.watched(frames, "frames", sys.stderr),
    )  # fmt: skip
    video.write(options.video, frames, world.settings.engine.control_freq)
    print(options.video)


def _failure(world: World, took: Recording) -> str:
    """How a filmed episode failed; empty if it did not."""
    import jax.numpy as jnp

    from mimicjax.env import terminations
    from mimicjax.robot.kinematics import pose_of
    from mimicjax.types import FAILED

    if took.done != FAILED:
        return ""
    layout, last, still = world.scene.layout, int(took.length), jnp.zeros(world.scene.layout.nv)
    pose, reference = (
        pose_of(world.robot, *layout.of_robot(qpos[last], still)) for qpos in (took.qpos, took.reference)
    )
    env = world.settings.env
    return terminations.reason(world.robot, env.terminations, env.observations, layout.ground, pose, reference)


if __name__ == "__main__":
    raise SystemExit(commands.main("evaluate", run))
