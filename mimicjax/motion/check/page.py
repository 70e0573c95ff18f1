"""Reports as one HTML page that needs nothing else: a table, and for each clip its figures, curves and filmstrip."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping, Sequence

from mimicjax.motion.check.report import GOOD, Report
from mimicjax.motion.check.show import summary

MOST = 200  # clips whose curves are drawn; those that are not good come first
WIDE, HIGH = 620, 90  # of a plot
STYLE = """
body{font:14px/1.5 system-ui,sans-serif;margin:2em auto;max-width:1100px;padding:0 1em;color:#222;background:#fff}
table{border-collapse:collapse;margin:.5em 0}td,th{padding:.2em .8em;text-align:left;border-bottom:1px solid #ddd}
td.n{text-align:right;font-variant-numeric:tabular-nums}.good{color:#17753b}.mendable{color:#9a5b00}.broken{color:#b3261e}
tr.beyond td{background:#fff3e0}code{background:#f2f2f2;padding:.1em .3em}details{border-top:1px solid #ddd;padding:.5em 0}
summary{cursor:pointer;font-weight:600}svg{display:block;margin:.3em 0 .8em}img{max-width:100%}small{color:#666}
"""


def page(reports: Sequence[Report], films: Mapping[str, bytes] | None = None) -> str:
    """The page's text. films: JPEG pictures by the source of the report."""
    drawn = {r.source for r in sorted(reports, key=lambda r: r.verdict == GOOD)[:MOST]}
    rows = "".join(
        f'<tr><td><a href="#c{number}">{html.escape(r.source)}</a></td><td class="{r.verdict}">{r.verdict}</td>'
        f'<td class="n">{r.seconds:.2f} s</td><td>{html.escape("; ".join(r.reasons))}</td></tr>'
        for number, r in enumerate(reports)
    )
    clips = "".join(
        _clip(number, r, r.source in drawn, (films or {}).get(r.source)) for number, r in enumerate(reports)
    )
    less = f"<p><small>Curves are drawn for {MOST} clips.</small></p>" if len(reports) > MOST else ""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Motion check</title>'
        f"<style>{STYLE}</style></head><body><h1>Motion check</h1><p>{html.escape(summary(reports))}</p>{less}"
        f"<table><tr><th>clip</th><th>verdict</th><th>length</th><th>why</th></tr>{rows}</table>{clips}</body></html>\n"
    )


def _clip(number: int, report: Report, curves: bool, film: bytes | None) -> str:
    figures = "".join(
        f'<tr class="{"beyond" if f.value > f.limit else ""}"><td>{html.escape(name)}</td><td class="n">{f.value:.2f}</td>'
        f'<td>{html.escape(f.unit)}</td><td class="n">{f.limit:g}</td><td>{html.escape(f.where)}</td></tr>'
        for name, f in report.figures.items()
    )
    parts = [f"<p>{html.escape(text)}</p>" for text in (*report.reasons, *report.notes)]
    if report.command:
        parts.append(f"<p>Mend it: <code>{html.escape(report.command)}</code></p>")
    if film:
        parts.append(f'<img alt="filmstrip" src="data:image/jpeg;base64,{base64.b64encode(film).decode()}">')
    if figures:
        head = "<tr><th>figure</th><th>value</th><th></th><th>at most</th><th>where</th></tr>"
        parts.append(f"<table>{head}{figures}</table>")
    if curves:
        parts += [_plot(name, values, report.seconds) for name, values in report.traces.items()]
    opened = "" if report.verdict == GOOD else " open"
    return (
        f'<details id="c{number}"{opened}><summary>{html.escape(report.source)}: <span class="{report.verdict}">'
        f"{report.verdict}</span></summary>{''.join(parts)}</details>"
    )


def _plot(name: str, values: Sequence[float], seconds: float) -> str:
    """One curve over time as SVG, with its lowest and highest value."""
    low, high = min(values), max(values)
    room = (high - low) or 1.0
    last = max(1, len(values) - 1)
    points = " ".join(
        f"{WIDE * i / last:.1f},{HIGH - (HIGH - 4) * (v - low) / room - 2:.1f}" for i, v in enumerate(values)
    )
    zero = HIGH - (HIGH - 4) * (0.0 - low) / room - 2
    axis = f'<line x1="0" x2="{WIDE}" y1="{zero:.1f}" y2="{zero:.1f}" stroke="#bbb"/>' if low <= 0.0 <= high else ""
    return (
        f"<small>{html.escape(name)}: {low:.3g} to {high:.3g}, over {seconds:.2f} s</small>"
        f'<svg viewBox="0 0 {WIDE} {HIGH}" width="{WIDE}" height="{HIGH}" role="img" aria-label="{html.escape(name)}">'
        f'<rect width="{WIDE}" height="{HIGH}" fill="#fafafa"/>{axis}'
        f'<polyline points="{points}" fill="none" stroke="#2b6cb0" stroke-width="1.5"/></svg>'
    )
