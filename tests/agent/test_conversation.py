# SPDX-License-Identifier: Apache-2.0
"""What a device says on its session, and when it counts as managed."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import trio

from tests.agent.desk import QUIET, Desk, open_desk
from tests.support.lab import EPOCH
from umslab_agent.behaviour import DeviceBehaviour
from umslab_certs.authority import create_root
from umslab_certs.chain import to_pem
from umslab_certs.keys import KeyType
from umslab_protocol.machines.device_life import State
from umslab_protocol.wire.close_codes import CloseCode
from umslab_protocol.wire.inventory import DeviceAttribute
from umslab_protocol.wire.messages import (
    Ack,
    Connectors,
    Deregister,
    Error,
    Heartbeat,
    Hello,
    PullSettings,
    PushAssetEvents,
    PushDeviceAttributes,
    PushLogonEvents,
    PushRuntime,
    PushSysinfo,
    Roots,
    SettingsMessage,
)
from umslab_protocol.wire.orders import Connector

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

    from tests.support.lab import LabDevice

LOG_ON = {"system.remotemanager.log_authentication": "true"}


async def test_attributes_are_told(tmp_path: Path, autojump_clock: MockClock) -> None:
    """What its behaviour says it writes, once a session (11.2)."""
    async with open_desk(tmp_path) as desk:
        device = desk.device(behaviour=DeviceBehaviour(attributes={"room": "B 2.17"}))
        await device.until_managed()
        session = await desk.session()
        told = [one for one in session.received if isinstance(one, PushDeviceAttributes)]

        assert [[DeviceAttribute(identifier="room", value="B 2.17")]] == [one.attributes for one in told]


async def test_the_first_words(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Hello with boot and digests, then what it is and what it is to have, with ids from one counter."""
    async with open_desk(tmp_path) as desk:
        device = desk.device()
        await device.until_managed()
        session = await desk.session()

        assert ("1", "", "") == (session.hello.boot, session.hello.connectors, session.hello.roots)
        first, second = session.received[1:3]
        assert isinstance(first, PushSysinfo)
        assert isinstance(second, PullSettings)
        assert (1, 2, 0, "") == (first.id, second.id, second.version, second.digest)
        assert device.device.persona.unit_id == first.info.unitID
        assert "2026-01-01 00:00" == first.info.lastBoottime
        assert first.info.networkAdapters[0].mac == device.device.persona.mac


async def test_managed_needs_both_answers(tmp_path: Path, autojump_clock: MockClock) -> None:
    """The information acknowledged and the question answered: one alone is not enough."""
    for silent in (PushSysinfo, PullSettings):
        async with open_desk(tmp_path / silent.__name__) as desk:
            desk.silent_about = {silent}
            device = desk.device()
            await device.until_state(State.ONLINE)
            await trio.sleep(100)

            assert not device.device.managed


async def test_settings_that_come_are_stored_before_it_is_managed(tmp_path: Path, autojump_clock: MockClock) -> None:
    """The document is on the disk when its acknowledgement and the state managed are seen."""
    async with open_desk(tmp_path) as desk:
        desk.settings(3, {"a.b": "c"})
        device = desk.device()
        await device.until_managed()
        session = await desk.session()
        kept = device.folder.settings.load()

        assert (3, "d3", {"a.b": "c"}) == (kept.version, kept.digest, kept.settings)
        assert 1 == (await session.until_kind(Ack)).re


async def test_a_refused_question_is_asked_again(tmp_path: Path, autojump_clock: MockClock) -> None:
    """After a minute; until then the device is not managed."""
    async with open_desk(tmp_path) as desk:
        desk.silent_about = {PullSettings}
        device = desk.device()
        session = await desk.session()
        pull = await session.until_kind(PullSettings)
        session.pump.send(Error(code="busy", message="later", re=pull.id))
        desk.silent_about = set()
        asked = trio.current_time()
        await device.until_managed()

        assert 60 <= trio.current_time() - asked < 61


async def test_what_a_busy_server_did_not_hear_is_told_again(tmp_path: Path, autojump_clock: MockClock) -> None:
    """After a minute, and only then the device is managed: what it is was not stored before."""
    async with open_desk(tmp_path) as desk:
        desk.silent_about = {PushSysinfo}
        device = desk.device()
        session = await desk.session()
        push = await session.until_kind(PushSysinfo)
        session.pump.send(Error(code="busy", message="later", re=push.id))
        desk.silent_about = set()
        told = trio.current_time()
        await device.until_managed()

        assert 60 <= trio.current_time() - told < 61


async def test_older_settings_are_ignored_and_acknowledged(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Whatever order pushes come in, the newest version stays."""
    async with open_desk(tmp_path) as desk:
        device = desk.device()
        await device.until_managed()
        session = await desk.session()
        new, old = desk.settings(5, {"a": "new"}), desk.settings(4, {"a": "old"})
        answers = [await desk.push(session, document) for document in (new, old, new)]

        assert [Ack] * 3 == [type(answer) for answer in answers]
        assert (5, {"a": "new"}) == (device.folder.settings.load().version, device.folder.settings.load().settings)


async def test_a_server_that_was_set_back_is_believed(tmp_path: Path, autojump_clock: MockClock) -> None:
    """The answer to the first question of a session counts, also with an older version (a restored backup)."""
    async with open_desk(tmp_path) as desk:
        device = desk.device()
        await device.until_managed()
        await desk.push(await desk.session(), desk.settings(5, {"a": "new"}))
        desk.settings(2, {"a": "restored"})
        (await desk.session()).pump.close(CloseCode.GOING_AWAY, "restored")
        device.changes.clear()
        await device.until_managed()

        assert 2 == device.folder.settings.load().version


async def test_a_reconnect_is_no_boot(tmp_path: Path, autojump_clock: MockClock) -> None:
    """The boot number stays over a reconnect and grows with each start."""
    async with open_desk(tmp_path) as desk:
        device = desk.device()
        await device.until_managed()
        (await desk.session()).pump.close(CloseCode.GOING_AWAY, "a restart")
        second = await desk.session(2)
        device.power_off()
        await device.over.wait()
        desk.device()
        third = await desk.session(3)

        assert ["1", "2"] == [second.hello.boot, third.hello.boot]


async def test_connectors_and_roots_are_kept_and_named(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Durable, then acknowledged, then named in the next hello; the new root is pinned (C36)."""
    other = create_root("another root", KeyType.P256, now=EPOCH)
    async with open_desk(tmp_path, hosts=("ums.lab", "two.lab")) as desk:
        device = desk.device()
        await device.until_managed()
        session = await desk.session()
        connectors = [Connector(host="two.lab", port=8443)]
        pem = to_pem([desk.root.certificate, other.certificate]).decode()
        one = await session.order(lambda number: Connectors(id=number, digest="c1", connectors=connectors))
        two = await session.order(lambda number: Roots(id=number, digest="r1", pem=pem))
        session.pump.close(CloseCode.GOING_AWAY, "again")
        again = await desk.session(2)

        assert [Ack, Ack] == [type(one), type(two)]
        assert ("c1", "r1", "two.lab") == (again.hello.connectors, again.hello.roots, again.host)
        assert [desk.root.certificate, other.certificate] == device.folder.load_trust()[0]


async def test_what_cannot_be_kept_is_not_acknowledged(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Roots that are none and hosts that are none: an error names why, and the old ones stay."""
    async with open_desk(tmp_path) as desk:
        device = desk.device()
        await device.until_managed()
        session = await desk.session()
        before = device.folder.load_trust()
        roots = await session.order(lambda number: Roots(id=number, digest="r1", pem="nonsense"))
        bad = [Connector(host="no host", port=1)]
        connectors = await session.order(lambda number: Connectors(id=number, digest="c1", connectors=bad))
        place = await session.order(lambda number: Connectors(id=number, digest="c1", connectors=[], enrolment="x/.."))

        assert [("not-stored", True)] * 3 == [
            (answer.code, bool(answer.message)) for answer in (roots, connectors, place) if isinstance(answer, Error)
        ]
        assert before == device.folder.load_trust()
        assert "" == device.folder.announced_roots.load().digest


async def test_a_damaged_document_is_no_traceback(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Somebody breaks the settings file under a running device: the push is refused in words."""
    async with open_desk(tmp_path) as desk:
        device = desk.device()
        await device.until_managed()
        session = await desk.session()
        device.folder.settings.path.write_bytes(b"{")
        answer = await desk.push(session, desk.settings(2))

        assert isinstance(answer, Error)
        assert "settings.json is damaged" in answer.message


async def test_deregistered(tmp_path: Path, autojump_clock: MockClock) -> None:
    """It acknowledges, forgets the server and its settings, and ends (L4)."""
    async with open_desk(tmp_path) as desk:
        desk.settings(3, {"a": "b"})
        device = desk.device()
        await device.until_managed()
        session = await desk.session()
        assert isinstance(await session.order(lambda number: Deregister(id=number, reason="deleted")), Ack)
        session.pump.close(CloseCode.DEREGISTERED, "deleted")
        await device.over.wait()

        assert State.RELEASED is device.ended
        assert (0, False) == (device.folder.settings.load().version, device.folder.identity_file.exists())
        assert [] == list(device.folder.path.glob("self-release-*"))


async def test_the_heartbeat(tmp_path: Path, autojump_clock: MockClock) -> None:
    """As welcome tells: the interval, and up to the offset later by chance (section 9)."""
    heartbeat = Heartbeat(intervalSeconds=3_600, offsetSeconds=600)
    async with open_desk(tmp_path, rules=replace(QUIET, heartbeat=heartbeat)) as desk:
        device = desk.device(behaviour=DeviceBehaviour(battery=True))
        await device.until_managed()
        session = await desk.session()
        await trio.sleep(10 * 3_600)
        beats = session.of_kind(PushRuntime)

        assert 8 <= len(beats) <= 10
        uptimes = [int(beat.runtime.totalUptime) / 1_000 for beat in beats]
        gaps = [later - earlier for earlier, later in pairwise(uptimes)]
        assert all(3_600 <= gap <= 4_201 for gap in gaps)
        assert len(set(gaps)) > 1
        assert all(0 <= beat.runtime.batteryLevel <= 100 for beat in beats)


async def _quiet_online(desk: Desk, behaviour: DeviceBehaviour) -> LabDevice:
    device = desk.device(behaviour=behaviour)
    await device.until_managed()
    return device


async def test_log_ons_are_told_only_when_asked_for(tmp_path: Path, autojump_clock: MockClock) -> None:
    """`log_authentication` is off by default; once on, each log-on and log-off comes when it happens."""
    async with open_desk(tmp_path) as desk:
        device = await _quiet_online(desk, DeviceBehaviour(log_ons_per_day=20))
        session = await desk.session()
        await trio.sleep(86_400)
        assert [] == session.of_kind(PushLogonEvents)

        await desk.push(session, desk.settings(1, LOG_ON))
        await trio.sleep(2 * 86_400)
        events = [event for push in session.of_kind(PushLogonEvents) for event in push.events]

        assert 60 <= len(events) <= 90
        assert all(event.logintime.startswith("2026-01-0") for event in events)
        assert {True, False} == {bool(event.logofftime) for event in events}
        assert device.device.managed


async def test_events_that_a_busy_server_did_not_hear_are_told_again(tmp_path: Path, autojump_clock: MockClock) -> None:
    """In the next session; what was refused for another reason is not."""
    async with open_desk(tmp_path) as desk:
        desk.settings(1, LOG_ON)
        device = await _quiet_online(desk, DeviceBehaviour(log_ons_per_day=20))
        desk.silent_about = {PushLogonEvents}
        told = []
        for number, code in enumerate(("busy", "unsupported"), 1):
            session = await desk.session(number)
            told.append(await session.until_kind(PushLogonEvents))
            session.pump.send(Error(code=code, message="no", re=told[-1].id))
            await trio.sleep(1)
            session.pump.close(CloseCode.GOING_AWAY, "again")
        third = await desk.session(3)
        await device.until_managed()
        await trio.sleep(60)

        assert told[0].events == told[1].events[: len(told[0].events)]
        assert not set(told[1].events) & {event for push in third.of_kind(PushLogonEvents) for event in push.events}


async def test_unacknowledged_events_are_told_again(tmp_path: Path, autojump_clock: MockClock) -> None:
    """After a reconnect, with those that have happened meanwhile; acknowledged ones are not."""
    async with open_desk(tmp_path) as desk:
        desk.settings(1, LOG_ON)
        device = await _quiet_online(desk, DeviceBehaviour(log_ons_per_day=20))
        desk.silent_about = {PushLogonEvents}
        first = await desk.session()
        told = await first.until_kind(PushLogonEvents)
        await trio.sleep(86_400)
        assert 1 == len(first.of_kind(PushLogonEvents))

        desk.silent_about = set()
        first.pump.close(CloseCode.GOING_AWAY, "again")
        second = await desk.session(2)
        again = await second.until_kind(PushLogonEvents)
        second.pump.close(CloseCode.GOING_AWAY, "again")
        third = await desk.session(3)
        await device.until_managed()

        assert told.events == again.events[: len(told.events)]
        assert len(again.events) > len(told.events)
        assert not set(again.events) & {event for push in third.of_kind(PushLogonEvents) for event in push.events}


async def test_assets_come_and_go(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Told six seconds after they happened (AI3), those of the boot first; switched off by the parameter."""
    async with open_desk(tmp_path) as desk:
        await _quiet_online(desk, DeviceBehaviour(assets_per_day=10))
        session = await desk.session()
        first = await session.until_kind(PushAssetEvents)
        assert ["add_on_boot", "add_on_boot"] == [event.event for event in first.events]
        await trio.sleep(86_400)
        kinds = {event.event for push in session.of_kind(PushAssetEvents) for event in push.events}
        assert {"add", "remove", "add_on_boot"} == kinds

        await desk.push(session, desk.settings(1, {"system.remotemanager.ait.enable": "false"}))
        await trio.sleep(60)
        count = len(session.of_kind(PushAssetEvents))
        await trio.sleep(3 * 86_400)
        assert count == len(session.of_kind(PushAssetEvents))


async def test_a_changed_device_says_so(tmp_path: Path, autojump_clock: MockClock) -> None:
    """A new monitor is told when it comes, and the structure tag of the settings (6.2)."""
    async with open_desk(tmp_path) as desk:
        await _quiet_online(desk, DeviceBehaviour(sysinfo_changes_per_day=2))
        session = await desk.session()
        await trio.sleep(5 * 86_400)
        told = session.of_kind(PushSysinfo)
        await desk.push(session, desk.settings(1, {"system.remotemanager.ums_structure_tag": "HQ"}))
        await session.until(lambda said: isinstance(said, PushSysinfo) and said.info.umsStructuralTag == "HQ")

        assert 10 <= len(told) <= 12
        assert len({push.info.monitorModel1 for push in told}) > 1


async def test_an_idle_session_has_no_job(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Nothing but the reading task is left of a device with nothing to do."""
    async with open_desk(tmp_path) as desk:
        device = await _quiet_online(desk, DeviceBehaviour())
        session = await desk.session()
        await desk.push(session, desk.settings(1, {"a": "b"}))
        await device.until_happening("settings version 1 applied")
        await trio.sleep(1)

        assert "install" not in device.device._unit.jobs
        assert "commands" not in device.device._unit.jobs
        assert [Hello, PushSysinfo, PullSettings] == [type(message) for message in session.received[:3]]
        assert SettingsMessage not in {type(message) for message in session.received}
