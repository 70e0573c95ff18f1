"""Pictures of a push sweep: survival over direction and level for a body, and the 50 % impulse around the robot."""

from __future__ import annotations

import textwrap
from collections.abc import Container, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mimicjax.draw import figure
from mimicjax.evaluation.push.cells import HEADINGS
from mimicjax.evaluation.push.fit import Fit
from mimicjax.evaluation.push.report import ALL_HEADINGS, Key, Sweep

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ORDER = (*HEADINGS, "up", "down", "roll+", "roll-", "pitch+", "pitch-", "yaw+", "yaw-")
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")  # told apart by colour-blind people too
NONE = "#d9d9d9"  # no episode
Panel = tuple[str, float | None, str]  # kind, duration, unit
Grid = tuple[list[str], list[float], np.ndarray, np.ndarray | None]


def draw(out: Path, stem: str, sweeps: Sequence[Sweep]) -> list[Path]:
    """Draw a heat map for every body and the polar plots; gives the files, each written whole or not at all."""
    bodies = list(dict.fromkeys(cell["body"] for cell in sweeps[0].cells))
    sheets = {f"{stem}-heat-{body}.png": heat(sweeps, body) for body in bodies}
    for unit, ending in (("N s", ""), ("N", "-sustained")):
        rings = polar(sweeps, unit)
        if rings is not None:
            sheets[f"{stem}-polar{ending}.png"] = rings
    for name, sheet in sheets.items():
        figure.write(sheet, out / name, dpi=110)
    return [out / name for name in sheets]


def _fold(title: str, sheet: Figure) -> str:
    """A title in lines that are no wider than the figure."""
    return textwrap.fill(title, int(11 * sheet.get_figwidth()))


def heat(sweeps: Sequence[Sweep], body: str) -> Figure:
    """Survival of pushes on a body: directions down, levels across; a column a duration, a row a run (and the difference)."""
    cells = [cell for cell in sweeps[0].cells if cell["body"] == body]
    panels = sorted({_panel(cell) for cell in cells}, key=lambda p: (p[0], p[1] is None, p[1] or 0.0))
    kinds = list(dict.fromkeys(panel[0] for panel in panels))
    across = max(sum(panel[0] == kind for panel in panels) for kind in kinds)
    down = len(sweeps) if len(sweeps) == 1 else 3
    tall = {kind: max(len(_grid(sweeps[0], body, p)[0]) for p in panels if p[0] == kind) for kind in kinds}
    heights = [0.4 * tall[kind] + 1.0 for kind in kinds for _ in range(down)]
    sheet = figure.make(max(5.5, 4.4 * across + 0.6), sum(heights) + 0.5)
    axes = sheet.subplots(len(heights), across, squeeze=False, height_ratios=heights)
    for axis in axes.flat:
        axis.set_visible(False)
    for k, kind in enumerate(kinds):
        for column, panel in enumerate(p for p in panels if p[0] == kind):
            grids = [_grid(sweep, body, panel) for sweep in sweeps]
            for row, (sweep, grid) in enumerate(zip(sweeps, grids, strict=True)):
                _map(axes[k * down + row, column], grid, panel, sweep.label if down > 1 else "", False)
            if down > 1:
                gap = *grids[0][:2], grids[1][2] - grids[0][2], None
                _map(axes[k * down + 2, column], gap, panel, "second − first", True)
    _scales(sheet, axes, down > 1)
    name = f"{sweeps[0].label}, {body}" if len(sweeps) == 1 else body
    about = f"survival in %, 95 % interval; {cells[0]['episodes']} episodes a cell"
    sheet.suptitle(f"{_fold(name, sheet)}\n{about}", fontsize=11)
    return sheet


def _panel(cell: dict[str, Any]) -> Panel:
    return cell["kind"], cell["duration"], cell["unit"]


def _scales(sheet: Figure, axes: Any, gap: bool) -> None:
    """The colour scales: of survival, and of the difference of two runs."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    size: dict[str, Any] = {"shrink": 0.9, "aspect": 30, "pad": 0.01}
    bars = [("viridis", 0, "survival, %")] + ([("PuOr", -100, "difference, % points")] if gap else [])
    for name, low, label in bars:
        bar = sheet.colorbar(ScalarMappable(Normalize(low, 100), name), ax=axes, **size)
        bar.set_label(label, fontsize=8)
        bar.ax.tick_params(labelsize=7)


def _grid(sweep: Sweep, body: str, panel: Panel) -> Grid:
    """Directions, levels, survival [directions, levels] and its interval [2, directions, levels] in %; NaN: no episode."""
    cells = [cell for cell in sweep.cells if cell["body"] == body and _panel(cell) == panel]
    directions = [name for name in ORDER if any(cell["direction"] == name for cell in cells)]
    levels = sorted({cell["level"] for cell in cells})
    grid = np.full((3, len(directions), len(levels)), np.nan)
    for cell in cells:
        place = directions.index(cell["direction"]), levels.index(cell["level"])
        for layer, name in enumerate(("value", "low", "high")):
            value = cell["survival"][name]
            grid[layer, *place] = np.nan if value is None else 100.0 * value
    return directions, levels, grid[0], grid[1:]


def _map(axis: Any, grid: Grid, panel: Panel, label: str, gap: bool) -> None:
    from matplotlib import colormaps

    directions, levels, values, interval = grid
    kind, duration, unit = panel
    axis.set_visible(True)
    colours = colormaps["PuOr" if gap else "viridis"].with_extremes(bad=NONE)
    axis.imshow(values, aspect="auto", cmap=colours, vmin=-100 if gap else 0, vmax=100)
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            dark = abs(value) > 60 if gap else value < 55
            style = {"ha": "center", "va": "center", "color": "white" if dark else "black"}
            word = f"{value:+.0f}" if gap and round(value) else f"{value:.0f}"
            axis.text(column, row - (0.0 if interval is None else 0.14), word, fontsize=8, **style)
            if interval is not None:
                low, high = interval[:, row, column]
                axis.text(column, row + 0.26, f"{low:.0f}–{high:.0f}", fontsize=5.5, **style)
    axis.set_xticks(range(len(levels)), [f"{level:g}" for level in levels], fontsize=8)
    axis.set_yticks(range(len(directions)), [name.replace("_", " ") for name in directions], fontsize=8)
    name = {"N s": "impulse", "N m s": "angular impulse"}.get(unit, kind)
    axis.set_xlabel(f"{name}, {unit}", fontsize=9)
    how = f"{kind} for {duration:g} s" if duration else f"steady {kind}"
    axis.set_title(f"{label + ': ' if label else ''}{how}", fontsize=9)


def polar(sweeps: Sequence[Sweep], unit: str) -> Figure | None:
    """The level of horizontal pushes that half survive, around the robot seen from above; a panel for every body.

    Bands are 95 % intervals; hollow triangles: more than the highest level tried. None if there is nothing to draw.
    """
    keys = [k for k in sweeps[0].fits if k.unit == unit and k.direction in HEADINGS]
    bodies = list(dict.fromkeys(k.body for k in keys))
    if not bodies:
        return None
    across = min(4, len(bodies))
    down = -(-len(bodies) // across)
    sheet = figure.make(max(6.0, 3.9 * across), 4.3 * down + 0.7)
    grid = sheet.subplots(down, across, squeeze=False, subplot_kw={"projection": "polar"})
    durations = sorted({k.duration or 0.0 for k in keys})
    for axis, body in zip(grid.flat, bodies, strict=False):
        for s, sweep in enumerate(sweeps):
            for d, duration in enumerate(durations):
                # one colour a duration; where two runs are compared, one a run, and durations differ in line style
                colour = COLOURS[(d if len(sweeps) == 1 else s) % len(COLOURS)]
                _ring(axis, sweep, [k for k in keys if k.body == body and (k.duration or 0.0) == duration],
                      _label(sweep, duration, len(sweeps), unit), colour, "-" if d == 0 else "--" if d == 1 else ":")  # fmt: skip
        _compass(axis, body, unit, {k.direction for k in keys if k.body == body})
    for axis in grid.flat[len(bodies) :]:
        axis.set_visible(False)
    handles, labels = grid.flat[0].get_legend_handles_labels()
    sheet.legend(handles, labels, loc="outside lower center", ncols=3 if len(sweeps) == 1 else 2, fontsize=8)
    what = "impulse" if unit == "N s" else "steady force"
    name = f"{sweeps[0].label}: " if len(sweeps) == 1 else ""
    few = len({(k.body, k.direction) for k in keys}) < len(HEADINGS) * len(bodies)
    note = "\nonly the named directions were measured; lines between them guide the eye" if few else ""
    title = _fold(f"{name}{what} that half survive, {unit}", sheet)
    sheet.suptitle(f"{title}\nby where it drives the robot; band: 95 %{note}", fontsize=10)
    return sheet


def _label(sweep: Sweep, duration: float, runs: int, unit: str) -> str:
    how = f"{duration:g} s" if unit == "N s" else "steady"
    return f"{sweep.label}, {how}" if runs > 1 else how


def _compass(axis: Any, body: str, unit: str, measured: Container[str]) -> None:
    axis.set_theta_zero_location("N")  # the robot looks up the page; angles go anticlockwise, to its left
    names = [name.replace("_", "\n") if name in measured else "" for name in HEADINGS]
    axis.set_thetagrids(np.arange(0, 360, 45), names, fontsize=7)
    axis.set_rlim(0.0, None)
    axis.set_rlabel_position(22.5)
    axis.tick_params(axis="y", labelsize=7)
    axis.set_title(f"{body}, {unit}", fontsize=9)
    axis.grid(alpha=0.4)


def _ring(axis: Any, sweep: Sweep, keys: Sequence[Key], label: str, colour: str, style: str) -> None:
    """One closed line with its band; directions in the order of HEADINGS."""
    fits = {k.direction: sweep.fits[k] for k in keys if k in sweep.fits and k.direction != ALL_HEADINGS}
    names = [name for name in HEADINGS if name in fits]
    if not names:
        return
    angle = np.array([np.pi / 4 * HEADINGS.index(name) for name in names])
    value, low, high = np.array([_radii(fits[name]) for name in names]).T
    ring = [*range(len(names)), 0] if len(names) > 2 else list(range(len(names)))
    axis.plot(angle[ring], value[ring], style, color=colour, marker="o", markersize=3, linewidth=1.4, label=label)
    axis.fill_between(angle[ring], low[ring], high[ring], color=colour, alpha=0.15, linewidth=0)
    beyond = np.array([fits[name].at[0.5].beyond == "above" for name in names])
    axis.plot(angle[beyond], value[beyond], "^", color=colour, markerfacecolor="white", markersize=7)


def _radii(fit: Fit) -> tuple[float, float, float]:
    """Value, low and high of the 50 % level, cut to the levels tried."""
    at, lowest, highest = fit.at[0.5], float(fit.levels[0]), float(fit.levels[-1])
    value = at.value if at.value is not None else highest if at.beyond == "above" else lowest
    return value, lowest if at.low is None else at.low, highest if at.high is None else at.high
