"""An evaluation on the screen: all figures overall, and the main ones of every clip."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

MOST_CLIPS = 30
HEADLINE = ("Completed", "Completion", "Success_0.5m", "MPJPE_Global", "MPJPE_Root", "Return_Per_Step")


def overall(data: Mapping[str, Any]) -> Table:
    """All figures over all clips, a column for every origin of episodes. data: of report.report."""
    origins: dict[str, Any] = data["overall"]
    table = Table(title="overall, 95 % confidence", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for column in ("", "", *(f"{origin} ({figures['episodes']})" for origin, figures in origins.items())):
        table.add_column(column, justify="right" if column else "left", no_wrap=True)
    for name in [key for key in origins["all"] if key != "episodes"]:
        unit = data["units"].get(name, "")
        cells = (_interval(name, figures[name]) for figures in origins.values())
        table.add_row(name, "" if unit == "share" else unit, *cells)
    return table


def per_clip(data: Mapping[str, Any]) -> Table:
    """The main figures of the MOST_CLIPS worst clips."""
    title = "per clip, the worst first"
    table = Table("clip", "episodes", *HEADLINE, title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for name in worst_first(data)[:MOST_CLIPS]:
        figures = data["clips"][name]["all"]
        table.add_row(name, str(figures["episodes"]), *(_value(key, figures[key]["value"]) for key in HEADLINE))
    return table


def worst_first(data: Mapping[str, Any]) -> list[str]:
    """Names of the clips: those of which least is completed, and among equals those with the largest error."""

    def merit(name: str) -> tuple[float, float]:
        figures = data["clips"][name]["all"]
        error = figures["MPJPE_Global"]["value"]
        return figures["Completion"]["value"], -math.inf if error is None else -error  # an error that is not finite

    return sorted(data["clips"], key=merit)


def _interval(name: str, estimate: Mapping[str, Any]) -> str:
    value, low, high = (estimate[key] for key in ("value", "low", "high"))
    if low is None:
        return _value(name, value)
    if _is_share(name):
        return f"{_value(name, value)} [{100 * low:.0f}, {100 * high:.0f}]"
    half = (high - low) / 2
    return f"{_value(name, value)} ± " + (f"{100 * half:.1f}" if name == "Completion" else f"{half:.2g}")


def _value(name: str, value: float | None) -> str:
    if value is None:
        return "-"
    return f"{100 * value:.1f} %" if _is_share(name) or name == "Completion" else f"{value:.4g}"


def _is_share(name: str) -> bool:
    return name in ("Completed", "Fell", "Strayed") or name.startswith("Success")
