"""The live display of a run: a progress bar on a terminal, one plain line a log row anywhere else."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TextIO

from mimicjax.bar import Bar
from mimicjax.text import duration, short

COLUMNS = 10  # of the bar
FIGURES = ("episode", "reward/step", "error")
STYLE = {
    "Disc_Reward_Mean": "style",
    "Smp_Reward_Mean": "style",
    "Motion_Distance": "distance",
}  # of training, also beside the figures of a test
NARROW = (
    "distance",
    "reward/step",
    "iteration",
    "minutes",
    "speed",
    "style",
    "error",
)  # left out of a long line, in order


class Extent(NamedTuple):
    """How much of a run: done so far, or its budget, where 0 is no limit."""

    samples: float = 0
    minutes: float = 0.0
    iterations: int = 0


class Display:
    """Shows how far a run is; use as a context manager.

    Every log row prints a line with the figures of its test; the bar, which disappears when the run ends, shows those of
    training.

    budget: 0 for no limit; of several limits, whichever is reached first ends the run. start: where it begins (a resumed
    run is not at zero). stream: None takes stdout. bar: None draws one if the stream is a terminal. mute:
        show nothing.
    """

    def __init__(
        self, budget: Extent | None = None, start: Extent | None = None, *, stream: TextIO | None = None,
        bar: bool | None = None, mute: bool = False, clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        target = open(os.devnull, "w") if mute else stream or sys.stdout  # noqa: SIM115
        self.budget = tuple(limit or math.inf for limit in budget or Extent())
        self.clock, self.begin = clock, clock()
        self.now = self.first = start or Extent()
        self.rate = math.nan  # samples/s since the last update
        self.last: tuple[float, int] | None = None  # s, samples; before the first update, programs were compiled
        self.training: dict[str, str] = {}  # the latest figures of training
        self.style: dict[str, str] = {}  # the latest style reward, and how far motion is from the clips
        columns = COLUMNS if math.isfinite(min(self.budget)) else 0
        self.bar = Bar(target, columns, shown=bar, spinner=True, transient=True)

    def __enter__(self) -> Display:
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

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
        self.now = Extent(samples, minutes, iteration)
        self.style |= {name: f"{row[column]:.3f}" for column, name in STYLE.items() if column in row}
        self.training |= figures(row, "Train", errors=not logged)  # errors of a log row are those of its test
        if row and logged:
            self.message(self.text("test", figures(row, "Test")))
        if self.bar.shown:
            self.bar.update(self.fraction() or 0.0, self.text("train", self.training, self.bar.room))

    def message(self, text: str) -> None:
        """Print a line (above the bar)."""
        self.bar.print(text)

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

    def text(self, source: str, figures: Mapping[str, str], width: float = math.inf) -> str:
        """The state of the run in a line; where that is longer than `width`, fewer words, then without NARROW.

        source: of the figures, test or train.
        """
        forms = [(False, 0), *((True, leave) for leave in range(len(NARROW) + 1))]
        lines = [self._line(source, figures, brief, NARROW[:leave]) for brief, leave in forms]
        return next((line for line in lines if len(line) <= width), lines[-1])

    def _line(self, source: str, figures: Mapping[str, str], brief: bool, leave: tuple[str, ...]) -> str:
        samples, minutes, iterations = self.now
        eta = self.eta()
        parts = {
            "iteration": f"{'iter' if brief else 'iteration'} {iterations}",
            "samples": f"{short(samples)}{self._of(0, short)}{'' if brief else ' samples'}",
            "minutes": f"{minutes:.1f}{self._of(1, '{:g}'.format)} min",
            "speed": f"{short(self.rate)}/s" if math.isfinite(self.rate) else "-/s",
            "left": "" if eta is None else f"{duration(eta)} left",
        }
        shown = ", ".join(f"{label} {figures[label]}" for label in FIGURES if label in figures and label not in leave)
        parts["figures"] = f"{source}: {shown}" if shown else ""
        parts["learned"] = ", ".join(f"{n} {text}" for n, text in self.style.items() if n not in leave)
        return " | ".join(part for name, part in parts.items() if part and name not in leave)

    def _of(self, which: int, form: Callable[[float], str]) -> str:
        most = self.budget[which]
        return f"/{form(most)}" if math.isfinite(most) else ""


def figures(row: Mapping[str, Any], kind: str, errors: bool = True) -> dict[str, str]:
    """The figures of a row that a line shows, label -> text. kind: Test or Train; errors: the row's are of that kind."""
    length, total = (float(row.get(f"{kind}_{name}", math.nan)) for name in ("Episode_Length", "Return"))
    error = float(row.get("Body_Pos_Err", math.nan))
    shown = {}
    if length > 0:  # else no episode ended
        shown["episode"] = f"{length:.0f} steps"
        if math.isfinite(total):
            shown["reward/step"] = f"{total / length:.3f}"
    if errors and math.isfinite(error):
        shown["error"] = f"{error:.3f} m"
    return shown
