"""python -m mimicjax.motion check: its flags, and what it prints and writes."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from mimicjax.errors import UserError
from mimicjax.motion.check import folder, page, show
from mimicjax.motion.check.report import GOOD, VERDICTS, Report
from mimicjax.motion.files import read_clip
from mimicjax.robot.load import load
from mimicjax.types import Clip, Robot

IN_FULL = 3  # clips of which every figure is printed; of more, a line each
Film = Callable[[Robot, Clip, Path], None]  # draws a clip to a JPEG file
Watch = Callable[[Iterable[Report], int], Iterable[Report]]  # shows how many of so many reports are done


def add(verbs: argparse._SubParsersAction, watch: Watch, film: Film) -> None:
    """Add the command. watch: sees the reports as they come; film: draws the filmstrips of a page."""
    text = "say what is wrong with motions before anything is trained on them"
    command = verbs.add_parser("check", help=text, description=text.capitalize() + ". Verdicts: " + ", ".join(VERDICTS))
    command.add_argument(
        "motions",
        nargs="+",
        metavar="NAME|FILE|DIR",
        help="a shipped motion (walk), .npz, MimicKit's .pkl, a set (.yaml), or a folder",
    )
    command.add_argument("--robot", default="g1", help="name or path of a robot (default g1)")
    command.add_argument("--json", type=Path, metavar="FILE", help="also write all figures as JSON")
    command.add_argument(
        "--html", type=Path, metavar="FILE", help="also write a page with curves, which needs no other file"
    )
    command.add_argument(
        "--film", action="store_true", help="with --html: filmstrips of what is not good (needs OpenGL)"
    )
    command.add_argument("--jobs", type=int, metavar="N", help="processes for many clips (default: one for each core)")
    command.add_argument("--strict", action="store_true", help="exit code 1 if a clip is not good")
    command.set_defaults(run=lambda args: run(args, watch, film))


def run(args: argparse.Namespace, watch: Watch, film: Film) -> int:
    """Look at all clips; the exit code."""
    if args.film and not args.html:
        raise UserError("--film draws for a page: give --html FILE too")
    if args.jobs is not None and args.jobs < 1:
        raise UserError(f"--jobs is {args.jobs}; it must be at least 1")
    for out in (args.json, args.html):
        if out and not out.absolute().parent.is_dir():
            raise UserError(f"{out}: there is no folder {out.parent}")
    robot = load(args.robot)
    work = folder.jobs(args.motions, robot)
    found = folder.reports(work, args.robot, args.jobs)
    reports = list(watch(found, len(work)) if len(work) > IN_FULL else found)
    _print(reports)
    if args.json:
        args.json.write_text(show.as_json(reports) + "\n")
    if args.html:
        films = _films(work, reports, robot, film) if args.film else {}
        args.html.write_text(page.page(reports, films), encoding="utf-8")
    for out in (out for out in (args.json, args.html) if out):
        print(f"written: {out}")
    return 1 if args.strict and any(report.verdict != GOOD for report in reports) else 0


def _print(reports: list[Report]) -> None:
    if len(reports) <= IN_FULL:
        for report in reports:
            print("\n".join(show.full(report)))
        return
    width = min(60, max(len(report.source) for report in reports))
    for report in reports:
        print(show.line(report, width))
    print(show.summary(reports))


def _films(work: list[folder.Job], reports: list[Report], robot: Robot, film: Film) -> dict[str, bytes]:
    """Filmstrips (JPEG) of the clips that are not good, or of all if there are few."""
    result = {}
    with tempfile.TemporaryDirectory() as place:
        for job, report in zip(work, reports, strict=True):
            if report.frames and (report.verdict != GOOD or len(work) <= IN_FULL) and len(result) < page.MOST:
                out = Path(place) / "film.jpg"
                film(robot, job.clip or read_clip(job.source, robot), out)
                result[report.source] = out.read_bytes()
    return result
