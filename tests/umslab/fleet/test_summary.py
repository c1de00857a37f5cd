# SPDX-License-Identifier: Apache-2.0
"""The numbers that people ask for."""

from __future__ import annotations

import pytest

from tests.support.fleet_runs import REFUSED, run_report, storm
from umslab.fleet.summary import MOST_FAILURES, document, said, spread, summarise
from umslab_agent.fleet.blame import Side
from umslab_agent.fleet.histogram import Histogram
from umslab_agent.fleet.measured import Cause, Condition, Failures, Step
from umslab_protocol.values.failure import Phase, Reason


def test_of_a_storm() -> None:
    """Counted once in all forms: devices, phases, steps, failures by side and by cause."""
    measured = storm()
    measured.conditions[Condition.FAILED].add(50.0)
    summary = summarise(run_report(measured, number=2, of=3))

    assert (60, 60, 1, 0, "1 of 3", [1, 3]) == (
        summary.devices,
        summary.managed,
        summary.failed,
        summary.offline,
        summary.shards,
        summary.missing_shards,
    )
    assert ["onboard", "restart", "drain"] == [phase.phase for phase in summary.phases]
    assert [True, True, False] == [phase.moved for phase in summary.phases]
    assert {"50", "90", "99", "100"} == set(summary.phases[0].until)
    not_taken = {Step.COMMAND, Step.REGISTER, Step.CONTACT}
    assert [step for step in Step if step not in not_taken] == [one.step for one in summary.steps]
    assert summary.failures == sum(summary.failures_by_side.values()) == sum(one.count for one in summary.causes)
    assert (REFUSED.detail, 60, 44) == (summary.causes[0].example, summary.causes[0].count, summary.causes[0].code)
    assert summary.simulated


def test_spread() -> None:
    """Of 1 to 1000 ms."""
    found = spread(Histogram.of(number / 1000 for number in range(1, 1_001)))

    assert [1_000, 0.5005, 0.5, 0.9, 0.99, 0.999, 1.0] == pytest.approx(
        [found.count, found.mean, found.p50, found.p90, found.p99, found.p999, found.max], rel=0.001
    )


def test_very_many_causes() -> None:
    """The most frequent are told one by one, of the others how many there are."""
    measured = storm()
    groups = Failures(measured.failures)
    for status in range(400, 500):
        groups.group(Cause(Side.SERVER, Phase.ENROL, Reason.BUSY, status), example="", hint="", request="").count = 1
    summary = summarise(run_report(measured))

    assert MOST_FAILURES == len(summary.causes)
    assert len(measured.failures) - MOST_FAILURES == summary.more_causes
    assert 100 == summary.failures - sum(one.count for one in summarise(run_report()).causes)


def test_whose_latency_it_is() -> None:
    """A latency is the generator's when that was the bottleneck; a share of devices is what it is."""
    rules = ("managed.p99 < 1h", "failed < 1%")
    kept_up, at_its_end = (run_report(storm(cpu=cpu), thresholds=rules) for cpu in (0.5, 1.5))

    assert not any("generator" in said(one, summarise(kept_up)) for one in kept_up.thresholds)
    assert [True, False] == ["generator" in said(one, summarise(at_its_end)) for one in at_its_end.thresholds]
    assert [True, True] == [one["met"] for one in document(kept_up)["thresholds"]]
