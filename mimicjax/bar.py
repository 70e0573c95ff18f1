"""A progress bar on a terminal; plain lines anywhere else."""

from __future__ import annotations

from typing import Any, TextIO


class Bar:
    """A bar with a line of text beside it; show it with start, and call stop at the end."""

    def __init__(
        self, stream: TextIO, columns: int, *, shown: bool | None = None, spinner: bool = False, transient: bool = False
    ) -> None:
        """columns: of the bar itself, 0 for text alone. shown: None shows it if the stream is a terminal.

        transient: nothing of it stays when it is closed.
        """
        self.shown = stream.isatty() if shown is None else shown
        self._stream, self._margin = stream, (2 if spinner else 0) + (columns + 1 if columns else 0)
        self._progress: Any = _progress(stream, columns, spinner, transient) if self.shown else None

    @property
    def room(self) -> int:
        """Columns of the terminal that are left for the text."""
        return self._progress.console.width - self._margin

    @property
    def share(self) -> float:
        """How much of the bar is filled, 0 to 1."""
        return self._progress.tasks[0].completed

    def update(self, share: float, text: str) -> None:
        """Fill the bar to a share, 0 to 1, and say how things are."""
        self._progress.update(self._progress.tasks[0].id, completed=share, description=text)
        self._progress.refresh()

    def print(self, text: str) -> None:
        """Print a line, above the bar if it is shown."""
        if self.shown:
            self._progress.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            print(text, file=self._stream, flush=True)

    def start(self) -> None:
        """Show the bar, if it is to be shown."""
        if self.shown:
            self._progress.start()

    def stop(self) -> None:
        """Leave the bar as it is, or take it away if it is transient."""
        if self.shown:
            self._progress.stop()


def _progress(stream: TextIO, columns: int, spinner: bool, transient: bool) -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, TextColumn

    cells: list[ProgressColumn] = [SpinnerColumn()] if spinner else []
    cells += [BarColumn(bar_width=columns)] if columns else []
    cells.append(TextColumn("{task.description}", markup=False))
    console = Console(file=stream, force_terminal=True)
    progress = Progress(*cells, console=console, auto_refresh=False, transient=transient)
    progress.add_task("starting", total=1.0)
    return progress
