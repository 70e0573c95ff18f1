"""How far a sweep is: a bar on a terminal, a plain line now and then anywhere else; and how much memory is free."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

import jax

from mimicjax.run.display import duration, short

EVERY = 10.0  # s from one plain line to the next


class Progress:
    """Shows a sweep's progress; use as a context manager. episodes: of all parts together; steps: control steps of each."""

    def __init__(
        self, episodes: int, parts: int, steps: int, dt: float, stream: TextIO,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self.parts, self.steps, self.stream, self.clock = parts, steps, stream, clock
        self.all = episodes * steps  # control steps
        self.begin = self.last = clock()
        self.said = False
        self.bar = self._make_bar() if stream.isatty() else None

    def _make_bar(self) -> Any:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        columns = [BarColumn(bar_width=24), TextColumn("{task.description}", markup=False)]
        progress = Progress(*columns, console=Console(file=self.stream, force_terminal=True), auto_refresh=False)
        self.task = progress.add_task("starting", total=1.0)
        return progress

    def __enter__(self) -> Progress:
        if self.bar:
            self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar:
            self.bar.stop()

    def update(self, part: int, done: int) -> None:
        """Tell that `done` control steps of part `part` are over."""
        now = self.clock()
        share = (part + done / self.steps) / self.parts
        text = self.text(share, now - self.begin, part)
        if self.bar:
            self.bar.update(self.task, completed=share, description=text)
            self.bar.refresh()
        elif not self.said or now - self.last >= EVERY or share >= 1.0:
            print(text, file=self.stream, flush=True)
            self.last, self.said = now, True

    def text(self, share: float, seconds: float, part: int) -> str:
        """The state in a line."""
        left = seconds * (1.0 - share) / max(share, 1e-9)
        where = f"part {part + 1} of {self.parts}, " if self.parts > 1 else ""
        rate = share * self.all / max(seconds, 1e-9)
        ending = f"{duration(left)} left" if share < 1.0 else f"took {duration(seconds)}"
        return f"{where}{100 * share:.0f} % of {short(self.all)} control steps, {short(rate)}/s, {ending}"


def free_memory() -> int:
    """Bytes free where jax computes: on the accelerator, or in the computer's memory; 0 where nobody tells."""
    device = jax.devices()[0]
    stats = device.memory_stats() if device.platform != "cpu" else None
    if stats and "bytes_limit" in stats:
        return int(stats["bytes_limit"]) - int(stats.get("bytes_in_use", 0))
    try:  # what caches hold is free too, which sysconf does not know
        found = re.search(r"^MemAvailable:\s*(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE)
        return int(found[1]) * 1024 if found else os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return 0
