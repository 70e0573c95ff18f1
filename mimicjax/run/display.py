"""The live display of a run: a progress bar on a terminal, one plain line a log row anywhere else."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, TextIO

from mimicjax.text import duration, short

BAR = 10  # columns
FIGURES = ("episode", "reward/step", "error")
NARROW = ("reward/step", "iteration", "minutes", "speed", "error")  # what a line too long leaves out, in this order


class Display:
    """Shows how far a run is; use as a context manager.

    A log row leaves a line with the figures of its test; the bar, which goes when the run ends, has those of training.

    max_samples, max_minutes, max_iterations: the budget, 0 or None for no limit; with several, whichever ends first.
    samples, minutes, iteration: where the run starts (a resumed run is not at zero). stream: None takes stdout;
    bar: None draws a bar if the stream is a terminal.
    """

    def __init__(
        self,
        max_samples: float | None = None,
        max_minutes: float | None = None,
        max_iterations: int | None = None,
        *,
        samples: int = 0,
        minutes: float = 0.0,
        iteration: int = 0,
        stream: TextIO | None = None,
        bar: bool | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.stream = stream or sys.stdout
        self.budget = (max_samples or math.inf, max_minutes or math.inf, max_iterations or math.inf)
        self.clock, self.begin = clock, clock()
        self.now = self.first = (samples, minutes, iteration)
        self.rate = math.nan  # samples/s since the last update
        self.last: tuple[float, int] | None = None  # s, samples; before the first update, programs were compiled
        self.training: dict[str, str] = {}  # the latest figures of training
        self.progress = self._make_bar() if (self.stream.isatty() if bar is None else bar) else None

    def _margin(self) -> int:
        """Columns of a terminal that are taken before the text: by the spinner, and the bar of a run with a budget."""
        return 2 + (BAR + 1 if math.isfinite(min(self.budget)) else 0)

    def _make_bar(self) -> Any:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

        columns = [SpinnerColumn(), TextColumn("{task.description}", markup=False)]
        if math.isfinite(min(self.budget)):
            columns.insert(1, BarColumn(bar_width=BAR))
        console = Console(file=self.stream, force_terminal=True)
        progress = Progress(*columns, console=console, auto_refresh=False, transient=True)
        self.task = progress.add_task("starting", total=1.0)
        return progress

    def __enter__(self) -> Display:
        if self.progress:
            self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.progress:
            self.progress.stop()

    def update(
        self, samples: int, minutes: float, iteration: int, row: Mapping[str, Any] | None = None, logged: bool = True
    ) -> None:
        """Tell how far the run is; call as often as you like. row: the latest figures; logged: they are a log row."""
        now = self.clock()
        if self.last and samples > self.last[1] and now > self.last[0]:
            self.rate = (samples - self.last[1]) / (now - self.last[0])
        if self.last is None or samples > self.last[1]:
            self.last = (now, samples)
        row = row or {}
        if "Samples_Per_Second" in row:  # without compilation, tests and checkpoints; not known of the first iteration
            self.rate = row["Samples_Per_Second"] or math.nan
        self.now = (samples, minutes, iteration)
        self.training |= figures(row, "Train", errors=not logged)  # errors of a log row are those of its test
        if row and logged:
            self.message(self.text("test", figures(row, "Test")))
        if self.progress:
            live = self.text("train", self.training, self.progress.console.width - self._margin())
            self.progress.update(self.task, completed=self.fraction() or 0.0, description=live)
            self.progress.refresh()

    def message(self, text: str) -> None:
        """Print a line (above the bar)."""
        if self.progress:
            self.progress.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            print(text, file=self.stream, flush=True)

    def fraction(self) -> float | None:
        """Share of the budget that is used, of whichever part ends first; None without a budget."""
        shares = [at / most for at, most in zip(self.now, self.budget, strict=True) if math.isfinite(most)]
        return min(max(shares), 1.0) if shares else None

    def eta(self) -> float | None:
        """Seconds to the end of the budget at the mean speed since the start; None if unknown."""
        passed = self.clock() - self.begin
        left = []
        for first, at, most in zip(self.first, self.now, self.budget, strict=True):
            if math.isfinite(most) and at > first:
                left.append(max(most - at, 0.0) * passed / (at - first))
        return min(left) if left else None

    def text(self, source: str, found: Mapping[str, str], width: float = math.inf) -> str:
        """The state of the run in a line; where that is longer than `width`, fewer words, then without NARROW.

        source: test or train, whose figures were found.
        """
        forms = [(False, 0), *((True, leave) for leave in range(len(NARROW) + 1))]
        lines = [self._line(source, found, brief, NARROW[:leave]) for brief, leave in forms]
        return next((line for line in lines if len(line) <= width), lines[-1])

    def _line(self, source: str, found: Mapping[str, str], brief: bool, leave: tuple[str, ...]) -> str:
        samples, minutes, iteration = self.now
        eta = self.eta()
        parts = {
            "iteration": f"{'iter' if brief else 'iteration'} {iteration}",
            "samples": f"{short(samples)}{self._of(0, short)}{'' if brief else ' samples'}",
            "minutes": f"{minutes:.1f}{self._of(1, '{:g}'.format)} min",
            "speed": f"{short(self.rate)}/s" if math.isfinite(self.rate) else "-/s",
            "left": "" if eta is None else f"{duration(eta)} left",
        }
        shown = ", ".join(f"{label} {found[label]}" for label in FIGURES if label in found and label not in leave)
        parts["figures"] = f"{source}: {shown}" if shown else ""
        return " | ".join(part for name, part in parts.items() if part and name not in leave)

    def _of(self, which: int, form: Callable[[float], str]) -> str:
        most = self.budget[which]
        return f"/{form(most)}" if math.isfinite(most) else ""


def figures(row: Mapping[str, Any], kind: str, errors: bool = True) -> dict[str, str]:
    """The figures of a row that a line shows, label -> text. kind: Test or Train; errors: the row's are of that kind."""
    length, total = (float(row.get(f"{kind}_{name}", math.nan)) for name in ("Episode_Length", "Return"))
    error = float(row.get("Body_Pos_Err", math.nan))
    found = {}
    if length > 0:  # else no episode ended
        found["episode"] = f"{length:.0f} steps"
        if math.isfinite(total):
            found["reward/step"] = f"{total / length:.3f}"
    if errors and math.isfinite(error):
        found["error"] = f"{error:.3f} m"
    return found
