"""What a run writes while it trains: log.txt (MimicKit's columns), metrics.jsonl, TensorBoard events, curves.png.

A row is a mapping column -> number; it needs `Samples` (the x axis) and may hold anything else. metrics.jsonl has every
value of every row in full; log.txt has the columns of the first row, without those of single bodies and clips. When a run resumes
from a checkpoint, rows that were logged after that checkpoint are removed, so that no step appears twice.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from mimicjax import files
from mimicjax.draw.curves import draw, rows
from mimicjax.env.disturbances import BODY
from mimicjax.errors import UserError, reason
from mimicjax.motion.sampling_table import SUCCESS
from mimicjax.run.events import Events

WIDTH = 25  # of a column of log.txt, as in MimicKit
INFO = ("Iteration", "Wall_Time", "Samples", "Samples_Per_Second")


class Logger:
    """Writes the rows of one run; use as a context manager, or close it.

    folder: the run's. resume: samples of the checkpoint that the run goes on from, None for a new run (whose folder's
    old log is then overwritten). curves: draw curves.png as rows come. Raises UserError if the folder's log cannot be begun.
    Later on, what cannot be written is told, once, and training goes on: a log is not what it is for.
    """

    def __init__(self, folder: str | Path, resume: int | None = None, *, curves: bool = True) -> None:
        self.folder, self.curves = Path(folder), curves
        self.notes: list[str] = []  # what of the older rows could not be read, for the user
        self.tell: Callable[[str], object] = self.notes.append
        self.troubles: set[str] = set()  # what cannot be written at present
        self.drawn, self.next_draw = True, 0.0
        self.text, self.metrics = self.folder / "log.txt", self.folder / "metrics.jsonl"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if resume is None:
                for old in (self.text, self.metrics, *self.folder.glob("events.out.tfevents.*")):
                    old.unlink(missing_ok=True)
                self.columns, purge = [], None
            else:
                self.columns, lost = _cut_text(self.text, resume)
                for path, count in ((self.text, lost), (self.metrics, _cut_metrics(self.metrics, resume))):
                    if count:
                        self.notes.append(f"{path}: {count} damaged lines are left out; training goes on without them")
                purge = resume + 1  # from this step on, TensorBoard hides what was logged before
            self.events = Events(self.folder, purge)
        except OSError as problem:
            raise UserError(f"{self.folder}: the log cannot be written: {problem}") from None

    def write(self, row: Mapping[str, Any], env: Iterable[str] = ()) -> None:
        """Add a row. row: column -> number (0-d arrays are fine). env: columns that TensorBoard shows as 2_Env."""
        values = {name: _number(value) for name, value in row.items()}
        finite = {name: value for name, value in values.items() if math.isfinite(value)}
        whole = json.dumps({name: finite.get(name) for name in values}) + "\n"
        columns = self.columns or [name for name in values if not name.startswith((BODY, SUCCESS))]
        line = ("" if self.columns else _line(columns)) + _line(_text(values.get(n, math.nan)) for n in columns)
        tagged = {f"{group(name, env)}/{name}": value for name, value in finite.items()}
        self._try(self.metrics, lambda: files.append(self.metrics, whole.encode()))
        if self._try(self.text, lambda: files.append(self.text, line.encode())):
            self.columns = columns
        self._try(self.events.path, lambda: self.events.write(tagged, int(values["Samples"])))
        self.drawn = False
        if self.curves and time.monotonic() >= self.next_draw:
            self._draw()

    def write_beside(self, name: str, text: str) -> None:
        """Put a text file in the run folder, in the place of the one before."""
        self._try(self.folder / name, lambda: files.replace_text(self.folder / name, text))

    def close(self) -> None:
        """Draw the last rows."""
        if self.curves and not self.drawn:
            self._draw()

    def _draw(self) -> None:
        begin = time.monotonic()
        self._try(self.folder / "curves.png", lambda: draw(self.folder))
        self.drawn = True
        self.next_draw = time.monotonic() + 20 * (time.monotonic() - begin)  # at most 5 % of a run that logs often

    def _try(self, path: Path, write: Callable[[], object]) -> bool:
        """Whether that could be written; the first of several failures is told."""
        try:
            write()
        except (OSError, UserError) as problem:
            if path.name not in self.troubles:
                said = reason(problem).removeprefix(f"{path}: ")
                self.tell(f"warning: {path.name}: {said}; training goes on without what should stand there now")
            self.troubles.add(path.name)
            return False
        self.troubles.discard(path.name)
        return True

    def __enter__(self) -> Logger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Silent:
    """The log of a process that does not lead: another one writes the rows that all have."""

    notes: tuple[str, ...] = ()
    tell: Callable[[str], object] = print

    def write(self, row: Mapping[str, Any], env: Iterable[str] = ()) -> None:
        """Nothing."""

    def write_beside(self, name: str, text: str) -> None:
        """Nothing."""

    def __enter__(self) -> Silent:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def group(name: str, env: Iterable[str] = ()) -> str:
    """MimicKit's TensorBoard group of a column; tracking errors are the environment's without being listed."""
    if name.endswith(("_Return", "_Episode_Length")):
        return "0_Main"
    if name in INFO or name.endswith("_Episodes"):
        return "1_Info"
    return (
        "2_Env"
        if name in set(env) or name.endswith("_Err") or name.startswith(("Push_", "Sampling_", SUCCESS))
        else "Misc"
    )


def _cut_metrics(path: Path, samples: int) -> int:
    """Leave the rows up to `samples`; returns how many lines could not be read."""
    whole = [row for row in rows(path) if row.get("Samples") is not None]
    lines = sum(bool(line.strip()) for line in path.read_bytes().splitlines()) if path.is_file() else 0
    kept = [row for row in whole if row["Samples"] <= samples]
    files.replace_text(path, "".join(json.dumps(row) + "\n" for row in kept))
    return max(0, lines - len(whole))


def _cut_text(path: Path, samples: int) -> tuple[list[str], int]:
    """Leave the header and the whole rows up to `samples`.

    Returns the columns ([] if there is no usable file), and how many lines could not be read.
    """
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    lines = text.splitlines(keepends=True)
    columns = lines[0].split() if lines and lines[0].endswith("\n") else []
    if "Samples" not in columns:
        files.replace_text(path, "")
        return [], len(lines)
    at = columns.index("Samples")
    split = [(line, line.split()) for line in lines[1:] if line.endswith("\n")]
    whole = [(line, cells[at]) for line, cells in split if len(cells) == len(columns) and all(map(_is_number, cells))]
    files.replace_text(path, lines[0] + "".join(line for line, cell in whole if float(cell) <= samples))
    return columns, len(split) - len(whole)


def _is_number(cell: str) -> bool:
    try:
        return bool(cell) and not math.isinf(float(cell))
    except ValueError:
        return False


def _number(value: Any) -> int | float:
    value = value.item() if hasattr(value, "item") else value
    return value if isinstance(value, int) else float(value)


def _text(value: int | float) -> str:
    whole = isinstance(value, int) or (value.is_integer() and abs(value) < 1e15)
    return str(int(value)) if whole else f"{value:.7g}"


def _line(cells: Iterable[str]) -> str:
    return "".join(f"{cell:<{WIDTH - 1}} " for cell in cells) + "\n"
