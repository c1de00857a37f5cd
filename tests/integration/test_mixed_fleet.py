# SPDX-License-Identifier: Apache-2.0
"""OS 11 and OS 12 devices in one server: links are cut, either side is killed; each change of state, and when it comes.

All times are virtual, and those expected are computed from the configured timeouts (tests/support/mixed.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

from tests.support.managing import ask, switch_off
from tests.support.mixed import (
    BOOT_SECONDS,
    CHECKS,
    LATENCY,
    SESSIONS,
    SILENCE,
    SOON,
    WAITS,
    Member,
    Mixed,
    open_mixed,
)
from umslab_protocol.machines.device_life import State
from umslab_protocol.machines.session_device import PATIENCE
from umslab_protocol.machines.websocket import KeepAlive
from umslab_protocol.wire.orders import CommandName, ResultState
from umslab_server.importing import ImportedDevice
from umslab_server.os11.calls import AWAY_SECONDS, DIAL_SECONDS
from umslab_server.registering import count_generations

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

ROUND_TRIP = 2 * LATENCY
CLOSE_SECONDS = KeepAlive(ping_after=None, answer_within=0).close_within
SWEEP = CHECKS.interval_seconds


def about(moment: float) -> Any:
    """This moment and what a few messages take."""
    return pytest.approx(moment + SOON / 2, abs=SOON / 2 + ROUND_TRIP)


async def _talk(fleet: Mixed, member: Member) -> float:
    """Have the server hear something of a device now; returns when that was."""
    answer = await ask(fleet.lab, member, CommandName.MESSAGE, text="hello")
    assert ResultState.SUCCESS == answer.state
    return trio.current_time()


async def test_cut_links(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Who is behind a cut link is offline by its own rule, and online again by it; the others do not notice."""
    async with open_mixed(tmp_path) as fleet:
        old, new = await fleet.on_board(1, 11), await fleet.on_board(1, 12)
        others = [await fleet.on_board(2, 11), await fleet.on_board(2, 12)]
        quiet = trio.current_time()
        sweep = await fleet.until_between_sweeps()
        heard = await _talk(fleet, new)
        fleet.cut(old, new)
        await trio.sleep(SWEEP)
        assert ["offline", "online", "online", "online"] == await fleet.states()
        await trio.sleep(60)
        assert ["offline", "offline", "online", "online"] == await fleet.states()
        assert [("device-unreachable", about(sweep + SWEEP + SILENCE))] == await fleet.told(old, since=quiet)
        gone = heard + SESSIONS.ping_seconds + SESSIONS.pong_seconds
        assert [("device-disconnected", about(gone))] == await fleet.told(new, since=quiet)
        *_, lost = await fleet.events(new)
        assert ("server", "no sign of life", 4008) == (lost.actor, lost.cause, lost.data["code"])
        waiting = new.moments[[change.state for change in new.changes].index(State.WAITING)]
        assert about(heard + PATIENCE * SESSIONS.ping_seconds + CLOSE_SECONDS) == waiting

        sweep = fleet.probes[-1][0]  # the second try of an unanswered sweep
        mended = trio.current_time()
        fleet.mend(old, new)
        await trio.sleep(2 * SWEEP)
        assert ["online"] * 4 == await fleet.states()
        asked = min(moment for moment, unit_id in fleet.probes if unit_id == old.unit_id and moment >= mended)
        assert sweep < asked <= mended + SWEEP
        assert [("device-reachable", about(asked))] == await fleet.told(old, since=mended)
        assert [("device-connected", about(mended))] == await fleet.told(new, since=mended)  # it was connecting
        for other in others:
            assert [] == await fleet.told(other, since=quiet)


async def test_lost_packets(tmp_path: Path, autojump_clock: MockClock) -> None:
    """One try of a check may be lost; when all are, the device is offline for one interval."""
    async with open_mixed(tmp_path) as fleet:
        old, other = await fleet.on_board(1, 11), await fleet.on_board(2, 11)
        quiet = await fleet.until_between_sweeps()
        fleet.lost[old.unit_id] = CHECKS.tries - 1
        await trio.sleep(10 * SWEEP)
        assert [] == await fleet.told(old, since=quiet)

        sweep = await fleet.until_between_sweeps()
        fleet.lost[old.unit_id] = CHECKS.tries
        await trio.sleep(10 * SWEEP)
        expected = [
            ("device-unreachable", about(sweep + SWEEP + SILENCE)),
            ("device-reachable", about(sweep + 2 * SWEEP)),
        ]
        assert expected == await fleet.told(old, since=sweep)
        assert [] == await fleet.told(other, since=quiet)


async def test_reset_connections(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Ends the session of OS 12, which comes back after its first wait; OS 11 has nothing that could be reset."""
    async with open_mixed(tmp_path) as fleet:
        old, new = await fleet.on_board(1, 11), await fleet.on_board(1, 12)
        reset = trio.current_time()
        fleet.reset(old, new)
        await trio.sleep(60)

        assert [] == await fleet.told(old, since=reset)
        expected = [("device-disconnected", about(reset)), ("device-connected", about(reset + WAITS.first))]
        assert expected == await fleet.told(new, since=reset)


async def test_killed_devices_come_back(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Settings changed meanwhile wait under an exclamation mark, and are put in effect once."""
    async with open_mixed(tmp_path) as fleet:
        devices = old, new = await fleet.on_board(1, 11), await fleet.on_board(1, 12)
        await fleet.on_board(2, 11)  # somebody who is asked
        sweep = await fleet.until_between_sweeps()
        killed = trio.current_time()
        old.power_off()
        new.power_off()
        await trio.sleep(30)
        assert [("device-unreachable", about(sweep + SWEEP + SILENCE))] == await fleet.told(old, since=killed)
        assert [("device-disconnected", about(killed))] == await fleet.told(new, since=killed)
        assert [("offline", "red", [])] * 2 == [_shown(await fleet.show(one)) for one in devices]

        changed = trio.current_time()
        await fleet.set(x_while_away="1")
        await fleet.set(x_while_away="2")
        await trio.sleep(30)
        assert [("offline", "red", ["exclamation"])] * 2 == [_shown(await fleet.show(one)) for one in devices]
        assert [("call-failed", about(changed))] == await fleet.told(old, since=changed)  # nothing listens there

        sweep = await fleet.until_between_sweeps()
        booted = trio.current_time()
        before = (await fleet.show(old)).applied_version
        old, new = await fleet.switch_on(1, 11), await fleet.switch_on(1, 12)
        await trio.sleep(SWEEP / 2 - SOON)
        assert [("offline", "red", []), ("online", "green", [])] == [
            _shown(await fleet.show(one)) for one in (old, new)
        ]
        await trio.sleep(30)
        for device, kind in ((old, "device-contact"), (new, "device-connected")):
            first = [(kind, about(booted)), ("device-booted", about(booted)), ("settings-applied", about(booted))]
            seen = [("device-reachable", about(sweep + SWEEP))] if device is old else []
            assert first + seen == await fleet.told(device, since=booted)
            shown = await fleet.show(device)
            assert ("online", "green", []) == _shown(shown)
            assert [shown.applied_version] == device.applied
            assert shown.applied_version > before
            assert {"x.while.away": "2"} == device.folder.installed.load().settings


def _shown(view: Any) -> tuple[str, str, list[str]]:
    return view.state, view.icon, view.overlays


async def test_settings_behind_a_cut_link(tmp_path: Path, autojump_clock: MockClock) -> None:
    """OS 12 has them when it is connected again, OS 11 at its next boot (G2): whoever answers checks was not told."""
    async with open_mixed(tmp_path) as fleet:
        old, new = await fleet.on_board(1, 11), await fleet.on_board(1, 12)
        before = len(old.applied), len(new.applied)
        fleet.cut(old, new)
        changed = trio.current_time()
        await fleet.set(x_cut="1")
        await trio.sleep(60)
        assert [["exclamation"]] * 2 == [(await fleet.show(one)).overlays for one in (old, new)]
        failed = [told for told in await fleet.told(old, since=changed) if told[0] == "call-failed"]
        assert [("call-failed", about(changed + DIAL_SECONDS))] == failed

        fleet.mend(old, new)
        await trio.sleep(60)
        assert ["online"] * 2 == await fleet.states()
        assert [["exclamation"], []] == [(await fleet.show(one)).overlays for one in (old, new)]
        await switch_off(old)
        again = await fleet.on_board(1, 11)
        assert [] == (await fleet.show(again)).overlays
        assert (before[0], before[1] + 1) == (len(old.applied), len(new.applied))
        assert 1 == len(again.applied)


@pytest.mark.parametrize("steps", [2, 3, 4, 5, 6, 8])
async def test_connections_reset_during_a_push(tmp_path: Path, autojump_clock: MockClock, steps: int) -> None:
    """After so many ways of a packet: old settings or new ones, whole; in the end the newest, no version twice."""
    async with open_mixed(tmp_path) as fleet:
        devices = old, new = await fleet.on_board(1, 11), await fleet.on_board(1, 12)
        began = trio.current_time()
        await fleet.set(x_one="1", x_two="1")
        await trio.sleep((steps + 0.5) * LATENCY)
        fleet.reset(*devices)
        for device in devices:
            assert device.folder.settings.load().settings in ({}, {"x.one": "1", "x.two": "1"})
        await trio.sleep(AWAY_SECONDS + SOON)
        assert ["online"] * 2 == await fleet.states()
        await fleet.set(x_one="2", x_two="2")
        await trio.sleep(30)

        for device in devices:
            assert {"x.one": "2", "x.two": "2"} == device.folder.installed.load().settings
            assert sorted(set(device.applied)) == device.applied
            shown = await fleet.show(device)
            assert ([], device.applied[-1]) == (shown.overlays, shown.applied_version)
        told = await fleet.told(new, since=began)
        assert ("device-connected", about(began + WAITS.first)) in told
        failures = {"call-failed", "contact-broken"} & {kind for kind, _ in await fleet.told(old, since=began)}
        assert failures  # the call is longer than any of these


async def test_killed_server_comes_back(tmp_path: Path, autojump_clock: MockClock) -> None:
    """OS 12 comes back at the next of its growing waits; OS 11 is unknown until it has been asked."""
    async with open_mixed(tmp_path) as fleet:
        old, new = await fleet.on_board(1, 11), await fleet.on_board(1, 12)
        gone = await fleet.on_board(2, 11)
        killed = trio.current_time()
        await fleet.lab.kill_server()
        gone.power_off()
        await trio.sleep(10)
        started = trio.current_time()
        await fleet.lab.start_server()
        assert ["unknown", "offline", "unknown"] == await fleet.states()
        await trio.sleep(SILENCE + SOON)
        assert ["online", "offline", "offline"] == await fleet.states()
        await fleet.set(x_new="1")
        await trio.sleep(30)

        attempts = [killed + WAITS.first * (WAITS.factor**number - 1) for number in range(1, 6)]
        back = next(moment for moment in attempts if moment > started)
        told = await fleet.told(new, since=started)
        assert [("device-connected", about(back)), ("settings-applied", about(back))] == told
        assert [("settings-applied", about(started + SILENCE + SOON))] == await fleet.told(old, since=started)
        expected = ("device-unreachable", about(started + SILENCE))
        assert expected in await fleet.told(gone, since=started)
        assert ["online", "online", "offline"] == await fleet.states()
        assert [[], [], ["exclamation"]] == [(await fleet.show(one)).overlays for one in (old, new, gone)]


async def test_reboot_by_command(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Both are away as long as they boot; nobody who boots answers a check."""
    async with open_mixed(tmp_path) as fleet:
        old, new = await fleet.on_board(1, 11), await fleet.on_board(1, 12)
        sweep = await fleet.until_between_sweeps()
        ordered = trio.current_time()
        for device in (old, new):
            await ask(fleet.lab, device, CommandName.REBOOT)
        await trio.sleep(BOOT_SECONDS + 30)

        ends = {
            device.unit_id: min(
                moment
                for change, moment in zip(device.changes, device.moments, strict=True)
                if change.state in {State.CONTACTING, State.CONNECTING} and moment > ordered
            )
            for device in (old, new)
        }
        assert [about(ordered + BOOT_SECONDS)] * 2 == list(ends.values())
        up = ends[old.unit_id]
        asked = min(moment for moment, unit_id in fleet.probes if unit_id == old.unit_id and moment >= up)
        told = dict(await fleet.told(old, since=ordered))
        assert about(sweep + SWEEP + SILENCE) == told["device-unreachable"]
        assert about(up) == told["device-contact"]
        assert about(up) == told["device-booted"]
        assert about(asked) == told["device-reachable"]
        told = dict(await fleet.told(new, since=ordered))
        assert about(ends[new.unit_id]) == told["device-connected"]
        assert about(ends[new.unit_id]) == told["device-booted"]


@pytest.mark.parametrize("order", [CommandName.SUSPEND, CommandName.SHUTDOWN])
async def test_sleepers_wake(tmp_path: Path, autojump_clock: MockClock, order: CommandName) -> None:
    """Asleep or off: offline by the rule of each, until the magic packet comes (WL1, WL3, WL5); a device off boots."""
    async with open_mixed(tmp_path) as fleet:
        old, new = await fleet.on_board(1, 11), await fleet.on_board(1, 12)
        other = await fleet.on_board(2, 11)
        sweep = await fleet.until_between_sweeps()
        ordered = trio.current_time()
        for device in (old, new):
            assert ResultState.SUCCESS == (await ask(fleet.lab, device, order)).state
        await trio.sleep(600)
        assert [State.SUSPENDED if order is CommandName.SUSPEND else State.OFF] * 2 == [
            old.device.state,
            new.device.state,
        ]
        assert [("device-unreachable", about(sweep + SWEEP + SILENCE))] == await fleet.told(old, since=ordered)
        assert [("device-disconnected", about(ordered))] == await fleet.told(new, since=ordered)

        woken = await fleet.until_between_sweeps() + SWEEP / 2
        for device in (old, new):
            answer = await ask(fleet.lab, device, CommandName.WAKE_UP)
            assert ResultState.SUCCESS == answer.state
            assert device.address in answer.message
        await trio.sleep(30)
        assert ["online"] * 3 == await fleet.states()
        booted = [("device-booted", about(woken))] if order is CommandName.SHUTDOWN else []
        expected = [("device-contact", about(woken)), *booted, ("device-reachable", about(woken + SWEEP / 2))]
        assert expected == await fleet.told(old, since=woken)
        assert [("device-connected", about(woken)), *booted] == await fleet.told(new, since=woken)
        assert "booted" not in {kind for kind, _ in await fleet.told(other, since=ordered)}


async def test_imported_devices(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Never registered, in grey; registered, and then online by the rule of their generation."""
    async with open_mixed(tmp_path) as fleet:
        first = await fleet.on_board(9, 11)
        old, new = Member(fleet.lab, 1, 11), Member(fleet.lab, 1, 12)
        registry = fleet.lab.services.registry
        await registry.import_devices([ImportedDevice(one.unit_id) for one in (old, new)], actor="anna")
        assert [("never-registered", "grey", ["never-registered"])] * 2 == [
            _shown(await fleet.show(one)) for one in (old, new)
        ]
        sweep = await fleet.until_between_sweeps()
        began = trio.current_time()
        old, new = await fleet.switch_on(1, 11), await fleet.switch_on(1, 12)
        await trio.sleep(SOON)
        assert [("unknown", "grey"), ("online", "green")] == [_shown(await fleet.show(one))[:2] for one in (old, new)]
        await trio.sleep(2 * SWEEP)
        told = await fleet.told(old, since=began)
        assert ("os11-registered", about(began)) in told
        assert ("device-reachable", about(sweep + SWEEP)) in told
        told = await fleet.told(new, since=began)
        assert ("device-enrolled", about(began)) in told
        assert ("device-connected", about(began)) in told
        assert ("online", "green", []) == _shown(await fleet.show(first))


async def test_a_device_moves_to_os_12(tmp_path: Path, autojump_clock: MockClock) -> None:
    """O6: the same device with newer firmware keeps settings and name, and is online by the rule of OS 12 at once."""
    async with open_mixed(tmp_path) as fleet:
        old, other = await fleet.on_board(1, 11), await fleet.on_board(2, 11)
        await fleet.set(x_kept="1")
        await trio.sleep(10)
        before = await fleet.show(old)
        assert {"11": 2, "12": 0} == await _generations(fleet)
        await switch_off(old)

        moved = trio.current_time()
        new = Member(fleet.lab, 1, 12)
        new.folder, new.unit_id, new.address = old.folder, old.unit_id, old.address
        await fleet.start(new)
        await new.until_managed()
        assert {"11": 1, "12": 1} == await _generations(fleet)
        shown = await fleet.show(new)
        assert ("12", before.name, "online") == (shown.generation, shown.name, shown.state)
        assert {"x.kept": "1"} == new.folder.installed.load().settings
        await trio.sleep(30)
        asked = {unit_id for moment, unit_id in fleet.probes if moment > moved + SWEEP + SILENCE}
        assert {other.unit_id} == asked  # its presence is its session from now on (N10)


async def _generations(fleet: Mixed) -> dict[str, int]:
    return await fleet.lab.services.store.read(count_generations)
