"""A progress bar on a terminal."""

from __future__ import annotations

from typing import Any, TextIO


class Bar:
    """A bar with a line of text beside it; use with `with`."""

    def __init__(self, stream: TextIO, columns: int, *, spinner: bool = False, transient: bool = False) -> None:
        """columns: of the bar itself, 0 for text alone. transient: nothing of it stays when it is closed."""
        from rich.console import Console
        from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, TextColumn

        cells: list[ProgressColumn] = [SpinnerColumn()] if spinner else []
        cells += [BarColumn(bar_width=columns)] if columns else []
        self._console = Console(file=stream, force_terminal=True)
        self._progress: Any = Progress(
            *cells, TextColumn("{task.description}", markup=False), console=self._console, auto_refresh=False,
            transient=transient,
        )  # fmt: skip
        self._margin = (2 if spinner else 0) + (columns + 1 if columns else 0)
        self._task = self._progress.add_task("starting", total=1.0)

    @property
    def room(self) -> int:
        """Columns of the terminal that are left for the text."""
        return self._console.width - self._margin

    @property
    def share(self) -> float:
        """How much of the bar is filled, 0 to 1."""
        return self._progress.tasks[0].completed

    def update(self, share: float, text: str) -> None:
        """Fill the bar to a share, 0 to 1, and say how things are."""
        self._progress.update(self._task, completed=share, description=text)
        self._progress.refresh()

    def print(self, text: str) -> None:
        """Print a line above the bar."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def __enter__(self) -> Bar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()
