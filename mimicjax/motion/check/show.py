"""Reports as text: in full, a line a clip, a summary, JSON; and the line that training prints."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence

from mimicjax.motion.check.report import BROKEN, GOOD, VERDICTS, Report, as_dict, report
from mimicjax.types import Clip, Robot

WIDTH = 140  # columns of a line a clip


def full(report: Report) -> Iterator[str]:
    """The lines of one report."""
    yield f"{report.source}: {report.verdict}{_size(report)}"
    for name, figure in report.figures.items():
        mark = f"beyond {figure.limit:g}" if figure.value > figure.limit else ""
        yield f"  {name:32s} {figure.value:8.2f} {figure.unit:12s} {mark:12s} {figure.where}".rstrip()
    yield from (f"  - {reason}" for reason in report.reasons)
    yield from (f"  note: {note}" for note in report.notes)
    if report.command:
        yield f"  mend it: {report.command}"


def line(report: Report, name_width: int) -> str:
    """One report in a line: its name, verdict, and reasons as far as there is room."""
    text = f"{report.source:{name_width}s}  {report.verdict:8s}  {'; '.join(report.reasons)}".rstrip()
    return text if len(text) <= WIDTH else text[: WIDTH - 3] + "..."


def summary(reports: Sequence[Report]) -> str:
    """How many clips have which verdict, and what is most often wrong."""
    counts = Counter(report.verdict for report in reports)
    text = f"{len(reports)} clips: " + ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS)
    wrong = Counter(name for r in reports for name, figure in r.figures.items() if figure.value > figure.limit)
    wrong["cannot be read"] = sum(not r.frames for r in reports)
    often = ", ".join(f"{name} {count}" for name, count in wrong.most_common(4) if count)
    return text + (f"; most often: {often}" if often else "")


def as_json(reports: Sequence[Report]) -> str:
    return json.dumps({"clips": [as_dict(report) for report in reports], "summary": summary(reports)}, indent=1)


def in_a_line(robot: Robot, clips: Sequence[Clip], motion: str, seconds: float = 0.7) -> str:
    """What training says of its clips: the verdict, looking at as many as can be in so many seconds, evenly spread.

    Forces are left out: they cost two thirds of the time.
    """
    begin, seen = time.perf_counter(), []
    for number in _spread(len(clips)):
        if seen and time.perf_counter() - begin > seconds:
            break
        seen.append(report(robot, clips[number], motion, dynamics=False))
    more = f"python -m mimicjax.motion check {motion} --robot {robot.name}"
    bad = [r for r in seen if r.verdict != GOOD]
    if not bad:
        return f"motion {motion}: good" + (f" ({len(seen)} of {len(clips)} clips looked at)" if len(clips) > 1 else "")
    worst = next((r for r in bad if r.verdict == BROKEN), bad[0])
    where = f" ({len(bad)} of {len(seen)} clips looked at are; {worst.name}" if len(clips) > 1 else " ("
    return f"motion {motion}: {worst.verdict}{where}{': ' if len(clips) > 1 else ''}{worst.reasons[0]}); {more}"


def _spread(count: int) -> Iterator[int]:
    """0 to count - 1, each once, always spread over the whole: the first, the middle, the quarters, ..."""
    seen, step = set(), float(count)
    while len(seen) < count:
        for number in range(int(count / step) + 1):
            at = int(number * step)
            if at < count and at not in seen:
                seen.add(at)
                yield at
        step /= 2.0


def _size(report: Report) -> str:
    if not report.frames:
        return ""
    return f", {report.frames} frames, {report.seconds:.3f} s at {report.fps:g} fps{', loops' if report.loop else ''}"
