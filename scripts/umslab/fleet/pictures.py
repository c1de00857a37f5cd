# SPDX-License-Identifier: Apache-2.0
"""The charts of a run as SVG files of their own, for documents: each with its title, its key and its colours."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from umslab.fleet.charts import RIGHT, swatch, swatch_width
from umslab.fleet.drawings import arrivals_over_time, devices_over_time, failures_over_time, latency_curves
from umslab.fleet.page_style import CHART_STYLE, COLOURS
from umslab.fleet.report_files import write_output
from umslab.printable import printable
from umslab_agent.fleet.report import ReportError

if TYPE_CHECKING:
    from pathlib import Path

    from umslab.fleet.charts import Figure
    from umslab_agent.fleet.report import RunReport

_MARGIN, _TITLE, _ROW = 16, 34, 20
_CHARACTER = 8.0
"""Pixels that a character of the key takes at most, on average; the fonts of readers differ."""


def pictures(report: RunReport) -> dict[str, str]:
    """Return the charts of a run that has the numbers for them: a short name and the SVG of each."""
    measured = report.measured
    figures = {
        "devices": devices_over_time(measured),
        "arrivals": arrivals_over_time(measured),
        "latency": latency_curves(measured),
        "failures": failures_over_time(measured),
    }
    name = report.plan.scenario
    return {what: picture(figure, f"{name}: {figure.frame.title}") for what, figure in figures.items() if figure}


def write_pictures(report: RunReport, folder: Path, name: str) -> list[Path]:
    """Write them as `NAME-WHAT.svg`; return the files. Raises `ReportError`."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ReportError(f"{folder} cannot be made: {error.strerror or error}") from None
    files = []
    for what, svg in pictures(report).items():
        files.append(folder / f"{name}-{what}.svg")
        write_output(files[-1], svg.encode())
    return files


def picture(figure: Figure, title: str) -> str:
    """Return one chart as a document of its own, light or dark as its reader's setting is."""
    frame = figure.frame
    key, rows = _key(figure)
    top = _TITLE + rows * _ROW + 8
    width, height = frame.width + _MARGIN, top + frame.height + _MARGIN // 2
    chart = figure.chart.replace("<svg ", f'<svg x="{_MARGIN // 2}" y="{top}" width="{frame.width}" ', 1)
    told = escape(printable(title))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
        f"<title>{told}</title><style>{COLOURS}{CHART_STYLE}{_STYLE}</style>"
        f'<rect class="paper" width="{width}" height="{height}" rx="8"/>'
        f'<text class="title" x="{_MARGIN}" y="24">{told}</text>{key}{chart}</svg>\n'
    )


def _key(figure: Figure) -> tuple[str, int]:
    """What the colours mean, in as many rows as it takes; and how many these are."""
    parts = []
    room, swatches = figure.frame.width - RIGHT, swatch_width(filled=figure.filled)
    x, row = float(_MARGIN), 0
    for line in figure.lines:
        name = printable(line.name)
        takes = swatches + 8 + len(name) * _CHARACTER
        if x + takes > room and x > _MARGIN:
            x, row = float(_MARGIN), row + 1
        y = _TITLE + row * _ROW
        parts.append(
            f'<g transform="translate({x:.0f} {y + 1})">{swatch(line, filled=figure.filled)}</g>'
            f'<text class="key" x="{x + swatches + 8:.0f}" y="{y + 11}">{escape(name)}</text>'
        )
        x += takes + 18
    return "".join(parts), row + 1


_STYLE = """
.paper { fill: var(--card); stroke: var(--rule); }
.title { font: 600 16px system-ui, sans-serif; fill: var(--ink); }
.key { font: 13px system-ui, sans-serif; fill: var(--ink); }
path { fill: none; }
"""
