# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.device_sessions: who may come in, what is kept of what devices say, who left."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
import trio
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import select

from tests.support import greeting
from umslab_protocol.machines.carrier import Closed
from umslab_protocol.wire.close_codes import CloseCode
from umslab_protocol.wire.inventory import DeviceInfo
from umslab_protocol.wire.messages import (
    Ack,
    Deregister,
    Error,
    Hello,
    Message,
    PullSettings,
    PushSysinfo,
    Result,
    Welcome,
)
from umslab_protocol.wire.orders import ResultState
from umslab_server.config import EnrolmentConfig
from umslab_server.device_sessions import DeviceSessions
from umslab_server.enrolment import KnownDevice
from umslab_server.sessions import Admitted, LiveSession, NotAdmitted
from umslab_server.store import StoreError
from umslab_server.tables import device

from .parts import HERE, Endpoint, Office, client_ca, open_office, peer, rendered_logs, unit_id
from .pumps import RecordingPump
from .world import Line, config, open_world

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from trio.testing import MockClock

    from .world import World

DAY = 86_400.0
NO_SUCH = unit_id(99)


def info(number: int = 1, **values: object) -> DeviceInfo:
    """What a device says about itself."""
    base = {"unitID": unit_id(number), "mac": unit_id(number), "firmwareVersion": "12.8.4", "productId": "UD3-LX"}
    return DeviceInfo(**{**base, **values})  # type: ignore[arg-type]


def told(answer: Admitted | NotAdmitted) -> tuple[int, str] | None:
    """Status and refusal of a device that may not come in."""
    return (answer.status, str(answer.refusal)) if isinstance(answer, NotAdmitted) else None


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """The folder of another server."""
    (tmp_path / "elsewhere").mkdir()
    return tmp_path / "elsewhere"


class TestAdmission:
    """By the certificate alone."""

    async def test_registered(self, office: Office, autojump_clock: MockClock) -> None:
        """It is let in, its certificate is in use from now on, and the registry knows from where it came."""
        certificate = await office.enrol(Endpoint(1), await office.mass_key())
        await trio.sleep(60)
        admitted = await office.admit(certificate)
        shown = await office.registry.show(unit_id(1))

        assert isinstance(admitted, Admitted)
        assert (unit_id(1), True) == (admitted.unit_id, admitted.known)
        assert (shown.last_contact, shown.last_ip) == ("2026-01-01T00:01:00.000Z", HERE)
        assert [one.first_used_at for one in shown.certificates] == ["2026-01-01T00:01:00.000Z"]
        assert [event.kind for event in await office.events()][-2:] == ["certificate-first-used", "device-connected"]

    async def test_first_use_is_once(self, office: Office) -> None:
        """Coming again is no first use."""
        certificate = await office.device(1)
        await office.use(certificate)

        assert len(await office.events("certificate-first-used")) == 1
        assert len(await office.events("device-connected")) == 2

    async def test_no_certificate(self, office: Office) -> None:
        """403 that names what is missing."""
        assert told(await office.admit(None)) == (403, "no-certificate")

    async def test_unknown_device(self, office: Office, elsewhere: Path) -> None:
        """L7: 410, different from every other refusal."""
        request = Endpoint(99)
        async with open_office(elsewhere) as other:
            certificate = await other.enrol(request, await other.mass_key())

            assert told(await office.admit(certificate)) == (410, "unknown-device")
        assert [(event.kind, event.unit_id, event.cause) for event in await office.events()] == [
            ("connect-refused", NO_SUCH, "unknown-device")
        ]

    async def test_certificate_of_somebody_else(self, office: Office, elsewhere: Path) -> None:
        """The device is known, but this certificate was never issued here: 403."""
        await office.device(1)
        async with open_office(elsewhere) as other:
            foreign = await other.enrol(Endpoint(1), await other.mass_key())

            assert told(await office.admit(foreign)) == (403, "refused")

    async def test_no_device_certificate(self, office: Office) -> None:
        """A certificate that names no device, and bytes that are none."""
        authority = client_ca().certificate.public_bytes(Encoding.DER)

        assert told(await office.admit(authority)) == (403, "refused")
        assert told(await office.admit(b"garbage")) == (403, "refused")

    async def test_revoked_and_superseded(self, office: Office) -> None:
        """403, each with its word."""
        secret = await office.mass_key()
        first = await office.device(1, secret=secret)
        second = await office.enrol(Endpoint(1), secret)
        await office.use(second)
        superseded = told(await office.admit(first))
        await office.registry.revoke(unit_id(1), actor="ann", reason="stolen")

        assert superseded == (403, "refused")
        assert told(await office.admit(second)) == (403, "revoked")
        assert [event.cause for event in await office.events("connect-refused")] == [
            "a newer certificate of this device is in use",
            "this certificate is revoked: stolen",
        ]

    @pytest.mark.parametrize("accept_expired", [False, True])
    async def test_expired(self, tmp_path: Path, autojump_clock: MockClock, *, accept_expired: bool) -> None:
        """X9: 403 expired, or let in by the switch."""
        async with open_office(tmp_path, accept_expired=accept_expired) as office:
            certificate = await office.device(1)
            await trio.sleep(400 * DAY)

            assert (None if accept_expired else (403, "expired")) == told(await office.admit(certificate))

    async def test_not_yet_valid(self, tmp_path: Path) -> None:
        """A certificate from the future is refused, also with the switch of X9."""
        async with open_office(tmp_path, accept_expired=True) as office:
            certificate = await office.device(1)
            office.clock._start -= timedelta(days=30)  # type: ignore[attr-defined]

            assert told(await office.admit(certificate)) == (403, "expired")

    async def test_busy(self, office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
        """503 with Retry-After when the registry takes no more, cannot be written, or the server stops."""
        certificate = await office.device(1)
        monkeypatch.setattr(office.store._waiting, "_most", 0)
        full = await office.admit(certificate)
        monkeypatch.undo()
        office.store._write_connection.exec_driver_sql("PRAGMA query_only = ON")
        with rendered_logs():
            broken = await office.admit(certificate)
        office.store._write_connection.exec_driver_sql("PRAGMA query_only = OFF")
        office.sessions.stop()
        stopping = await office.admit(certificate)

        assert [told(answer) for answer in (full, broken, stopping)] == [(503, "busy")] * 3
        assert isinstance(stopping, NotAdmitted)
        assert stopping.retry_after == 5.0


class TestSessions:
    """Presence: one session a device, the newest wins."""

    async def test_online_and_offline(self, tmp_path: Path, autojump_clock: MockClock) -> None:
        """After hello it is online; when it leaves, the feed says when, how and by whom."""
        async with open_world(tmp_path) as world:
            _, _, line = await world.device()
            online = (await world.services.registry.show(unit_id(1))).state
            await trio.sleep(60)
            await line.hang_up()
            await trio.sleep(1)
            shown = await world.services.registry.show(unit_id(1))
            (left,) = await world.events("device-disconnected")

        assert (online, shown.state) == ("online", "offline")
        assert (unit_id(1), "device", 1006) == (left.unit_id, left.actor, left.data["code"])
        assert (shown.last_contact or "")[:19] == "2026-01-01T00:01:00"

    async def test_newest_wins(self, tmp_path: Path, autojump_clock: MockClock) -> None:
        """The older session is closed with 4001, and only the newer one's end is a departure."""
        async with open_world(tmp_path) as world:
            endpoint, certificate, first = await world.device()
            second = await world.session(endpoint, certificate)
            closed = await first.closed()
            online = world.services.presence.is_online(unit_id(1))
            before = await world.events("device-disconnected")
            await second.hang_up()
            await trio.sleep(1)

            assert (closed.code, closed.by_peer) == (CloseCode.REPLACED, True)
            assert online
            assert len(before) == 0
            assert len(await world.events("device-disconnected")) == 1

    async def test_hello_of_another(self, tmp_path: Path, autojump_clock: MockClock) -> None:
        """A hello that names another device than the certificate ends the session, is counted, and nobody is online."""
        async with open_world(tmp_path) as world:
            endpoint = Endpoint(1)
            line = await world.open(endpoint, await world.certificate(endpoint), unit_id=unit_id(2))
            assert isinstance(line, Line)
            closed = await line.closed()

            assert (
                closed.code,
                closed.reason,
            ) == (CloseCode.REFUSED, "hello names another unit ID than the certificate")
            assert len(world.services.presence) == 0
            assert world.services.sessions.mismatches == 1

    async def test_without_hello(self, tmp_path: Path, autojump_clock: MockClock) -> None:
        """Who opens and says nothing is closed with 4008 after ten seconds."""
        async with open_world(tmp_path) as world:
            endpoint = Endpoint(1)
            line = await world.open(endpoint, await world.certificate(endpoint), hello=False)
            assert isinstance(line, Line)
            started = trio.current_time()
            closed = await line.closed()

            assert (closed.code, closed.reason) == (CloseCode.SILENT, "the greeting did not come in time")
            assert 10 <= trio.current_time() - started <= 11
            assert await world.events("device-disconnected") == []

    async def test_revoked_while_connected(self, tmp_path: Path, autojump_clock: MockClock) -> None:
        """SE4: revoking ends the session at once."""
        async with open_world(tmp_path) as world:
            _, _, line = await world.device()
            await world.services.registry.revoke(unit_id(1), actor="ann", reason="stolen")
            closed = await line.closed()

            assert (closed.code, closed.reason) == (CloseCode.REFUSED, "stolen")

    async def test_replaced_while_connected(self, tmp_path: Path, autojump_clock: MockClock) -> None:
        """With `known_device = "replace"` a new enrolment ends the session that stands on the older certificate."""
        enrolment = EnrolmentConfig(known_device=KnownDevice.REPLACE)
        async with open_world(tmp_path, config(enrolment=enrolment)) as world:
            _, _, line = await world.device()
            await world.certificate(Endpoint(1))
            closed = await line.closed()

            assert (closed.code, closed.reason) == (CloseCode.REFUSED, "this device enrolled again")

    async def test_revoked_before_hello(self, tmp_path: Path, autojump_clock: MockClock) -> None:
        """Holding back hello does not outlive a revocation."""
        async with open_world(tmp_path) as world:
            endpoint = Endpoint(1)
            line = await world.open(endpoint, await world.certificate(endpoint), hello=False)
            assert isinstance(line, Line)
            await world.services.registry.revoke(unit_id(1), actor="ann", reason="stolen")
            await line.flush()
            closed = await line.closed()

            assert (closed.code, closed.reason) == (CloseCode.REFUSED, "this certificate is revoked: stolen")

    async def test_purged_before_hello(self, tmp_path: Path, autojump_clock: MockClock) -> None:
        """A device that was deleted while it said hello is told at once."""
        async with open_world(tmp_path) as world:
            endpoint = Endpoint(1)
            line = await world.open(endpoint, await world.certificate(endpoint), hello=False)
            assert isinstance(line, Line)
            await world.services.registry.purge(unit_id(1), actor="ann")
            await line.flush()

            assert isinstance(await line.next(), Welcome)
            assert isinstance(await line.next(), Deregister)

    async def test_registry_unreadable_at_hello(self, tmp_path: Path, autojump_clock: MockClock) -> None:
        """A session nobody can judge is closed as busy."""
        async with open_world(tmp_path) as world:
            endpoint = Endpoint(1)
            line = await world.open(endpoint, await world.certificate(endpoint), hello=False)
            assert isinstance(line, Line)
            await world.services.store.change(
                lambda writer: writer.connection.exec_driver_sql("ALTER TABLE certificate RENAME TO hidden")
            )
            await line.flush()

            assert (await line.closed()).code == CloseCode.BUSY

    async def test_hello_while_stopping(self, tmp_path: Path, autojump_clock: MockClock) -> None:
        """Who says hello to a server that is stopping is sent away with 1001."""
        async with open_world(tmp_path) as world:
            endpoint = Endpoint(1)
            line = await world.open(endpoint, await world.certificate(endpoint), hello=False)
            assert isinstance(line, Line)
            world.server.stop()
            await trio.sleep(0.1)
            await line.flush()

            assert (await line.closed()).code == CloseCode.GOING_AWAY


class TestDeviceInfo:
    """L1: what a device says about itself is kept, once."""

    async def test_kept(self, tmp_path: Path, autojump_clock: MockClock) -> None:
        """Acknowledged when it is stored; some of it becomes attributes of the device."""
        async with open_world(tmp_path) as world:
            _, _, line = await world.device()
            said = info(mac="00:E0:C5:14:32:5B", umsStructuralTag="hall-1", serialNumber="SN-7", memorySize=4096)
            answer = await line.tell(said, 41)
            shown = await world.services.registry.show(unit_id(1))

            assert Ack(re=41) == answer
            assert (
                shown.firmware,
                shown.mac,
                shown.structure_tag,
                shown.serial_number,
            ) == ("12.8.4", "00E0C514325B", "hall-1", "SN-7")
            assert (shown.info["memorySize"], shown.info["productId"]) == (4096, "UD3-LX")

    async def test_stored_only_when_changed(self, tmp_path: Path, autojump_clock: MockClock) -> None:
        """Equal information is acknowledged without a write, also in the next session; a change back is a change."""
        async with open_world(tmp_path) as world:
            endpoint, certificate, line = await world.device()
            firmwares = ["12.1", "12.1", "12.2", "12.1", "12.1"]
            answers = [await line.tell(info(firmwareVersion=text), at) for at, text in enumerate(firmwares, 1)]
            stored = (await world.services.registry.show(unit_id(1))).firmware
            again = await world.session(endpoint, certificate)
            answers.append(await again.tell(info(firmwareVersion="12.1"), 9))

            assert [Ack(re=number) for number in (1, 2, 3, 4, 5, 9)] == answers
            assert stored == "12.1"
            assert len(await world.events("device-info")) == 3

    async def test_about_another_device(self, tmp_path: Path, autojump_clock: MockClock) -> None:
        """Nobody speaks for another device."""
        async with open_world(tmp_path) as world:
            _, _, line = await world.device()
            answer = await line.tell(info(2), 5)

            assert Error(code="wrong-unit-id", message="the information names another device", re=5) == answer
            assert await world.events("device-info") == []

    async def test_odd_mac_and_nothing_to_tell(self, tmp_path: Path, autojump_clock: MockClock) -> None:
        """What is no MAC address does not replace one, and empty values do not erase what people entered."""
        async with open_world(tmp_path) as world:
            _, _, line = await world.device()
            await world.services.registry.edit(unit_id(1), {"serial_number": "by hand"}, actor="ann")
            await line.tell(info(mac="none"))
            shown = await world.services.registry.show(unit_id(1))

            assert (unit_id(1), "by hand") == (shown.mac, shown.serial_number)

    async def test_registry_that_cannot_be_written(self, tmp_path: Path, autojump_clock: MockClock) -> None:
        """What could not be stored is not acknowledged; the session goes on, and the next try succeeds."""
        async with open_world(tmp_path) as world:
            _, _, line = await world.device()
            world.services.store._write_connection.exec_driver_sql("PRAGMA query_only = ON")
            with rendered_logs():
                refused = await line.tell(info(), 1)
            world.services.store._write_connection.exec_driver_sql("PRAGMA query_only = OFF")

            assert isinstance(refused, Error)
            assert (refused.code, refused.re) == ("busy", 1)
            assert Ack(re=2) == await line.tell(info(), 2)

    async def test_unasked_answers(self, tmp_path: Path, autojump_clock: MockClock) -> None:
        """Acknowledgements and errors nobody asked for change nothing."""
        async with open_world(tmp_path) as world:
            _, _, line = await world.device()
            await line.send(Ack(re=1))
            await line.send(Error(code="x", message="y"))

            assert Ack(re=2) == await line.tell(info(), 2)


class TestDeleted:
    """L4: a deleted device is told so once, now or at its next connection."""

    async def tombstones(self, world: World) -> list[str]:
        """Who is still to be told."""
        query = "SELECT unit_id FROM tombstone"
        return list(
            await world.services.store.read(lambda connection: connection.exec_driver_sql(query).scalars().all())
        )

    async def test_while_online(self, tmp_path: Path, autojump_clock: MockClock) -> None:
        """It is told at once; its acknowledgement ends session and tombstone; afterwards it is unknown."""
        async with open_world(tmp_path) as world:
            endpoint, certificate, line = await world.device()
            await world.services.registry.purge(unit_id(1), actor="ann")
            told_it = await line.next()
            before = await self.tombstones(world)
            assert isinstance(told_it, Deregister)
            await line.send(Ack(re=told_it.id))
            closed = await line.closed()
            refused = await world.open(endpoint, certificate)

            assert [unit_id(1)] == before
            assert closed.code == CloseCode.DEREGISTERED
            assert await self.tombstones(world) == []
            assert not isinstance(refused, Line)
            assert (refused.status, refused.header("Umslab-Refusal")) == (410, "unknown-device")
            assert [event.kind for event in await world.events("device-deregistered")] == ["device-deregistered"]

    async def test_at_next_connection(self, tmp_path: Path, autojump_clock: MockClock) -> None:
        """Deleted while away, also across a restart: let in, told, and asked for nothing else."""
        endpoint = Endpoint(1)
        async with open_world(tmp_path) as world:
            certificate = await world.certificate(endpoint)
            line = await world.session(endpoint, certificate)
            await line.hang_up()
            await world.services.registry.purge(unit_id(1), actor="ann")
        async with open_world(tmp_path) as world:
            line = await world.session(endpoint, certificate)
            told_it = await line.next()
            assert isinstance(told_it, Deregister)
            online = len(world.services.presence)
            await line.send(Ack(re=told_it.id + 1))
            ignored = await self.tombstones(world)
            await line.send(Ack(re=told_it.id))
            closed = await line.closed()

            assert online == 0
            assert [unit_id(1)] == ignored
            assert await self.tombstones(world) == []
            assert closed.code == CloseCode.DEREGISTERED
            assert await world.events("device-disconnected") == []

    async def test_without_acknowledgement(self, tmp_path: Path, autojump_clock: MockClock) -> None:
        """A device that leaves without a word is told again."""
        async with open_world(tmp_path) as world:
            endpoint, certificate, line = await world.device()
            await world.services.registry.purge(unit_id(1), actor="ann")
            first = await line.next()
            await line.hang_up()
            line = await world.session(endpoint, certificate)
            second = await line.next()

            assert isinstance(first, Deregister)
            assert isinstance(second, Deregister)
            assert [unit_id(1)] == await self.tombstones(world)

    async def test_enrolled_again_before_the_acknowledgement(self, tmp_path: Path, autojump_clock: MockClock) -> None:
        """A device that is registered again meanwhile has nothing left to acknowledge: it stays registered."""
        async with open_world(tmp_path) as world:
            endpoint, _, line = await world.device()
            await world.services.registry.purge(unit_id(1), actor="ann")
            told_it = await line.next()
            assert isinstance(told_it, Deregister)
            certificate = await world.certificate(endpoint)
            await line.send(Ack(re=told_it.id))
            closed = await line.closed()
            await world.session(endpoint, certificate)

            assert closed.code == CloseCode.DEREGISTERED
            assert await world.events("device-deregistered") == []

    async def test_what_it_says_is_not_kept(self, tmp_path: Path, autojump_clock: MockClock) -> None:
        """Information of a deleted device is neither stored nor acknowledged, online or back again."""
        async with open_world(tmp_path) as world:
            endpoint, certificate, line = await world.device()
            await world.services.registry.purge(unit_id(1), actor="ann")
            told_it = await line.next()
            again = await world.session(endpoint, certificate)
            for each in (line, again):
                await each.send(PushSysinfo(id=1, info=info()))
            await trio.sleep(1)

            assert isinstance(told_it, Deregister)
            assert await world.events("device-info") == []

    async def test_registry_that_cannot_be_written(self, tmp_path: Path, autojump_clock: MockClock) -> None:
        """A tombstone that cannot be removed stays; the device is let go all the same, and nothing breaks."""
        async with open_world(tmp_path) as world:
            _, _, line = await world.device()
            await world.services.registry.purge(unit_id(1), actor="ann")
            told_it = await line.next()
            assert isinstance(told_it, Deregister)
            world.services.store._write_connection.exec_driver_sql("PRAGMA query_only = ON")
            with rendered_logs() as logs:
                await line.send(Ack(re=told_it.id))
                closed = await line.closed()
                await trio.sleep(1)
            world.services.store._write_connection.exec_driver_sql("PRAGMA query_only = OFF")

            assert closed.code == CloseCode.DEREGISTERED
            assert [unit_id(1)] == await self.tombstones(world)
            assert not [line for line in logs if "defect" in line]


class TestLeaving:
    """`left` is a note in the feed, never more."""

    async def test_mailbox_full(
        self, tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """When the registry takes no more, a departure is forgotten and nothing breaks."""
        async with open_world(tmp_path) as world:
            _, _, line = await world.device()
            monkeypatch.setattr(world.services.store._waiting, "_most", 0)
            await line.hang_up()
            await trio.sleep(1)
            monkeypatch.undo()

            assert await world.events("device-disconnected") == []
            assert len(world.services.presence) == 0

    async def test_purged_meanwhile(self, tmp_path: Path, autojump_clock: MockClock) -> None:
        """Of a device that is gone there is nothing to note."""
        async with open_world(tmp_path) as world:
            _, _, line = await world.device()
            await world.services.registry.purge(unit_id(1), actor="ann")
            await line.hang_up()
            await trio.sleep(1)

            assert await world.events("device-disconnected") == []


class Greeter:
    """Somebody who wants to know of every hello."""

    def __init__(self) -> None:
        self.greeted: list[tuple[str, bool]] = []

    async def __call__(self, session: LiveSession, hello: Hello, booted: bool) -> None:  # noqa: FBT001
        """Take note."""
        await trio.lowlevel.checkpoint()
        assert session.unit_id == hello.unitID
        self.greeted.append((hello.boot, booted))


class TestGreeting:
    """What happens after a hello."""

    async def hello(
        self, office: Office, certificate: bytes, *, boot: str, greeters: Sequence[Greeter] = ()
    ) -> LiveSession:
        """A device connects and says hello."""
        sessions = DeviceSessions(
            office.store, office.reach, clock=office.clock, accept_expired=False, handlers={}, on_greeted=greeters
        )
        admitted = await sessions.admit(peer(certificate))
        assert isinstance(admitted, Admitted)
        session = LiveSession(admitted, "s1", RecordingPump())
        await sessions.received(session, greeting.hello(unit_id(1), boot=boot))
        return session

    async def test_whether_it_has_booted(self, office: Office) -> None:
        """The first time, and whenever `boot` differs from what was said before, also across restarts of the server."""
        certificate = await office.device(1)
        first, second = Greeter(), Greeter()
        for boot in ("a", "a", "b", "a", "a"):
            await self.hello(office, certificate, boot=boot, greeters=[first, second])

        assert first.greeted == [("a", True), ("a", False), ("b", True), ("a", True), ("a", False)]
        assert first.greeted == second.greeted
        assert [event.data["boot"] for event in await office.events("device-booted")] == ["a", "b", "a"]

    async def test_when_it_booted(self, office: Office, autojump_clock: MockClock) -> None:
        """The moment of the hello that said so."""
        certificate = await office.device(1)
        for _ in range(2):
            autojump_clock.jump(60)
            await self.hello(office, certificate, boot="a")
        query = select(device.c.boot, device.c.booted_at)
        found = await office.store.read(lambda connection: connection.execute(query).one())

        assert tuple(found) == ("a", "2026-01-01T00:01:00.000Z")

    async def test_a_device_that_does_not_say(self, office: Office) -> None:
        """Without `boot` nothing is known, and nothing is noted."""
        greeter = Greeter()
        await self.hello(office, await office.device(1), boot="", greeters=[greeter])

        assert greeter.greeted == [("", False)]
        assert await office.events("device-booted") == []

    async def test_a_boot_that_cannot_be_noted(self, office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
        """It counts as one, now and at the next hello."""
        certificate = await office.device(1)
        greeter = Greeter()
        change = office.store.change
        calls: list[object] = []

        async def full_at_the_boot(work: Any) -> Any:
            calls.append(work)
            if len(calls) == 2:  # the first is the admission
                raise StoreError("full")
            return await change(work)

        monkeypatch.setattr(office.store, "change", full_at_the_boot)
        await self.hello(office, certificate, boot="a", greeters=[greeter])
        monkeypatch.undo()
        await self.hello(office, certificate, boot="a", greeters=[greeter])

        assert greeter.greeted == [("a", True), ("a", True)]

    async def test_nobody_is_told_of_those_who_may_not_stay(self, office: Office) -> None:
        """Deleted, revoked, or saying hello in another name; purged between admission and hello."""
        certificate = await office.device(1)
        greeter = Greeter()
        sessions = DeviceSessions(
            office.store, office.reach, clock=office.clock, accept_expired=False, handlers={}, on_greeted=[greeter]
        )
        admitted = [await sessions.admit(peer(certificate)) for _ in range(2)]
        pumps = [RecordingPump() for _ in admitted]
        first, second = (
            LiveSession(one, "s", pump) for one, pump in zip(admitted, pumps, strict=True) if isinstance(one, Admitted)
        )
        await sessions.received(first, greeting.hello(unit_id(2)))
        await office.registry.purge(unit_id(1), actor="ann")
        await sessions.received(second, greeting.hello(unit_id(1)))
        third = await self.hello(office, certificate, boot="a", greeters=[greeter])

        assert greeter.greeted == []
        assert [code for code, _ in pumps[0].closes] == [CloseCode.REFUSED]
        assert [type(message) for message in pumps[1].sent] == [Deregister]
        assert third.told_deleted

    async def test_what_nobody_handles(self, office: Office) -> None:
        """It is answered with an error that names it, never with a broken session."""
        session = await self.hello(office, await office.device(1), boot="a")
        sessions = DeviceSessions(
            office.store, office.reach, clock=office.clock, accept_expired=False, handlers={}, on_greeted=[]
        )
        await sessions.received(session, PullSettings(id=7))
        pump = session.pump

        assert isinstance(pump, RecordingPump)
        assert pump.sent == [Error(code="unsupported", message="this server does nothing with pullsettings", re=7)]

    async def test_answers_find_who_asked(self, office: Office) -> None:
        """Acknowledgements, errors and results of the device; the end of the session answers the rest."""
        session = await self.hello(office, await office.device(1), boot="a")
        answers: list[object] = []
        for _ in range(4):
            session.order(lambda number: Deregister(id=number), answers.append)
        given: list[Message] = [
            Ack(re=1),
            Error(code="c", message="m", re=2),
            Result(re=3, execID="x", state=ResultState.FAILED),
        ]
        for one in given:
            await office.sessions.received(session, one)
        office.sessions.left(session, Closed(CloseCode.NORMAL, "bye", by_peer=True))

        assert answers == [*given, None]
