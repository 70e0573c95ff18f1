"""python -m mimicjax.motion: import, make, check and look at motion files."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from mimicjax import commands
from mimicjax.draw import view
from mimicjax.errors import UserError
from mimicjax.evaluation.progress import Progress, watched
from mimicjax.motion.check import command as check
from mimicjax.motion.check.report import Report
from mimicjax.motion.datasets import load_motions
from mimicjax.motion.files import write_clip
from mimicjax.motion.imports import command as imports
from mimicjax.motion.make.clips import MAKERS, make
from mimicjax.robot.load import load

NAME = "python -m mimicjax.motion"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command line; the exit code: 0 fine, 1 a strict check failed, 2 something given cannot be used."""
    return commands.main("motion", _run, argv)


def _run(argv: Sequence[str]) -> int:
    args = _parser().parse_args(argv)
    return args.run(args)


def _parser() -> argparse.ArgumentParser:
    parser = commands.Parser(prog=NAME, description="Motion files.")
    verbs = parser.add_subparsers(required=True, metavar="command")
    making = verbs.add_parser("make", help="make a motion by code", description="Make a motion by code.")
    makers = "; ".join(f"{name}: {maker.help}" for name, maker in MAKERS.items())
    making.add_argument("maker", help=makers)
    making.add_argument("--robot", default="g1", help="name or path of a robot (default g1)")
    making.add_argument("--out", type=Path, required=True, help="the .npz file to write")
    making.add_argument("--force", action="store_true", help="overwrite the file if it exists")
    for name in dict.fromkeys(name for maker in MAKERS.values() for name in maker.options):
        takers = {maker: m.options[name] for maker, m in MAKERS.items() if name in m.options}
        texts = [f"{maker}: {o.help} ({o.low:g} to {o.high:g}, default {o.default:g})" for maker, o in takers.items()]
        making.add_argument("--" + name.replace("_", "-"), type=float, metavar="X", help="; ".join(texts))
    making.set_defaults(run=_make)
    check.add(verbs, _watched, view.write)
    imports.add(verbs)
    command = verbs.add_parser("view", help="draw a motion", description="Draw a motion.")
    command.add_argument("motions", nargs=1, metavar="NAME|FILE",
                         help="a shipped motion (walk), an .npz, MimicKit's .pkl, or a set of them (.yaml)")  # fmt: skip
    command.add_argument("--robot", default="g1", help="name or path of a robot (default g1)")
    command.add_argument("--out", type=Path, required=True, help="video (.mp4, .gif) or picture (.png, .jpg)")
    command.set_defaults(run=_view)
    return parser


def _make(args: argparse.Namespace) -> int:
    values = {name: vars(args)[name] for m in MAKERS.values() for name in m.options if vars(args)[name] is not None}
    if args.out.exists() and not args.force:
        raise UserError(f"{args.out}: exists already; --force overwrites it")
    options = [text for name, value in values.items() for text in ("--" + name.replace("_", "-"), str(value))]
    command = [*NAME.split(), "make", args.maker, "--robot", args.robot, "--out", args.out.as_posix(), *options]
    clip = make(args.maker, load(args.robot), shlex.join(command), **values)
    write_clip(args.out, clip)
    print(f"{args.out}: {len(clip.root_pos)} frames, {clip.duration:.3f} s at {clip.fps:g} fps")
    return 0


def _watched(reports: Iterable[Report], count: int) -> Iterator[Report]:
    with Progress(count, 1, count, sys.stderr, "clips") as bar:
        for done, report in enumerate(reports, start=1):
            yield report
            bar.update(0, done)


def _view(args: argparse.Namespace) -> int:
    view.check(args.out)
    robot, name = load(args.robot), args.motions[0]
    clip, *others = load_motions(name, robot)
    if others:
        names = ", ".join(c.name for c in (clip, *others))
        raise UserError(f"{name}: is a set of {1 + len(others)} clips; view one of them: {names}")
    view.write(robot, clip, args.out, lambda times: watched(times, "frames", sys.stderr))
    print(args.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
