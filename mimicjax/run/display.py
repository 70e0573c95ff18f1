"""The live display of a run: a progress bar on a terminal, one plain line a log row anywhere else."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, TextIO

SHOWN = {  # label -> the first of these columns that a row has, format
    "episode": (("Test_Episode_Length", "Train_Episode_Length"), "{:.0f} steps"),
    "reward/step": (("Test_Reward_Per_Step", "Train_Reward_Per_Step"), "{:.3f}"),
    "error": (("Body_Pos_Err", "Root_Pos_Err"), "{:.3f} m"),
}


class Display:
    """Shows how far a run is; use as a context manager.

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
        self.last = (self.begin, samples)
        self.seen: dict[str, float] = {}  # latest value of every column
        self.progress = self._make_bar() if (self.stream.isatty() if bar is None else bar) else None

    def _make_bar(self) -> Any:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

        columns = [SpinnerColumn(), TextColumn("{task.description}", markup=False)]
        if math.isfinite(min(self.budget)):
            columns.insert(1, BarColumn(bar_width=10))
        progress = Progress(*columns, console=Console(file=self.stream, force_terminal=True), auto_refresh=False)
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
        if samples > self.last[1] and now > self.last[0]:
            self.rate = (samples - self.last[1]) / (now - self.last[0])
            self.last = (now, samples)
        told = (row or {}).get("Samples_Per_Second", math.nan)
        if math.isfinite(told):  # without the tests and checkpoints between the two looks at the clock
            self.rate = told
        self.now = (samples, minutes, iteration)
        if row is not None:
            self.seen.update({name: float(value) for name, value in {**row, **_per_step(row)}.items()})
        if self.progress:
            self.progress.update(self.task, completed=self.fraction() or 0.0, description=self.text(compact=True))
            self.progress.refresh()
        elif row is not None and logged:
            print(self.text(), file=self.stream, flush=True)

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

    def text(self, compact: bool = False) -> str:
        """The state of the run in a line; compact leaves room for a bar in 80 columns."""
        samples, minutes, iteration = self.now
        parts = [] if compact else [f"iteration {iteration}"]
        parts.append(f"{short(samples)}{self._of(0, short)} samples".removesuffix(" samples" if compact else ""))
        if not compact or math.isfinite(self.budget[1]):
            parts.append(f"{minutes:.1f}{self._of(1, '{:g}'.format)} min")
        if math.isfinite(self.rate):
            parts.append(f"{short(self.rate)}/s")
        eta = self.eta()
        if eta is not None:
            parts.append(f"{duration(eta)} left")
        for label, (names, form) in SHOWN.items():
            value = next((self.seen[n] for n in names if math.isfinite(self.seen.get(n, math.nan))), None)
            if value is not None:
                parts.append(f"{'' if compact and ' ' in form else label + ' '}{form.format(value)}")
        return " | ".join(parts)

    def _of(self, which: int, form: Callable[[float], str]) -> str:
        most = self.budget[which]
        return f"/{form(most)}" if math.isfinite(most) else ""


def short(number: float) -> str:
    """12345678 -> 12.3M"""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= 0.9995 * size:
            return f"{number / size:.3g}{unit}"
    return f"{number:.3g}"


def duration(seconds: float) -> str:
    """3700 -> 1 h 02 min"""
    if seconds < 90:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min"


def _per_step(row: Mapping[str, Any]) -> dict[str, float]:
    pairs = {kind: (row.get(f"{kind}_Return"), row.get(f"{kind}_Episode_Length")) for kind in ("Test", "Train")}
    return {
        f"{kind}_Reward_Per_Step": a / b for kind, (a, b) in pairs.items() if a is not None and b is not None and b > 0
    }
