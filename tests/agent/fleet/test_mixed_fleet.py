# SPDX-License-Identifier: Apache-2.0
"""Fleets of both generations in virtual time, against the real server on the memory network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import trio

from tests.support.fleets import PASSWORD, fleet_in, refreshed
from tests.support.lab import open_lab
from umslab_agent.behaviour import DeviceBehaviour
from umslab_agent.fleet.measured import Condition
from umslab_agent.fleet.running import NOTHING_TO_RENEW
from umslab_agent.fleet.scenario import (
    AtOnce,
    Behaviour,
    CommandWave,
    Flat,
    Kind,
    Onboard,
    Phase,
    Ramp,
    RenewalWave,
    Scenario,
    Steady,
    Storm,
)
from umslab_protocol.wire.orders import CommandName

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

    from tests.support.fleets import LabFleet
    from tests.support.lab import Lab
    from umslab_agent.shelf import MemoryShelf

QUICK = Behaviour(device=DeviceBehaviour(boot_seconds=1.0))


def _scenario(*phases: Phase, mix: tuple[Kind, ...] = (Kind(os=11), Kind())) -> Scenario:
    return Scenario(
        devices=6,
        arrivals=Ramp(seconds=3),
        phases=(Onboard(within_seconds=60), *phases),
        behaviour=QUICK,
        retry=Flat(seconds=2),
        mix=mix,
    )


async def _ran(lab: Lab, scenario: Scenario, **how: object) -> LabFleet:
    with fleet_in(lab, scenario, **how) as ours:  # type: ignore[arg-type]
        await ours.fleet.run()
        return ours


async def _open_to_all(lab: Lab) -> None:
    await lab.mass_key()
    await lab.services.os11.accounts.create("ann", PASSWORD, actor="test")


async def test_both_generations_come_on_board(autojump_clock: MockClock, tmp_path: Path) -> None:
    """Each on its own way, with the steps of that; the server has all of them, OS 11 at their own addresses."""
    async with open_lab(tmp_path) as lab:
        await _open_to_all(lab)
        ours = await _ran(lab, _scenario())
        known = {one.unit_id: one for one in await lab.services.registry.list_devices()}
    planned = {one.persona.unit_id: one for one in ours.fleet.plan.devices}

    assert (6, {}) == (ours.recorder.measured.managed_once, ours.causes)
    assert 6 == ours.level(Condition.STOPPED)
    steps = ours.steps()
    assert {"register": 3, "enrol": 3, "websocket": 3, "contact": 0, "settings": 6, "tcp": 12, "tls": 12} == {
        name: steps[name] for name in ("register", "enrol", "websocket", "contact", "settings", "tcp", "tls")
    }
    assert planned.keys() == known.keys()
    assert {one.address for one in planned.values() if one.os11} == {
        known[unit_id].last_ip for unit_id, one in planned.items() if one.os11
    }


async def test_a_second_run_registers_nobody_anew(autojump_clock: MockClock, tmp_path: Path) -> None:
    """With what the devices kept, each contacts the server by its pin."""
    shelves: dict[str, MemoryShelf] = {}
    async with open_lab(tmp_path) as lab:
        await _open_to_all(lab)
        await _ran(lab, _scenario(), shelves=shelves)
        again = await _ran(lab, _scenario(), shelves=shelves)
    steps = again.steps()

    assert (6, {}) == (again.recorder.measured.managed_once, again.causes)
    assert (0, 0, 3, 3) == tuple(steps[name] for name in ("register", "enrol", "contact", "websocket"))


async def test_storms_are_for_both(autojump_clock: MockClock, tmp_path: Path) -> None:
    """A network that is away for five seconds, and a power cut: all are gone, all are back, and nothing failed."""
    async with open_lab(tmp_path) as lab:
        await _open_to_all(lab)
        storms = Storm(away_seconds=5), Storm(), Storm(cause="power", away_seconds=5)
        ours = await _ran(lab, _scenario(*storms))
    phases = ours.recorder.measured.phases[1:4]

    assert [(6, 6)] * 3 == [(phase.lost.count, phase.gained.count) for phase in phases]
    assert 5 <= phases[0].gained.maximum < 10
    assert phases[1].gained.maximum < 5
    assert ({}, []) == (ours.causes, ours.fleet.notes)
    assert 9 == ours.steps()["contact"]


async def test_a_storm_in_the_middle_of_a_contact(autojump_clock: MockClock, tmp_path: Path) -> None:
    """A device that is just being registered loses its network: planned, and it comes on board afterwards."""
    scenario = msgspec.structs.replace(_scenario(Steady(seconds=30), mix=(Kind(os=11),)), arrivals=AtOnce())
    async with open_lab(tmp_path, latency=0.1) as lab:
        await _open_to_all(lab)
        with fleet_in(lab, scenario) as ours:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ours.fleet.run)
                await trio.sleep(0.9)
                before = ours.level(Condition.MANAGED)
                ours.fleet.disconnect("all", 5)

    assert 0 == before
    assert (6, {}) == (ours.recorder.measured.managed_once, ours.causes)


async def test_a_command_wave_calls_os11_devices(autojump_clock: MockClock, tmp_path: Path) -> None:
    """Those with a session answer in it, the others are called on TCP 30005 at their own addresses."""
    async with open_lab(tmp_path) as lab:
        await _open_to_all(lab)

        async def commander(wave: CommandWave, unit_ids: list[str]) -> str:
            assert CommandName.REFRESH_SYSTEM_INFORMATION is wave.command
            answered = await refreshed(lab, unit_ids)
            return ", ".join(f"{count} {state}" for state, count in answered.items())

        ours = await _ran(lab, _scenario(Steady(seconds=10), CommandWave()), commander=commander)

    assert "command refreshsysinfo: 6 SUCCESS" in ours.said
    assert 6 == ours.steps()["command"]


async def test_what_has_no_meaning_for_os11_is_skipped_and_said(autojump_clock: MockClock, tmp_path: Path) -> None:
    """Certificates are renewed by OS 12 devices; the phase waits for nobody else."""
    async with open_lab(tmp_path) as lab:
        await _open_to_all(lab)
        ours = await _ran(lab, _scenario(Steady(seconds=5), RenewalWave()))

    assert [NOTHING_TO_RENEW.format(3)] == ours.fleet.notes
    assert (6, 3) == tuple(ours.steps()[name] for name in ("enrol", "register"))
    assert ours.recorder.measured.phases[3].began - ours.recorder.measured.phases[2].began < 10


async def test_reboots_and_suspends(autojump_clock: MockClock, tmp_path: Path) -> None:
    """What devices do by themselves takes OS 11 devices away and brings them back, planned."""
    behaviour = Behaviour(
        reboots_per_day=100, suspends_per_day=100, suspend_seconds=2, device=DeviceBehaviour(boot_seconds=1)
    )
    scenario = msgspec.structs.replace(_scenario(Steady(seconds=3600), mix=(Kind(os=11),)), behaviour=behaviour)
    async with open_lab(tmp_path) as lab:
        await _open_to_all(lab)
        ours = await _ran(lab, scenario)
    planned = len(ours.fleet.plan.phases[1].actions)
    phase = ours.recorder.measured.phases[1]

    assert planned > 10
    assert {} == ours.causes
    assert planned * 0.8 <= phase.gained.count <= planned


async def test_a_server_that_does_not_know_them(autojump_clock: MockClock, tmp_path: Path) -> None:
    """Without the user nobody is registered: one cause, with what to do."""
    async with open_lab(tmp_path) as lab:
        await lab.mass_key()
        ours = await _ran(lab, _scenario())
    (group,) = ours.recorder.measured.failures

    assert ("register", "key-refused", "server") == (
        str(group.cause.phase),
        str(group.cause.reason),
        str(group.cause.side),
    )
    assert "user and password" in group.hint
    assert 3 == ours.recorder.measured.managed_once


async def test_a_server_that_restarts(autojump_clock: MockClock, tmp_path: Path) -> None:
    """OS 11 devices hold no session: they do not notice, and are called by the new process."""
    async with open_lab(tmp_path) as lab:
        await _open_to_all(lab)
        with fleet_in(lab, _scenario(Steady(seconds=60), mix=(Kind(os=11),))) as ours:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ours.fleet.run)
                await trio.sleep(10)
                await lab.stop_server()
                await lab.start_server()
                answered = await refreshed(lab, [one.persona.unit_id for one in ours.fleet.plan.devices])

    assert ({"SUCCESS": 6}, {}) == (answered, ours.causes)
