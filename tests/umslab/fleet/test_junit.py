# SPDX-License-Identifier: Apache-2.0
"""JUnit XML that any reader takes: thresholds are the tests, or, without any, every cause of failures is."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

from tests.support.fleet_runs import run_report, storm
from umslab.fleet.junit import junit

if TYPE_CHECKING:
    from umslab_agent.fleet.report import RunReport


def _read(report: RunReport) -> ET.Element:
    return ET.fromstring(junit(report))  # noqa: S314 - our own


def _failed(suite: ET.Element) -> list[str | None]:
    return [case.get("name") for case in suite.iter("testcase") if case.find("failure") is not None]


def test_with_thresholds() -> None:
    """They decide: a cause that they allow is told, and has not failed."""
    suite = _read(run_report(thresholds=("managed.p99 < 1us", "failed < 1%")))

    assert ["managed.p99 < 1us"] == _failed(suite)
    assert ("5", "1") == (suite.get("tests"), suite.get("failures"))
    assert 5 == len(list(suite.iter("testcase")))
    assert "server: connect unreachable" in [case.get("name") for case in suite.iter("testcase")]


def test_without_thresholds() -> None:
    """Every cause has failed, though in the end every device was managed."""
    suite = _read(run_report())

    assert "every device is managed" not in _failed(suite)
    assert 3 == len(_failed(suite))
    assert "proxy: cacerts busy HTTP 502" in _failed(suite)


def test_what_a_reader_has_to_know() -> None:
    """The backend and the state of the generator are properties, and stand beside a latency."""
    suite = _read(run_report(storm(cpu=1.5), thresholds=("managed.p99 < 1us",)))
    properties = {one.get("name"): one.get("value") for one in suite.iter("property")}

    assert "umslab 0.3.0" == properties["backend"]
    assert "no statement" in str(properties["note"])
    assert "processor" in str(properties["bottleneck"])
    assert "s: the generator's" in ET.tostring(suite, encoding="unicode")


def test_what_others_said_is_harmless() -> None:
    """Also what XML does not allow at all."""
    measured = storm()
    measured.failures[0].example = '<evil attribute="1">&\x00\x1b]]>'

    assert r"\x00\x1b" in str(ET.tostring(_read(run_report(measured))).decode()).replace("\\\\", "\\")
