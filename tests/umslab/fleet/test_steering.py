# SPDX-License-Identifier: Apache-2.0
"""What a running fleet answers and does when it is asked, in virtual time; and where it can be asked."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import trio

from tests.support.fleets import fleet_in
from tests.support.lab import open_lab
from umslab.fleet.job import Job, Told
from umslab.fleet.shard import Shard
from umslab.fleet.state import FleetStateError
from umslab.fleet.steering import SOCKET, Steering, socket_of, steered
from umslab_agent.fleet.measured import Condition
from umslab_agent.fleet.scenario import Flat, Onboard, Ramp, Scenario, Site, Steady
from umslab_runtime.control import ControlError, connect_control

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from trio.testing import MockClock

    from tests.support.fleets import LabFleet

SCENARIO = Scenario(
    devices=6,
    arrivals=Ramp(seconds=6),
    sites=(Site(name="a", circuits=3), Site(name="b")),
    phases=(Onboard(), Steady(seconds=60)),
    retry=Flat(seconds=1),
)


@asynccontextmanager
async def _steering(path: Path, scenario: Scenario = SCENARIO) -> AsyncIterator[tuple[Steering, LabFleet]]:
    async with open_lab(path) as lab, trio.open_nursery() as nursery:
        await lab.mass_key()
        with fleet_in(lab, scenario) as ours:
            nursery.start_soon(ours.fleet.run)
            yield Steering(ours.fleet, ours.recorder, lab.clock.monotonic, most_per_second=5), ours
            nursery.cancel_scope.cancel()


async def test_arrivals_are_steered(autojump_clock: MockClock, tmp_path: Path) -> None:
    """Paused, at another rate, resumed: each has its effect, and says what is left."""
    async with _steering(tmp_path) as (steering, ours):
        await trio.sleep(1.5)
        paused = [steering.answer("pause", {}) for _ in range(2)]
        await trio.sleep(20)
        during = steering.answer("status", {})
        faster = steering.answer("rate", {"per_second": 4})
        resumed = [steering.answer("resume", {}) for _ in range(2)]
        await trio.sleep(0.9)
        arrived = ours.fleet.pacing.arrived

    assert [{"changed": True, "to_come": 4}, {"changed": False, "to_come": 4}] == paused
    assert (True, 2, "onboard") == (during["glance"]["paused"], during["levels"]["managed"], during["phase"])
    assert {"per_second": 4, "to_come": 4} == faster
    assert [True, False] == [one["changed"] for one in resumed]
    assert 6 == arrived
    assert 21.5 == pytest.approx(msgspec.convert(during, Told).seconds)


async def test_sites_are_disconnected(autojump_clock: MockClock, tmp_path: Path) -> None:
    """A circuit, a site, all; the effect is that of a storm, and no failure."""
    async with _steering(tmp_path) as (steering, ours):
        await trio.sleep(10)
        told = [steering.answer("disconnect", {"who": who})["sessions"] for who in ("a/2", "b")]
        await trio.sleep(5)
        everybody = steering.answer("disconnect", {"seconds": 9})
        await trio.sleep(3)
        offline = ours.level(Condition.OFFLINE)
        await trio.sleep(9)
        managed = ours.level(Condition.MANAGED)

    assert [1, 3] == told
    assert {"who": "all", "devices": 6, "sessions": 6, "seconds": 9} == everybody
    assert (6, 6, {}) == (offline, managed, ours.causes)


async def test_one_device(autojump_clock: MockClock, tmp_path: Path) -> None:
    """By its index or its unit ID: where it stands, how it is, what became of it."""
    async with _steering(tmp_path) as (steering, ours):
        before = steering.answer("device", {"device": "5"})
        await trio.sleep(10)
        unit_id = str(ours.fleet.members[3].planned.persona.unit_id)
        found = [steering.answer("device", {"device": text}) for text in ("3", unit_id, unit_id.lower())]

    assert ("planned", []) == (before["condition"], before["history"])
    assert found[0] == found[1] == found[2]
    assert (3, unit_id, "managed", "") == tuple(
        found[0][name] for name in ("index", "unit_id", "condition", "last_failure")
    )
    assert ["onboarding", "connected", "managed"] == [one["condition"] for one in found[0]["history"]]
    assert 3 == pytest.approx(found[0]["history"][0]["seconds"])


@pytest.mark.parametrize(
    ("name", "args", "words"),
    [
        ("fly", {}, "knows no request 'fly': status, counts, pause"),
        ("pause", {"x": 1}, "unknown field `x`"),
        ("rate", {}, "per_second"),
        ("rate", {"per_second": 0}, "rate: Expected `float` > 0"),
        ("rate", {"per_second": 1e9}, "<= 10000"),
        ("rate", {"per_second": 6}, "outside this machine at most 5"),
        ("rate", {"per_second": 5}, "no device is to arrive any more"),
        ("pause", {}, "no device is to arrive any more"),
        ("disconnect", {"who": "c"}, "no device stands at 'c': the sites are a, b"),
        ("disconnect", {"seconds": -1}, ">= 0"),
        ("device", {"device": "6"}, "no device '6': indexes are 0 to 5"),
        ("device", {"device": "²"}, "no device"),
        ("device", {"device": "9" * 41}, "length <= 40"),
    ],
)
async def test_what_cannot_be_is_a_sentence(
    autojump_clock: MockClock, tmp_path: Path, name: str, args: dict[str, Any], words: str
) -> None:
    """And changes nothing."""
    scenario = msgspec.structs.replace(SCENARIO, arrivals=Ramp(seconds=0.1))
    async with _steering(tmp_path, scenario) as (steering, ours):
        await trio.sleep(5)
        with pytest.raises(ControlError) as caught:
            steering.answer(name, args)
        await trio.sleep(1)
        managed = ours.level(Condition.MANAGED)

    assert words in str(caught.value)
    assert 6 == managed


@pytest.mark.parametrize("depth", [1, 40])
async def test_a_fleet_is_asked_in_its_folder(tmp_path: Path, depth: int) -> None:
    """Also when its name is too long for a socket, and when a killed fleet left something; then all is gone."""
    folder = tmp_path.joinpath(*["deep"] * depth)
    folder.mkdir(parents=True)
    (folder / SOCKET).symlink_to("/nonexistent")
    async with steered(str(folder), _echo):
        async with connect_control(socket_of(folder)) as client:
            answer = await client.call("rate", per_second=3)
    left = list(folder.iterdir())

    assert {"asked": ["rate", {"per_second": 3}]} == answer
    assert [] == left


async def test_nobody_is_asked_without_a_folder() -> None:
    """And a folder that is none is told."""
    async with steered("", _echo):
        pass
    with pytest.raises(FleetStateError, match="cannot be made"):
        async with steered("/dev/null", _echo):
            pass


async def test_who_cannot_be_steered_says_so() -> None:
    """A fleet whose keys are being made."""
    with pytest.raises(ControlError, match="does not run yet"):
        await Shard(Job(scenario=Scenario(), target="localhost:1"), lambda _: None).steer("status", {})


async def _echo(name: str, args: dict[str, Any]) -> dict[str, Any]:
    return {"asked": [name, args]}
