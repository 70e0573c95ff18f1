"""python -m mimicjax.motion import: motions of other projects as clips of ours."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mimicjax.errors import UserError
from mimicjax.motion import files
from mimicjax.motion.imports import convert, evidence
from mimicjax.motion.imports.read import read
from mimicjax.robot.load import load
from mimicjax.types import Robot

SUFFIXES = (".npz", ".pkl", ".csv", ".txt", ".json", ".npy", ".bvh")


def add(verbs: Any) -> None:
    """The command among those of mimicjax.motion."""
    command = verbs.add_parser(
        "import", help="turn motions of other projects into clips", allow_abbrev=False,
        description="Turn motions of other projects into clips (.npz). What a file does not say is found by evidence and told.",
    )  # fmt: skip
    command.add_argument("files", nargs="+", type=Path, metavar="FILE|DIR", help="files, or folders with such files")
    command.add_argument("--robot", default="g1", help="name or path of the robot that they are of (default g1)")
    command.add_argument("-o", "--out", type=Path, required=True, metavar="DIR", help="folder of the clips")
    command.add_argument("--force", action="store_true", help="overwrite clips that are there")
    command.add_argument(
        "--fps", type=float, metavar="N", help="rate that the files were made with, instead of what they say"
    )
    command.add_argument("--quat", choices=evidence.ORDERS, help="order of the root's quaternion")
    command.add_argument("--tree", choices=("depth", "breadth"), help="order of the joint columns")
    command.add_argument("--joints", choices=sorted(convert.SETS), help="which 23 of the G1's joints a file has")
    command.add_argument("--rate", type=float, metavar="N", help="sample the clips at this rate")
    command.add_argument("--start", type=float, metavar="S", help="from this second on")
    command.add_argument("--end", type=float, metavar="S", help="up to this second")
    command.add_argument("--loop", choices=("wrap", "clamp"), help="begin again after the end, or stay there")
    command.add_argument("--ground", action="store_true", help="move each clip up or down onto the ground")
    command.add_argument(
        "--licence", default="", metavar="TEXT", help="under which they may be passed on, kept in the clips"
    )
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Import as the command line says; exit code 2 if a file could not be, after all others were."""
    for name in ("fps", "rate"):
        value = getattr(args, name)
        if value is not None and not 1 <= value <= 10_000:
            raise UserError(f"--{name} {value:g}: allowed is 1 to 10000")
    robot, failed, made = load(args.robot), 0, 0
    paths = [path for given in args.files for path in _found(given)]
    wishes = convert.ImportOptions(
        fps=args.fps, order=args.quat, breadth=None if args.tree is None else args.tree == "breadth", joints=args.joints,
        rate=args.rate, start=args.start, end=args.end, loop=None if args.loop is None else args.loop == "wrap",
        ground=args.ground,
    )  # fmt: skip
    for path in paths:
        try:
            for line in _one(path, robot, wishes, args):
                print(line, flush=True)
                made += 1
        except UserError as problem:
            if len(paths) == 1:
                raise
            failed += 1
            print(f"FAILED {problem}", flush=True)
    if len(paths) > 1:
        print(f"{made} clips from {len(paths) - failed} of {len(paths)} files")
    return 2 if failed else 0


def _found(given: Path) -> list[Path]:
    """The files behind an argument."""
    if not given.is_dir():
        return [given]
    found = sorted(path for path in given.rglob("*") if path.is_file() and path.suffix.lower() in SUFFIXES)
    if not found:
        raise UserError(f"{given}: no files that end in {', '.join(SUFFIXES)}")
    return found


def _one(path: Path, robot: Robot, wishes: convert.ImportOptions, args: argparse.Namespace) -> Iterator[str]:
    """Imports a file; a line for every clip that was written."""
    for raw in read(path, robot):
        clip, notes = convert.clip_of(raw._replace(licence=args.licence or raw.licence), robot, wishes)
        name = re.sub(r"[^\w.-]+", "_", raw.name).strip("._") or "clip"
        out = args.out / f"{name}.npz"
        if out.exists() and not args.force:
            raise UserError(f"{out}: is there already; --force overwrites it")
        files.write_clip(out, clip)
        yield f"{out}: {len(clip.root_pos)} frames, {clip.duration:.2f} s at {clip.fps:g} fps; " + "; ".join(notes)
