# SPDX-License-Identifier: Apache-2.0
"""What a process has counted is what was recorded; two together have what both have."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
import trio

from tests.support.fleets import fleet_in
from tests.support.lab import open_lab
from umslab.fleet.counts import Buckets, Counts, ProcessCounts, add_up, count
from umslab_agent.fleet.histogram import Histogram
from umslab_agent.fleet.scenario import Flat, Onboard, Ramp, Scenario, Steady
from umslab_runtime.latencies import TOLD, Latencies

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

SCENARIO = Scenario(
    devices=6, arrivals=Ramp(seconds=6), phases=(Onboard(within_seconds=20), Steady(seconds=60)), retry=Flat(seconds=9)
)
SECONDS = (0.0, 0.0004, 0.002, 0.03, 0.03, 20.0)


@pytest.mark.parametrize("kind", ["histogram", "latencies"])
def test_buckets(kind: str) -> None:
    """Of both kinds that keep durations: how many were at most so long, how many there are, how long together."""
    if kind == "histogram":
        buckets = Buckets.of_histogram(Histogram.of(SECONDS))
    else:
        latencies = Latencies()
        for seconds in SECONDS:
            latencies.record(seconds)
        buckets = Buckets.of_latencies(latencies)

    assert [2, 3, 5, 5] == [buckets.within(bound) for bound in (0.0005, 0.0025, 0.05, 10.0)]
    assert 6 == buckets.count
    assert pytest.approx(sum(SECONDS), rel=0.001) == buckets.total
    assert (12, 6) == ((two := buckets.and_those(buckets)).count, two.within(0.01))


async def test_of_a_running_fleet(autojump_clock: MockClock, tmp_path: Path) -> None:
    """Three have arrived, of six, and come on board."""
    async with open_lab(tmp_path) as lab, trio.open_nursery() as nursery:
        await lab.mass_key()
        with fleet_in(lab, SCENARIO) as ours:
            nursery.start_soon(ours.fleet.run)
            await trio.sleep(2.5)
            found = count(ours.recorder, ours.fleet, lab.clock.monotonic(), Latencies(), 3)
            nursery.cancel_scope.cancel()

    assert ("onboard", 3, 3, 3, False) == (found.phase, found.due, found.arrived, found.managed, found.paused)
    assert (3, 3) == (found.devices["planned"], found.devices["managed"])
    assert {"tcp": 9, "enrol": 3, "command": 0} == {
        name: found.steps[name].count for name in ("tcp", "enrol", "command")
    }
    assert ["3"] == list(found.processes)
    assert found == msgspec.convert(msgspec.to_builtins(found), Counts)


async def test_failures_have_no_more_causes_than_labels(autojump_clock: MockClock, tmp_path: Path) -> None:
    """Statuses are not told apart."""
    async with open_lab(tmp_path) as lab, trio.open_nursery() as nursery:
        with fleet_in(lab, SCENARIO, auth_key="wrong") as ours:
            nursery.start_soon(ours.fleet.run)
            await trio.sleep(7)
            found = count(ours.recorder, ours.fleet, lab.clock.monotonic(), Latencies(), 1)
            nursery.cancel_scope.cancel()

    assert [("server", "enrol", "key-refused", 6)] == found.failures


def test_two_together() -> None:
    """Sums, of causes and steps that one has and the other not, too."""
    late = Buckets.of_histogram(Histogram.of(SECONDS))
    one = Counts(
        phase="onboard",
        devices={"managed": 2, "planned": 1},
        due=3,
        arrived=2,
        paused=False,
        managed=2,
        steps={"tcp": late},
        failures=[("server", "tls", "silent", 4)],
        lag=late,
        processes={"1": ProcessCounts(1.5, 10, 20)},
    )
    other = msgspec.structs.replace(
        one,
        paused=True,
        steps={"tcp": late, "tls": late},
        failures=[("server", "tls", "silent", 1), ("client", "start", "defect", 1)],
        processes={"2": ProcessCounts(2.5, 11, 21)},
    )
    both = add_up([one, other])

    assert ({"managed": 4, "planned": 2}, 6, 4, 4, True) == (
        both.devices,
        both.due,
        both.arrived,
        both.managed,
        both.paused,
    )
    assert {"tcp": 12, "tls": 6} == {name: buckets.count for name, buckets in both.steps.items()}
    assert {("server", "tls", "silent", 5), ("client", "start", "defect", 1)} == set(both.failures)
    assert (12, ["1", "2"]) == (both.lag.count, list(both.processes))
    assert len(TOLD) == len(both.lag.counts)
