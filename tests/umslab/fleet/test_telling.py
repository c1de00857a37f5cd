# SPDX-License-Identifier: Apache-2.0
"""A run for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from tests.support.fleet_runs import run_report, storm
from umslab.fleet.telling import print_report
from umslab_agent.fleet.blame import Side
from umslab_agent.fleet.measured import Cause, Condition, FailureGroup, Measured
from umslab_agent.fleet.report import Backend, RunReport
from umslab_protocol.values.failure import Phase, Reason

if TYPE_CHECKING:
    import pytest


def _told(report: RunReport, capsys: pytest.CaptureFixture[str]) -> str:
    print_report(report)
    return capsys.readouterr().out


def test_of_a_storm(capsys: pytest.CaptureFixture[str]) -> None:
    """The answer first, then tables, then what has to be known."""
    text = _told(run_report(thresholds=("managed.p99 < 1us", "failed < 1%")), capsys)

    assert text.startswith("server-restart: 60 of 60 devices were managed (100 %) in a run of 81.0 s against")
    for words in (
        "Managed in phase restart: 50 % after",
        "MISSED",
        "HTTP 502: Bad Gateway",
        "websocket",
        "kept up",
        "What to do: start it",
    ):
        assert words in text
    assert text.rstrip().endswith("no statement about a real UMS.")
    assert "drain" not in text


def test_of_trouble(capsys: pytest.CaptureFixture[str]) -> None:
    """Who had given up, which shards are missing, and that the generator was too slow."""
    measured = storm(cpu=1.5)
    measured.conditions[Condition.FAILED].add(70.0, 2)
    measured.arrivals.missed = 3
    report = run_report(measured, number=2, of=3, backend=Backend("ums.example:8443"))
    report.shards = [msgspec.structs.replace(report.shards[0], interrupted=True)]
    report.notes = ["phase dhcp was skipped: \x1b[2J"]
    text = _told(report, capsys)

    for words in (
        "At the end: 2 had given up, 3 had never started.",
        "missing: 1, 3",
        "Interrupted",
        "the latencies below are its own",
        r"skipped: \x1b[2J",
        "a server that did not name itself",
    ):
        assert words in text
    assert "no statement" not in text


def test_of_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """No tables."""
    assert "Latencies" not in _told(run_report(Measured()), capsys)


def test_of_a_defect(capsys: pytest.CaptureFixture[str]) -> None:
    """It is nobody's but ours, and said to be."""
    measured = storm()
    cause = Cause(Side.CLIENT, Phase.START, Reason.DEFECT)
    measured.failures.append(FailureGroup(cause, 2, example="ZeroDivisionError: one too many"))

    assert "Devices that a defect of umslab itself ended: 2; please report it." in _told(run_report(measured), capsys)
