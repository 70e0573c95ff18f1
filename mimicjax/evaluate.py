"""python -m mimicjax.evaluate: how well a trained policy imitates its clips. See docs/evaluation.md."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mimicjax import commands, evaluate_getup, evaluate_push, pretrained
from mimicjax.errors import UserError

if TYPE_CHECKING:
    from mimicjax.env.env import Env
    from mimicjax.evaluation.restored import Restored

EPISODES = 64


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
    parser.add_argument("--run", type=pretrained.folder_of, required=True, metavar="DIR|NAME", help=pretrained.HELP)
    parser.add_argument(
        "--engine", help="native, mjx-jax, mjx-warp or auto (the run's own); another is a sim-to-sim check"
    )
    parser.add_argument("--episodes", type=_whole, default=EPISODES, metavar="N",
                        help="episodes from random phases, spread evenly over the clips (%(default)s); "
                        "each clip's start comes on top")  # fmt: skip
    parser.add_argument("--motion", metavar="NAME|FILE", help="clip or set to imitate instead of the run's")
    parser.add_argument("--checkpoint", metavar="STEP",
                        help="its iteration, or best: by length of test episodes, then error (the latest)")  # fmt: skip
    parser.add_argument("--seed", type=_whole, default=0, help="seed of the phases (%(default)s)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder of the results (evaluation/ in the run folder)")
    parser.add_argument("--video", type=Path, metavar="FILE.mp4|png",
                        help="also film the first clip from its start; .png is a strip of pictures")  # fmt: skip
    parser.add_argument("--reference", default="ghost", choices=("ghost", "beside", "none"),
                        help="how the video shows the clip (%(default)s)")  # fmt: skip
    parser.add_argument("--push-sweep", nargs="?", const="quick", metavar="PROFILE",
                        help="push the robot instead: tiny, quick (if none is named), punch, full or FILE.yaml; "
                        "see docs/robustness.md")  # fmt: skip
    parser.add_argument(
        "--compare",
        type=pretrained.folder_of,
        metavar="RUN2",
        help="with --push-sweep: push this run alike, side by side",
    )
    parser.add_argument(
        "--getup", action="store_true",
        help="begin on the ground instead: how many get up and are with the clip again; see docs/robustness.md",
    )  # fmt: skip
    options = parser.parse_args(argv)
    options.checkpoint = commands.checkpoint(options.checkpoint)
    evaluate_push.check(options)
    if options.episodes < 0:
        raise UserError(f"--episodes {options.episodes}: must be 0 (only the clips' starts) or more")
    evaluate_getup.check(options)
    if not 0 <= options.seed < 2**32:
        raise UserError(f"--seed {options.seed}: must be at least 0 and less than 2^32")
    return options


def run(argv: Sequence[str]) -> int:
    """Evaluate as the command line says."""
    options = parse(argv)
    if options.push_sweep:
        return evaluate_push.run(options)
    from mimicjax.draw import canvas, video  # after parsing: --help and mistakes answer at once
    from mimicjax.evaluation import endings, output, report, table
    from mimicjax.evaluation.restored import describe, engine_for

    if options.video:
        video.check(options.video)
        canvas.backend()
    if options.getup:
        return evaluate_getup.run(options, _film)
    restored = commands.restore(options.run, options.engine, options.motion, options.checkpoint)
    world = restored.world
    names = [clip.name for clip in world.clips]
    count = len(names) + options.episodes
    print(f"{options.run}, checkpoint {restored.step}: {count} episodes on {world.settings.engine.name}", flush=True)
    engine = engine_for(restored, count)
    results = report.run(restored, engine, options.episodes, options.seed)
    data = report.report(results, world, describe(restored, options.seed), report.figures_of(world))
    console = commands.console()
    console.print(table.overall(data))
    if (failed := endings.table(data["endings"])) is not None:
        console.print(failed)
    if len(names) > 1:
        console.print(table.per_clip(data))
    if len(names) > table.MOST_CLIPS:
        console.print(f"and {len(names) - table.MOST_CLIPS} better clips, in the files")
    stem = f"{restored.step:010d}-{engine.name}-seed{options.seed}"
    stem += f"-{Path(options.motion).stem}" if options.motion else ""
    out = options.out or pretrained.results_of(options.run)
    paths = output.write(out, stem, data, report.rows(data))
    if data["endings"]:
        paths.append(out / f"{stem}-endings.png")
        endings.draw(results, report.durations(world), world.test_env.dt, paths[-1])
    for path in paths:
        print(path)
    if options.video:
        _film(restored, options, restored.world.test_env)
    return 0


def _film(restored: Restored, options: argparse.Namespace, env: Env) -> None:
    from mimicjax.draw import files, video
    from mimicjax.evaluation import film, progress

    world = restored.world
    print(f"filming {world.clips[0].name}: first its episode is run", flush=True)
    episode = film.shoot(restored, env, options.seed)
    seconds = (len(episode.qpos) - 1) * episode.dt
    ending = f": {episode.failure}" if episode.failure else ""
    print(f"filming {episode.caption}, {seconds:.1f} s{ending}", flush=True)
    if options.video.suffix.lower() == video.STRIP:
        files.write_picture(options.video, video.strip(world.scene.model, episode, options.reference))
        print(options.video)
        return
    watch = lambda frames: progress.watched(frames, "frames", sys.stderr)  # noqa: E731
    frames = video.render(world.scene.model, episode, options.reference, watch=watch)
    files.write_film(options.video, frames, world.settings.engine.control_freq)
    print(options.video)


if __name__ == "__main__":
    raise SystemExit(commands.main("evaluate", run))
