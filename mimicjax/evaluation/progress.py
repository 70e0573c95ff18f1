"""How far a sweep of pushes or a film is: a bar on a terminal, a plain line now and then anywhere else."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from typing import TextIO, TypeVar

from mimicjax.bar import Bar
from mimicjax.text import duration, short

COLUMNS = 24  # of the bar
EVERY = 10.0  # s from one plain line to the next
T = TypeVar("T")


class Progress:
    """Shows how much of some work is done; use as a context manager.

    total: size of the work in `unit`, all parts together. parts: how many are done one after the other. steps: of a part.
    """

    def __init__(
        self, total: int, parts: int, steps: int, stream: TextIO, unit: str = "control steps",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self.total, self.parts, self.steps, self.unit, self.clock = total, parts, steps, unit, clock
        self.begin = self.last = clock()
        self.said = False
        self.bar = Bar(stream, COLUMNS)

    def __enter__(self) -> Progress:
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def update(self, part: int, done: int) -> None:
        """Tell that `done` steps of part `part` are over."""
        now = self.clock()
        share = (part + done / self.steps) / self.parts
        text = self.text(share, now - self.begin, part)
        if self.bar.shown:
            self.bar.update(share, text)
        elif not self.said or now - self.last >= EVERY or share >= 1.0:
            self.bar.print(text)
            self.last, self.said = now, True

    def text(self, share: float, seconds: float, part: int) -> str:
        """The state in a line."""
        left = seconds * (1.0 - share) / max(share, 1e-9)
        where = f"part {part + 1} of {self.parts}, " if self.parts > 1 else ""
        rate = share * self.total / max(seconds, 1e-9)
        ending = f"{duration(left)} left" if share < 1.0 else f"took {duration(seconds)}"
        return f"{where}{100 * share:.0f} % of {short(self.total)} {self.unit}, {short(rate)}/s, {ending}"


def watched(items: Collection[T], unit: str, stream: TextIO) -> Iterator[T]:
    """The items, with the share of them that is done shown as they are asked for."""
    with Progress(len(items), 1, len(items), stream, unit) as bar:
        for done, item in enumerate(items, start=1):
            yield item
            bar.update(0, done)
