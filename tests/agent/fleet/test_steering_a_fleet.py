# SPDX-License-Identifier: Apache-2.0
"""What somebody does to a running fleet has its effect, in virtual time against the real server."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio

from tests.support.fleets import fleet_in
from tests.support.lab import open_lab
from umslab_agent.fleet.measured import Condition
from umslab_agent.fleet.member import MOST_MOMENTS
from umslab_agent.fleet.scenario import Flat, Onboard, Ramp, Scenario, Site, Steady
from umslab_protocol.values.failure import Phase, Reason

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from trio.testing import MockClock

    from tests.support.fleets import LabFleet

SCENARIO = Scenario(
    devices=12,
    arrivals=Ramp(seconds=12),
    sites=(Site(name="a", circuits=2), Site(name="b")),
    phases=(Onboard(within_seconds=5), Steady(seconds=30)),
    retry=Flat(seconds=1),
)


@asynccontextmanager
async def _running(path: Path, scenario: Scenario = SCENARIO, auth_key: str = "mass-key") -> AsyncIterator[LabFleet]:
    async with open_lab(path) as lab, trio.open_nursery() as nursery:
        await lab.mass_key()
        with fleet_in(lab, scenario, auth_key=auth_key) as ours:
            nursery.start_soon(ours.fleet.run)
            yield ours
            nursery.cancel_scope.cancel()


async def test_a_pause_holds_arrivals_back_and_is_no_lateness(autojump_clock: MockClock, tmp_path: Path) -> None:
    """Nobody comes while it lasts, the phase waits, all come afterwards; nobody is late by it, none is missing."""
    async with _running(tmp_path) as ours:
        await trio.sleep(3.5)
        assert ours.fleet.pause()
        await trio.sleep(60)
        waiting, phase = ours.level(Condition.PLANNED), ours.fleet.phase
        assert ours.fleet.resume()
        await trio.sleep(12)
        managed = ours.level(Condition.MANAGED)

    assert phase is not None
    assert (8, "onboard", 12) == (waiting, phase.kind, managed)
    assert 0.001 > ours.recorder.measured.arrivals.late.maximum
    assert [] == ours.fleet.notes


async def test_a_pause_holds_those_back_who_wait_for_others(autojump_clock: MockClock, tmp_path: Path) -> None:
    """Also when fewer may be on their way than are due."""
    scenario = Scenario(devices=4, arrivals=Ramp(seconds=0.01), outstanding=1)
    async with _running(tmp_path, scenario) as ours:
        await trio.sleep(0.001)
        assert ours.fleet.pause()
        await trio.sleep(60)
        waiting = ours.level(Condition.PLANNED)

    assert 3 == waiting


async def test_another_rate(autojump_clock: MockClock, tmp_path: Path) -> None:
    """The eight that are left come within a second, and the phase ends that much earlier."""
    async with _running(tmp_path) as ours:
        await trio.sleep(3.5)
        began = trio.current_time()
        ours.fleet.set_rate(8)
        ends = ours.fleet.ends_by
        await trio.sleep(0.99)
        waiting = ours.level(Condition.PLANNED)

    assert 0 == waiting
    assert began + 7 / 8 + 5 == pytest.approx(ends)


@pytest.mark.parametrize(("who", "lost"), [("all", 12), ("b", 6), ("a/1", 3), ("nowhere", 0)])
async def test_a_place_is_disconnected(autojump_clock: MockClock, tmp_path: Path, who: str, lost: int) -> None:
    """Those who stand there, nobody else, for so long; it is no failure, and all come back."""
    async with _running(tmp_path) as ours:
        await trio.sleep(15)
        found = ours.fleet.disconnect(who, 5)
        await trio.sleep(2)
        offline = ours.level(Condition.OFFLINE)
        await trio.sleep(6)
        managed = ours.level(Condition.MANAGED)

    assert (lost, lost) == found
    assert (lost, 12) == (offline, managed)
    assert {} == ours.causes


async def test_a_device_remembers_its_life(autojump_clock: MockClock, tmp_path: Path) -> None:
    """In order, with what failed; the latest only."""
    async with _running(tmp_path / "good") as ours:
        await trio.sleep(15)
        ours.fleet.disconnect("all", 5)
        await trio.sleep(10)
        good = [moment.condition for moment in ours.fleet.members[0].history]
    async with _running(tmp_path / "bad", auth_key="wrong") as theirs:
        await trio.sleep(40)
        bad = theirs.fleet.members[0]

    assert [Condition.ONBOARDING, Condition.CONNECTED, Condition.MANAGED, Condition.OFFLINE] == good[:4]
    assert Condition.MANAGED is good[-1]
    assert MOST_MOMENTS >= len(bad.history)
    assert (Phase.ENROL, Reason.KEY_REFUSED) in {(one.phase, one.reason) for one in bad.history}
    assert bad.failure is not None
