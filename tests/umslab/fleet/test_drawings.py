# SPDX-License-Identifier: Apache-2.0
"""Which numbers are drawn how, and what is drawn when there are none."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import pytest

from tests.support.fleet_runs import storm
from umslab.fleet import drawings
from umslab_agent.fleet.measured import Measured
from umslab_agent.fleet.series import MOST_BINS, Series

if TYPE_CHECKING:
    from umslab.fleet.charts import Figure

STORM = storm()


def _html(drawn: Figure | str) -> str:
    return drawn if isinstance(drawn, str) else drawn.html()


@pytest.mark.parametrize(
    ("draw", "words"),
    [
        (drawings.devices_over_time, ["60 of 60 devices", "managed", "offline", "restart"]),
        (drawings.arrivals_over_time, ["60 of 60 devices started", "intended", "devices a second"]),
        (drawings.latency_curves, ["tcp", "managed", "99 %", "percentile"]),
        (drawings.failures_over_time, ["proxy", "server", "failed tries a second"]),
        (
            drawings.generator_charts,
            ["Processor", "Event loop late</strong> at most 20.0 ms", "Resident memory", "60 MiB", "Open descriptors"],
        ),
    ],
)
def test_drawn(draw: object, words: list[str]) -> None:
    """Well-formed, with the words that belong to it."""
    text = _html(draw(STORM))  # type: ignore[operator]

    ET.fromstring(f"<all>{text}</all>")  # noqa: S314 - our own
    assert [] == [word for word in words if word not in text]


def test_nothing_to_draw() -> None:
    """A run in which nothing happened has empty charts, or none."""
    nothing = Measured()

    assert [None, None, ""] == [
        draw(nothing) for draw in (drawings.latency_curves, drawings.failures_over_time, drawings.generator_charts)
    ]
    assert "0 of 0 devices" in drawings.devices_over_time(nothing).html()
    assert "0 of 0 devices started" in drawings.arrivals_over_time(nothing).html()


def test_few_points_however_long() -> None:
    """A month has as many points as a minute, and no number of a hostile file breaks the drawing."""
    measured = storm(devices=2)
    measured.seconds = 30 * 86_400.0
    for changes in measured.conditions.values():
        changes.bins = [9, -7] * (MOST_BINS // 2)
        changes.doublings = 12
    text = drawings.devices_over_time(measured).html()
    points = [len(found.split()) for found in re.findall(r'points="([^"]*)"', text)]

    assert max(points) <= 4 * drawings.MOST_BINS_DRAWN
    measured.arrivals.intended = Series(40, [2**53, -(2**53)])
    measured.seconds = 1e10
    ET.fromstring(f"<all>{drawings.arrivals_over_time(measured).html()}</all>")  # noqa: S314 - our own
