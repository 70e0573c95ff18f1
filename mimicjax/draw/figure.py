"""Figures of matplotlib without pyplot, which would choose a window system."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mimicjax.errors import UserError
from mimicjax.files import replace_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def make(width: float, height: float) -> Figure:
    """An empty figure of a size in inches, whose parts keep clear of each other."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def write(figure: Figure, path: Path, dpi: int) -> None:
    """Write a figure as a picture, whole or not at all. Raises UserError."""
    try:
        replace_file(path, lambda half: figure.savefig(half, dpi=dpi))
    except OSError as problem:
        raise UserError(f"{path}: cannot be written: {problem.strerror or problem}") from problem
