# SPDX-License-Identifier: Apache-2.0
"""Charts as files of their own: whole documents with colours, a key that fits, and nothing from anywhere else."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import pytest

from tests.support.fleet_runs import run_report
from umslab.fleet.charts import Figure, Frame, Line, line_chart, linear_axis, time_axis
from umslab.fleet.pictures import picture, pictures, write_pictures
from umslab_agent.fleet.measured import Measured
from umslab_agent.fleet.report import ReportError

if TYPE_CHECKING:
    from pathlib import Path

SVG = "{http://www.w3.org/2000/svg}"


def _figure(names: list[str]) -> Figure:
    lines = [Line(name, "managed", [(0, 0), (5, 1)]) for name in names]
    frame = Frame("Devices", "of a test", time_axis(10), linear_axis(1, str))
    return Figure(frame, line_chart(frame, lines), lines)


def test_each_chart_is_a_document() -> None:
    """Well-formed, titled, without script or link; every colour is defined in it, light and dark."""
    found = pictures(run_report())

    assert ["devices", "arrivals", "latency", "failures"] == list(found)
    for svg in found.values():
        root = ET.fromstring(svg)  # noqa: S314 - our own
        title = root.find(f"{SVG}title")
        assert title is not None
        assert (title.text or "").startswith("server-restart: ")
        assert not re.search(r"<script|href|url\(|@import", svg)
        light, dark = svg.split("prefers-color-scheme: dark")
        for colour in re.findall(r"var\(--([a-z-]+)\)", svg):
            assert f"--{colour}:" in light
            assert f"--{colour}:" in dark


def test_what_has_no_numbers_has_no_picture() -> None:
    """A run in which nothing happened has no latencies and no failures."""
    assert ["devices", "arrivals"] == list(pictures(run_report(Measured())))


def test_the_key_has_as_many_rows_as_it_takes() -> None:
    """Nothing stands outside of the picture, and the chart begins below the last row."""
    few, many = (ET.fromstring(picture(_figure(["a" * 20] * count), "t")) for count in (2, 7))  # noqa: S314 - our own

    def rows(root: ET.Element) -> set[str]:
        return {text.get("y", "") for text in root.iter(f"{SVG}text") if text.get("class") == "key"}

    assert (1, 2) == (len(rows(few)), len(rows(many)))
    assert int(many.get("height", "")) == int(few.get("height", "")) + 20
    assert all(
        float(text.get("x", "")) + 7 * 20 < 976 for text in many.iter(f"{SVG}text") if text.get("class") == "key"
    )


def test_names_are_escaped() -> None:
    """Of lines, and of the scenario."""
    svg = picture(_figure(["<script>alert(1)</script>\x1b[31m"]), "</title><script>")

    ET.fromstring(svg)  # noqa: S314 - our own
    assert "<script" not in svg


def test_files(tmp_path: Path) -> None:
    """Named after the run, in a folder that is made; where none can be made it is said."""
    files = write_pictures(run_report(), tmp_path / "svg", "run")

    assert [f"run-{what}.svg" for what in ("devices", "arrivals", "latency", "failures")] == [one.name for one in files]
    assert all(file.read_text().startswith("<svg ") for file in files)
    (tmp_path / "file").touch()
    with pytest.raises(ReportError, match="cannot be made"):
        write_pictures(run_report(), tmp_path / "file" / "svg", "run")
