# SPDX-License-Identifier: Apache-2.0
"""Charts are well-formed SVG with round numbers beside them, and points where they belong."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from umslab.fleet.charts import (
    Axis,
    Frame,
    Line,
    Mark,
    legend,
    line_chart,
    linear_axis,
    log_axis,
    nines_axis,
    nines_of,
    stacked_chart,
    stairs,
    time_axis,
)

HOSTILE = '<script>alert("1")</script>&'


def _frame(x: Axis | None = None, y: Axis | None = None) -> Frame:
    return Frame("Title", "what it shows", x or time_axis(10.0), y or linear_axis(4.0, str), width=200, height=100)


def _words(axis: Axis) -> list[str]:
    return [words for _, words in axis.ticks]


def test_linear_axes() -> None:
    """From 0 in steps of 1, 2 or 5, and not below what is to be shown."""
    axis = linear_axis(3_000, lambda value: f"{value:g}")

    assert ["0", "1000", "2000", "3000"] == _words(axis)
    assert (0.0, 0.5, 1.0, 1.0) == tuple(axis.place(value) for value in (0, 1_500, 3_000, 9_999))


@given(st.floats(1e-6, 1e12))
@settings(deadline=None, max_examples=50)
def test_any_linear_axis(high: float) -> None:
    """Reaches what it is to show, with few ticks."""
    axis = linear_axis(high, str)

    assert axis.high >= high * (1 - 1e-9)
    assert 2 <= len(axis.ticks) <= 7


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.5, ["0", "0.1", "0.2", "0.3", "0.4", "0.5"]),
        (60, ["0 s", "10 s", "20 s", "30 s", "40 s", "50 s", "1:00"]),
        (7_200, ["0 s", "15:00", "30:00", "45:00", "1:00:00", "1:15:00", "1:30:00", "1:45:00", "2:00:00"]),
    ],
)
def test_time_axes(seconds: float, words: list[str]) -> None:
    """As clocks count."""
    assert words == _words(time_axis(seconds))


@given(st.floats(1e-3, 1e9))
@settings(deadline=None, max_examples=50)
def test_any_time_axis(seconds: float) -> None:
    """A run of a moment and one of thirty years have few ticks."""
    assert 2 <= len(time_axis(seconds).ticks) <= 12


def test_logarithmic_axes() -> None:
    """Whole powers of ten; percentiles by their nines."""
    assert ["0.01", "0.1", "1", "10"] == _words(log_axis(0.02, 5.0, lambda value: f"{value:g}"))
    assert 0.5 == pytest.approx(Axis(0.01, 1.0, [], log=True).place(0.1))
    assert 2 == len(log_axis(1.0, 1.0, str).ticks)
    assert ["0 %", "50 %", "90 %", "99 %"] == _words(nines_axis(2.5))
    assert [0.0, 1.0, 3.0] == pytest.approx([nines_of(percent) for percent in (0, 90, 99.9)])


def test_lines_are_where_they_belong() -> None:
    """A line from corner to corner, a dash, a mark with its name, and the description for those who do not see it."""
    line = Line("a", "red", [(0, 0), (10, 4)], "5 4", heavy=True)
    drawing = ET.fromstring(line_chart(_frame(), [line], [Mark(2.0, "storm")]))  # noqa: S314 - our own
    (polyline,) = drawing.iter("polyline")

    assert "64.0,62.0 182.0,36.0" == polyline.get("points")
    assert "stroke:var(--red);stroke-dasharray:5 4" == polyline.get("style")
    assert "Title: what it shows" == drawing.get("aria-label")
    assert "storm" in [text.text for text in drawing.iter("text")]


def test_layers_stand_on_each_other() -> None:
    """The second begins where the first ends; a layer of nothing is not drawn."""
    layers = [Line(name, name, [(0, y), (10, y)]) for name, y in (("a", 1), ("none", 0), ("b", 2))]
    drawing = ET.fromstring(stacked_chart(_frame(), layers))  # noqa: S314 - our own
    a, b = (one.get("points", "").split() for one in drawing.iter("polygon"))

    assert set(a[:2]) == set(b[2:])


def test_marks_that_are_close() -> None:
    """Each has its line; names stand in two rows, and those that would overlap in both, or the axis, are left out."""
    marks = [Mark(at, f"phase {at}") for at in (0.0, 0.5, 3.0, 3.2, 3.3, 9.9)]
    text = line_chart(Frame("t", "d", time_axis(10.0), linear_axis(1, str)), [], marks)
    names = [one for one in ET.fromstring(text).iter("text") if one.get("class") == "mark-name"]  # noqa: S314 - our own

    assert 6 == text.count('class="mark"')
    assert ["phase 0.0", "phase 3.0", "phase 3.2", "phase 9.9"] == [one.text for one in names]
    assert ["30", "30", "16", "30"] == [one.get("y") for one in names]


def test_names_are_escaped() -> None:
    """Of lines, marks and titles."""
    line = Line(HOSTILE, "red", [(0, 0)])
    frame = Frame(HOSTILE, HOSTILE, time_axis(1), linear_axis(1, lambda _: HOSTILE))
    text = line_chart(frame, [line], [Mark(0.0, HOSTILE)]) + legend([line]) + legend([line], filled=True)

    assert "<script" not in text
    ET.fromstring(f"<all>{text}</all>")  # noqa: S314 - our own


def test_a_level_run_has_two_points() -> None:
    """What a line does not turn at is left out; the ends stay."""
    points = [(0, 0), (1, 0), (2, 0), (3, 4), (4, 4), (5, 4), (6, 4)]

    assert _frame().path([points[place] for place in (0, 2, 3, 6)]) == _frame().path(points)
    assert (1, 2, []) == (len(_frame().path(points[:1])), len(_frame().path(points[:2])), _frame().path([]))


def test_stairs() -> None:
    """A value holds for a whole bin."""
    assert [(0, 3.0), (2, 3.0), (2, 5.0), (4, 5.0)] == stairs([3, 5], 2)
