# SPDX-License-Identifier: Apache-2.0
"""Charts as inline SVG: lines and stacked areas on two axes. No script, no style of its own but class names.

Colours are names of CSS variables of the page, so that one drawing fits a light and a dark page. Every chart has a
title and a description for those who do not see it; the numbers stand in tables beside it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from umslab.printable import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Point = tuple[float, float]

LEFT, RIGHT, TOP, BOTTOM = 64, 18, 36, 38
_LABEL_ROOM = 84
"""Between two marks that have their words in one row."""
_ROWS = ((TOP - 6, 0.0), (TOP - 20, 160.0))
"""Of the words of marks: how far down, and from where on; the label of the y axis stands beside the upper one."""


@dataclass(frozen=True, slots=True)
class Axis:
    """From `low` to `high`, evenly or by powers of ten."""

    low: float
    high: float
    ticks: Sequence[tuple[float, str]]
    label: str = ""
    log: bool = False

    def place(self, value: float) -> float:
        """Where a value is: 0 at the low end, 1 at the high one; what is outside is at the end."""
        low, high = self.low, self.high
        value = min(max(value, low), high)
        if self.log:
            return math.log(value / low) / math.log(high / low)
        return (value - low) / (high - low)


@dataclass(frozen=True, slots=True)
class Line:
    """One line, or one layer of a stack."""

    name: str
    colour: str
    points: Sequence[Point]
    dash: str = ""
    """As SVG writes it: `6 4`."""
    heavy: bool = False


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment with a name."""

    at: float
    name: str


@dataclass(frozen=True, slots=True)
class Frame:
    """What a chart is drawn into."""

    title: str
    description: str
    x: Axis
    y: Axis
    width: int = 960
    height: int = 290

    def path(self, points: Sequence[Point]) -> list[str]:
        """Where points are, without those in the middle of a level run."""
        places = [(f"{self.across(x):.1f}", f"{self.down(y):.1f}") for x, y in points]
        inner = zip(places, places[1:], places[2:], strict=False)
        turns = [here for before, here, after in inner if not before[1] == here[1] == after[1]]
        return [f"{x},{y}" for x, y in (*places[:1], *turns, *places[1:][-1:])]

    def across(self, x: float) -> float:
        """Pixels from the left."""
        return LEFT + self.x.place(x) * (self.width - LEFT - RIGHT)

    def down(self, y: float) -> float:
        """Pixels from the top."""
        return self.height - BOTTOM - self.y.place(y) * (self.height - TOP - BOTTOM)


@dataclass(frozen=True, slots=True)
class Figure:
    """A chart with what its colours mean."""

    frame: Frame
    chart: str
    """The drawing, as `line_chart` or `stacked_chart` returns it."""
    lines: Sequence[Line]
    filled: bool = False
    """The lines are layers."""

    def html(self) -> str:
        """For the page."""
        return f'<figure>{legend(self.lines, filled=self.filled)}<div class="scroll">{self.chart}</div></figure>'


def linear_axis(high: float, words: Callable[[float], str], label: str = "", *, ticks: int = 5) -> Axis:
    """An axis from 0 to at least `high`, with round numbers."""
    step = _round_step(max(high, 1e-9) / ticks)
    count = max(1, math.ceil(high / step - 1e-9))
    return Axis(0.0, step * count, [(step * n, words(step * n)) for n in range(count + 1)], label)


def time_axis(seconds: float) -> Axis:
    """The time of a run, from its start."""
    step = next((one for one in _TIME_STEPS if seconds / one <= 10), _TIME_STEPS[-1])
    if seconds / step > 10:
        step = _round_step(seconds / 8)
    count = max(1, math.floor(seconds / step + 1e-9))
    words = _clock if step >= 1 else (lambda at: f"{at:g}")
    return Axis(0.0, max(seconds, step), [(step * n, words(step * n)) for n in range(count + 1)], "time of the run")


def log_axis(low: float, high: float, words: Callable[[float], str], label: str = "") -> Axis:
    """Powers of ten around `low` to `high`, both above 0."""
    first, last = math.floor(math.log10(low) + 1e-9), math.ceil(math.log10(high) - 1e-9)
    last = max(last, first + 1)
    ticks = [(10.0**power, words(10.0**power)) for power in range(first, last + 1)]
    return Axis(10.0**first, 10.0**last, ticks, label, log=True)


def nines_axis(nines: float) -> Axis:
    """Percentiles by how rare the rest is: 0, 90, 99, 99.9 % are equally far apart. Its values are from `nines_of`."""
    known = [(0.0, "0 %"), (nines_of(50), "50 %"), (1.0, "90 %"), (2.0, "99 %"), (3.0, "99.9 %"), (4.0, "99.99 %")]
    high = max(nines, 1.0)
    return Axis(0.0, high, [tick for tick in known if tick[0] <= high], "percentile")


def nines_of(percent: float) -> float:
    """How many nines a percentile below 100 has."""
    return -math.log10(1 - percent / 100)


def line_chart(frame: Frame, lines: Sequence[Line], marks: Sequence[Mark] = ()) -> str:
    """Draw lines."""
    drawn = []
    for line in lines:
        if line.points:
            path = " ".join(frame.path(line.points))
            dash = f";stroke-dasharray:{line.dash}" if line.dash else ""
            weight = "heavy" if line.heavy else "line"
            drawn.append(f'<polyline class="{weight}" style="stroke:var(--{line.colour}){dash}" points="{path}"/>')
    return _chart(frame, drawn, marks)


def stacked_chart(frame: Frame, layers: Sequence[Line], marks: Sequence[Mark] = ()) -> str:
    """Draw layers on each other, the first at the bottom; all have points at the same places."""
    base = [0.0] * len(layers[0].points) if layers else []
    drawn = []
    for layer in layers:
        top = [below + y for below, (_, y) in zip(base, layer.points, strict=True)]
        if any(y for _, y in layer.points):
            places = [x for x, _ in layer.points]
            there = frame.path(list(zip(places, top, strict=True)))
            back = frame.path(list(zip(reversed(places), reversed(base), strict=True)))
            drawn.append(
                f'<polygon class="layer" style="fill:var(--{layer.colour})" points="{" ".join(there + back)}"/>'
            )
        base = top
    return _chart(frame, drawn, marks)


def legend(lines: Sequence[Line], *, filled: bool = False) -> str:
    """What the colours mean, as a list."""
    items = []
    for line in lines:
        width, drawn = swatch_width(filled=filled), swatch(line, filled=filled)
        picture = f'<svg width="{width}" height="12" aria-hidden="true">{drawn}</svg>'
        items.append(f"<li>{picture}{_text(line.name)}</li>")
    return f'<ul class="legend">{"".join(items)}</ul>'


def swatch(line: Line, *, filled: bool) -> str:
    """A piece of a line or a layer, 12 pixels high."""
    if filled:
        return f'<rect width="14" height="10" y="1" rx="2" style="fill:var(--{line.colour})"/>'
    dash = f";stroke-dasharray:{line.dash}" if line.dash else ""
    width = 3.5 if line.heavy else 2
    return f'<path d="M0 6H26" style="stroke:var(--{line.colour});stroke-width:{width}{dash}"/>'


def swatch_width(*, filled: bool) -> int:
    """Its pixels."""
    return 14 if filled else 26


def stairs(values: Sequence[float], width: float) -> list[Point]:
    """Points of a stair: each value holds for one `width`, the first from 0."""
    points = []
    for place, value in enumerate(values):
        points += [(place * width, float(value)), ((place + 1) * width, float(value))]
    return points


def _text(text: str) -> str:
    """Whatever it is, as text; also in an attribute."""
    return escape(printable(text))


def _chart(frame: Frame, drawn: Sequence[str], marks: Sequence[Mark]) -> str:
    inside = [*_grid(frame), *drawn, *_marks(frame, marks)]
    return (
        f'<svg class="chart" viewBox="0 0 {frame.width} {frame.height}" height="{frame.height}" role="img" '
        f'aria-label="{_text(f"{frame.title}: {frame.description}")}">'
        f"<title>{_text(frame.title)}</title>{''.join(inside)}</svg>"
    )


def _grid(frame: Frame) -> list[str]:
    left, right, bottom = LEFT, frame.width - RIGHT, frame.height - BOTTOM
    parts = []
    for value, words in frame.y.ticks:
        y = frame.down(value)
        parts.append(f'<path class="grid" d="M{left} {y:.1f}H{right}"/>')
        parts.append(f'<text class="tick" x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{_text(words)}</text>')
    for value, words in frame.x.ticks:
        x = frame.across(value)
        parts.append(f'<path class="notch" d="M{x:.1f} {bottom}v5"/>')
        anchor = "end" if x > right - 14 else "middle"
        parts.append(f'<text class="tick" x="{x:.1f}" y="{bottom + 18}" text-anchor="{anchor}">{_text(words)}</text>')
    parts.append(f'<path class="base" d="M{left} {bottom}H{right}"/>')
    parts.append(f'<text class="axis" x="{left - 56}" y="11">{_text(frame.y.label)}</text>')
    parts.append(
        f'<text class="axis" x="{right}" y="{frame.height - 4}" text-anchor="end">{_text(frame.x.label)}</text>'
    )
    return parts


def _marks(frame: Frame, marks: Sequence[Mark]) -> list[str]:
    parts = []
    right = frame.width - RIGHT
    free = [begins for _, begins in _ROWS]
    for mark in marks:
        x, name = frame.across(mark.at), _text(mark.name)
        line = f"M{x:.1f} {TOP - 2}V{frame.height - BOTTOM}"
        parts.append(f'<path class="mark" d="{line}"><title>{name}</title></path>')
        at_end = x > right - _LABEL_ROOM
        begins = x - _LABEL_ROOM if at_end else x
        row = next((row for row, _ in enumerate(_ROWS) if begins >= free[row]), None)
        if row is not None:
            anchor = ' text-anchor="end"' if at_end else ""
            words = _text(_short(mark.name))
            parts.append(f'<text class="mark-name" x="{x:.1f}" y="{_ROWS[row][0]}"{anchor}>{words}</text>')
            free[row] = begins + _LABEL_ROOM
    return parts


def _short(name: str) -> str:
    return name if len(name) <= 14 else name[:13] + "…"


def _round_step(least: float) -> float:
    """The next of 1, 2, 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(one * power for one in (1, 2, 5, 10) if one * power >= least * (1 - 1e-9))


_TIME_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)


def _clock(seconds: float) -> str:
    """A moment of a run: `45 s`, `3:20`, `2:00:00`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes}:{rest:02}"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
