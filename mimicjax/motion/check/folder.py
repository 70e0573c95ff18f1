"""Reports of many clips: folders are searched, and processes share the work."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import NamedTuple

from mimicjax.errors import UserError
from mimicjax.motion.check.report import Report, report, unreadable
from mimicjax.motion.datasets import expanded, load_motions
from mimicjax.motion.files import SUFFIXES, read_clip
from mimicjax.robot.load import load
from mimicjax.types import Clip, Robot

FEW = 16  # clips that one process has done before others have started
CHUNK = 8  # clips that a process takes at a time


class Job(NamedTuple):
    """One clip to look at: a file, or a clip that was loaded by name or from a set."""

    source: str
    clip: Clip | None


def jobs(names: Sequence[str], robot: Robot) -> list[Job]:
    """The clips behind names, files, sets and folders (searched to their bottom).

    Raises UserError for an unknown name, or a folder without clips; files in folders are read later.
    """
    result = []
    for name in names:
        path = expanded(name)
        if path.is_dir():
            files = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES)
            if not files:
                raise UserError(f"{path}: there is no motion file in this folder ({' or '.join(SUFFIXES)})")
            result += [Job(str(file), None) for file in files]
        elif path.suffix.lower() in SUFFIXES and path.is_file():
            result.append(Job(str(path), None))
        else:
            clips = load_motions(name, robot)
            result += [Job(name if len(clips) == 1 else f"{name}, {clip.name}", clip) for clip in clips]
    return result


def reports(work: Sequence[Job], robot: str, processes: int | None = None) -> Iterator[Report]:
    """The reports of clips, in their order. robot: a name or path; processes: None takes one for each core."""
    count = min(processes or len(os.sched_getaffinity(0)), len(work))
    if count < 2 or len(work) < FEW:
        here = load(robot)
        yield from (look(job, here) for job in work)
        return
    # spawn, not fork: JAX's threads do not survive a fork
    with ProcessPoolExecutor(count, multiprocessing.get_context("spawn"), _begin, (robot,)) as pool:
        yield from pool.map(_look, work, chunksize=CHUNK)


def look(job: Job, robot: Robot) -> Report:
    """The report of one clip; a file that cannot be read is broken."""
    try:
        clip = job.clip or read_clip(job.source, robot)
    except UserError as error:
        return unreadable(job.source, robot, str(error).removeprefix(f"{job.source}: "))
    return report(robot, clip, job.source)


_robots: list[Robot] = []  # of a process of the pool


def _begin(robot: str) -> None:
    _robots.append(load(robot))


def _look(job: Job) -> Report:
    return look(job, _robots[0])
