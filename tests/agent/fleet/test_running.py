# SPDX-License-Identifier: Apache-2.0
"""Whole fleets in virtual time, against the real server on the memory network: arrivals, phases, the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
import trio

from tests.support.fleets import fleet_in
from tests.support.lab import open_lab
from umslab_agent.behaviour import DeviceBehaviour
from umslab_agent.fleet.actions import Action
from umslab_agent.fleet.measured import Condition, Step
from umslab_agent.fleet.scenario import (
    AtOnce,
    Behaviour,
    CommandWave,
    Drain,
    Exponential,
    Flat,
    Kind,
    Onboard,
    Phase,
    Ramp,
    RenewalWave,
    Scenario,
    Site,
    Steady,
    Storm,
)
from umslab_certs.keys import KeyType
from umslab_protocol.wire.orders import CommandName

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

    from tests.support.fleets import LabFleet

QUICK = Behaviour(device=DeviceBehaviour(boot_seconds=1.0))


def _scenario(*phases: Phase, devices: int = 12, seconds: float = 6.0) -> Scenario:
    return Scenario(
        devices=devices, arrivals=Ramp(seconds=seconds), phases=(Onboard(), *phases), behaviour=QUICK, retry=Flat()
    )


async def _ran(path: Path, scenario: Scenario, **how: object) -> LabFleet:
    async with open_lab(path) as lab:
        await lab.mass_key()
        with fleet_in(lab, scenario, **how) as ours:  # type: ignore[arg-type]
            await ours.fleet.run()
            return ours


async def test_a_hundred_come_on_board(autojump_clock: MockClock, tmp_path: Path) -> None:
    """All managed, none failed, each step timed once for each, all said goodbye; the server knows every one of them."""
    async with open_lab(tmp_path) as lab:
        await lab.mass_key()
        with fleet_in(lab, _scenario(devices=100, seconds=20)) as ours:
            await ours.fleet.run()
            known = {device.unit_id for device in await lab.services.registry.list_devices()}

    assert 100 == ours.recorder.measured.managed_once
    assert {} == ours.causes
    assert 100 == ours.level(Condition.STOPPED)
    assert {device.persona.unit_id for device in ours.fleet.plan.devices} == known
    steps = ours.steps()
    assert {100} == {steps[name] for name in ("cacerts", "enrol", "websocket", "settings", "managed")}
    assert {300} == {steps[name] for name in ("tcp", "tls")}


async def test_arrivals_are_where_the_plan_has_them(autojump_clock: MockClock, tmp_path: Path) -> None:
    """To the millisecond, in virtual time."""
    ours = await _ran(tmp_path, _scenario())
    arrivals = ours.recorder.measured.arrivals

    assert 12 == arrivals.late.count
    assert 0.001 > arrivals.late.maximum
    assert arrivals.intended == arrivals.started


async def test_arrivals_do_not_wait_for_a_server_that_hangs(autojump_clock: MockClock, tmp_path: Path) -> None:
    """The model is open: with nobody answering, everybody comes all the same, at their time."""
    async with open_lab(tmp_path) as lab:
        assert lab.memory is not None
        lab.memory.partition("devices", "ums.lab")
        scenario = msgspec.structs.replace(_scenario(), phases=(Onboard(within_seconds=20),))
        with fleet_in(lab, scenario) as ours:
            await ours.fleet.run()

    assert 5.5 + 20 == pytest.approx(ours.recorder.measured.phases[1].began, abs=0.1)
    assert 12 == ours.recorder.measured.arrivals.late.count
    assert 0.001 > ours.recorder.measured.arrivals.late.maximum
    assert 0 == ours.recorder.measured.managed_once
    assert ["phase 1: 12 devices were not on board in time"] == ours.fleet.notes[:1]


async def test_outstanding_holds_arrivals_back_and_their_time_counts(autojump_clock: MockClock, tmp_path: Path) -> None:
    """One at a time: the last of six that come together waits for five others, from when it was to begin."""
    free = await _ran(tmp_path / "free", msgspec.structs.replace(_scenario(devices=6), arrivals=AtOnce()))
    bound = await _ran(
        tmp_path / "bound", msgspec.structs.replace(_scenario(devices=6), arrivals=AtOnce(), outstanding=1)
    )
    alone, waited = (one.recorder.measured.steps[Step.MANAGED].latency for one in (free, bound))

    assert 0.001 > free.recorder.measured.arrivals.late.maximum
    assert bound.recorder.measured.arrivals.late.maximum == pytest.approx(5 * alone.percentile(50), rel=0.2)
    assert waited.maximum == pytest.approx(6 * alone.percentile(50), rel=0.2)


async def test_a_second_run_reconnects_without_enrolling(autojump_clock: MockClock, tmp_path: Path) -> None:
    """What devices keep is enough; they need no key."""
    async with open_lab(tmp_path) as lab:
        await lab.mass_key()
        with fleet_in(lab, _scenario()) as first:
            await first.fleet.run()
        with fleet_in(lab, _scenario(), shelves=first.shelves, auth_key=None) as second:
            await second.fleet.run()

    assert 12 == second.recorder.measured.managed_once
    assert (0, 12) == (second.steps()["enrol"], second.steps()["tcp"])


@pytest.mark.parametrize(("cause", "who", "lost"), [("network", "all", 12), ("network", "a/1", 3), ("power", "b", 6)])
async def test_a_storm_hits_and_all_come_back(
    autojump_clock: MockClock, tmp_path: Path, cause: str, who: str, lost: int
) -> None:
    """Exactly those who stand there are lost, nobody before the network or power is back, all are managed again."""
    storm = msgspec.convert({"kind": "storm", "cause": cause, "who": who, "away_seconds": 7}, Storm)
    scenario = Scenario(
        devices=12,
        sites=(Site(name="a", circuits=2), Site(name="b")),
        phases=(Onboard(), storm, Steady(seconds=1)),
        behaviour=QUICK,
        retry=Flat(seconds=1, jitter=0),
    )
    ours = await _ran(tmp_path, scenario)
    phase = ours.recorder.measured.phases[1]

    assert (lost, lost) == (phase.lost.count, phase.gained.count)
    assert 7 <= phase.gained.percentile(0.1)
    assert {} == ours.causes
    assert 12 == ours.level(Condition.STOPPED)


async def test_back_off_decides_how_long_a_storm_lasts(autojump_clock: MockClock, tmp_path: Path) -> None:
    """The same storm: flat retry is back within its second, back-off has waited 32 s and more."""
    times = []
    for name, retry in (("flat", Flat(seconds=1)), ("grows", Exponential(first_seconds=8, factor=4, jitter=0))):
        scenario = msgspec.structs.replace(_scenario(Storm(away_seconds=20, within_seconds=300)), retry=retry)
        ours = await _ran(tmp_path / name, scenario)
        times.append(ours.recorder.measured.phases[1].gained.maximum)

    assert times[0] < 22
    assert times[1] > 8 + 32


async def test_a_renewal_wave(autojump_clock: MockClock, tmp_path: Path) -> None:
    """Everybody has another certificate, and is managed again."""
    async with open_lab(tmp_path) as lab:
        await lab.mass_key()
        with fleet_in(lab, _scenario(Steady(seconds=3), RenewalWave(spread_seconds=5), Steady(seconds=1))) as ours:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ours.fleet.run)
                await trio.sleep(8)  # on board, and the wave has not begun
                assert 12 == ours.recorder.measured.managed_once
                before = {unit_id: shelf.pieces["identity.pem"] for unit_id, shelf in ours.shelves.items()}
    after = {unit_id: shelf.pieces["identity.pem"] for unit_id, shelf in ours.shelves.items()}

    assert 24 == len({*before.values(), *after.values()})
    assert 24 == ours.steps()["enrol"]
    assert {} == ours.causes
    assert [] == ours.fleet.notes


async def test_a_command_wave(autojump_clock: MockClock, tmp_path: Path) -> None:
    """Whoever commands gets those who are managed; without anybody it is said that it was not given."""
    asked: list[tuple[CommandWave, list[str]]] = []

    async def commander(wave: CommandWave, unit_ids: list[str]) -> str:
        asked.append((wave, unit_ids))
        return "12 SUCCESS"

    wave = CommandWave(command=CommandName.MESSAGE, parameters={"text": "hello"})
    with_one = await _ran(tmp_path / "a", _scenario(wave), commander=commander)
    without = await _ran(tmp_path / "b", _scenario(wave))

    ((given, unit_ids),) = asked
    assert (wave, {device.persona.unit_id for device in with_one.fleet.plan.devices}) == (given, set(unit_ids))
    assert "command message: 12 SUCCESS" in with_one.said
    assert "control socket" in without.fleet.notes[0]


async def test_a_command_wave_has_its_time(autojump_clock: MockClock, tmp_path: Path) -> None:
    """A server that never answers does not hold the run."""

    async def commander(_wave: CommandWave, _unit_ids: list[str]) -> str:
        await trio.sleep_forever()

    ours = await _ran(tmp_path, _scenario(CommandWave(within_seconds=5)), commander=commander)

    assert ["command refreshsysinfo: not all had answered after 5 s"] == ours.fleet.notes


@pytest.mark.parametrize(
    ("key", "action"),
    [
        ("reboots_per_day", Action.REBOOT),
        ("suspends_per_day", Action.SUSPEND),
        ("network_losses_per_day", Action.NETWORK_LOSS),
    ],
)
async def test_behaviour_happens_and_is_no_failure(
    autojump_clock: MockClock, tmp_path: Path, key: str, action: Action
) -> None:
    """Each planned thing takes a managed device away once, and it is back by itself; nothing counts as failed."""
    behaviour = Behaviour(
        suspend_seconds=2, network_loss_seconds=2, device=DeviceBehaviour(boot_seconds=1), **{key: 100.0}
    )
    scenario = msgspec.structs.replace(
        _scenario(Steady(seconds=3600), devices=6), behaviour=behaviour, retry=Flat(seconds=1)
    )
    ours = await _ran(tmp_path, scenario)
    planned = len(ours.fleet.plan.phases[1].actions)
    phase = ours.recorder.measured.phases[1]

    assert 6 * 100 / 24 == pytest.approx(planned, rel=0.5)
    assert {action} == {one.action for one in ours.fleet.plan.phases[1].actions}
    assert planned - 2 <= phase.lost.count <= planned  # one may come while another is under way
    assert {} == ours.causes
    assert 6 == ours.level(Condition.STOPPED)


async def test_time_scale_makes_it_shorter(autojump_clock: MockClock, tmp_path: Path) -> None:
    """An hour of the scenario in a minute."""
    began = trio.current_time()
    await _ran(tmp_path, msgspec.structs.replace(_scenario(Steady(seconds=3600), devices=2), time_scale=60))

    assert 60 < trio.current_time() - began < 62


async def test_a_drain_takes_its_time(autojump_clock: MockClock, tmp_path: Path) -> None:
    """Goodbyes are spread, and the sessions were closed in order."""
    async with open_lab(tmp_path) as lab:
        await lab.mass_key()
        with fleet_in(lab, _scenario(Drain(spread_seconds=60))) as ours:
            began = trio.current_time()
            await ours.fleet.run()
            events = await lab.services.store.events(0, limit=1_000)
    ends = [event for event in events if event.kind == "device-disconnected" and event.data["code"] == 1000]

    assert 55 < trio.current_time() - began < 70
    assert 12 == len(ends)


@pytest.mark.parametrize(
    ("phase", "lasts", "note"),
    [
        (Storm(away_seconds=1, within_seconds=30), 31, "12 devices were not managed again in time"),
        (RenewalWave(spread_seconds=2, within_seconds=40), 42, "12 devices were not managed with a new certificate"),
        (Drain(within_seconds=1), 1, "12 devices had to be cut off at the end"),
    ],
    ids=["storm", "renewal", "drain"],
)
async def test_a_phase_has_its_time(
    autojump_clock: MockClock, tmp_path: Path, phase: Phase, lasts: float, note: str
) -> None:
    """Whatever the server does: here it is out of reach from before the phase to the end."""
    async with open_lab(tmp_path) as lab:
        await lab.mass_key()
        assert lab.memory is not None
        with fleet_in(lab, _scenario(Steady(seconds=5), phase)) as ours:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ours.fleet.run)
                await trio.sleep(9)
                lab.memory.partition("devices", "ums.lab")
            ended = ours.recorder.finish(lab.clock.monotonic()).seconds
    began, *later = (one.began for one in ours.recorder.measured.phases[2:])

    assert lasts == pytest.approx((later or [ended])[0] - began, abs=0.5)
    assert note in ours.fleet.notes[0]


async def test_stopping_drains_at_once(autojump_clock: MockClock, tmp_path: Path) -> None:
    """Whoever is there says goodbye; the others are counted as never started."""
    async with open_lab(tmp_path) as lab:
        await lab.mass_key()
        with fleet_in(lab, _scenario(Drain(spread_seconds=600), devices=20, seconds=20)) as ours:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ours.fleet.run)
                await trio.sleep(9.5)
                ours.fleet.stop()
                began = trio.current_time()
    arrivals = ours.recorder.measured.arrivals

    assert (10, 10) == (ours.level(Condition.STOPPED), arrivals.missed)
    assert trio.current_time() - began < 5
    assert ours.fleet.interrupted


async def test_stopping_twice_ends_at_once(autojump_clock: MockClock, tmp_path: Path) -> None:
    """Nobody is waited for, even when nothing answers any more."""
    async with open_lab(tmp_path) as lab:
        await lab.mass_key()
        assert lab.memory is not None
        with fleet_in(lab, _scenario(Steady(seconds=1000))) as ours:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ours.fleet.run)
                await trio.sleep(10)
                lab.memory.partition("devices", "ums.lab")
                began = trio.current_time()
                ours.fleet.stop()
                ours.fleet.stop()

    assert trio.current_time() - began < 4  # closing a stream is bounded by 3 s


async def test_a_mix_of_keys_keeps_identities_apart(autojump_clock: MockClock, tmp_path: Path) -> None:
    """Whatever the key types, the server's session of a unit ID is that device's: its own serial number is there."""
    mix = (Kind(), Kind(key_type=KeyType.P384), Kind(key_type=KeyType.P521))
    scenario = msgspec.structs.replace(
        _scenario(Storm(), devices=30), mix=mix, arrivals=AtOnce(), retry=Flat(seconds=1, jitter=1)
    )
    async with open_lab(tmp_path) as lab:
        await lab.mass_key()
        with fleet_in(lab, scenario) as ours:
            await ours.fleet.run()
            told = {
                device.unit_id: device.info["deviceSerialNumber"]
                for device in await lab.services.registry.list_devices()
            }

    assert {one.persona.unit_id: one.persona.serial_number for one in ours.fleet.plan.devices} == told
    assert 60 == ours.steps()["managed"]


async def test_shards_run_their_part(autojump_clock: MockClock, tmp_path: Path) -> None:
    """Two shards are the whole fleet, at the same times as if one had run it."""
    first = await _ran(tmp_path / "1", _scenario(), shard=(1, 2))
    second = await _ran(tmp_path / "2", _scenario(), shard=(2, 2))

    assert (6, 6) == (first.recorder.measured.managed_once, second.recorder.measured.managed_once)
    assert not set(first.shelves) & set(second.shelves)
