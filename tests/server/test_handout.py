# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.handout."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select

from umslab_protocol.wire.messages import Connectors, Roots
from umslab_server.handout import TOLD_AT_ONCE, Handout, Wanted, is_active
from umslab_server.sessions import Admitted, LiveSession
from umslab_server.store import timestamp
from umslab_server.tables import device

from .parts import EPOCH, YEAR, Office, unit_id
from .pumps import RecordingPump
from .visits import Visit, settled, visit

if TYPE_CHECKING:
    from umslab_protocol.wire.messages import Hello


def wanted(digest: str, *, to_new: bool = True) -> Wanted:
    """A list of roots that is only a name."""
    return Wanted(digest, lambda number: Roots(id=number, digest=digest, pem=""), to_new=to_new)


def hand_out(office: Office) -> Handout:
    """A handout that greets all devices of the office."""
    handout = Handout(office.store, office.presence, "roots")

    async def greeted(session: LiveSession, hello: Hello, booted: object) -> None:
        await handout.greeted(session, hello.roots)

    office.sessions._on_greeted = [greeted]
    return handout


async def held(office: Office, number: int = 1) -> str:
    """What the registry says that a device holds."""
    query = select(device.c.roots_digest).where(device.c.unit_id == unit_id(number))
    return str(await office.store.read(lambda connection: connection.execute(query).scalar()))


async def digests(one: Visit) -> list[str]:
    """What a device was sent, in order."""
    return [message.digest for message in one.heard(Roots)]


class TestGreeted:
    """What a hello brings."""

    async def test_nothing_wanted(self, office: Office) -> None:
        """Nobody gets anything, and nothing is looked up."""
        hand_out(office)
        one = await visit(office)

        assert one.pump.sent == []

    async def test_other_list(self, office: Office) -> None:
        """It is sent, and noted with an event when it is acknowledged."""
        hand_out(office).wanted = wanted("b")
        one = await visit(office)
        before = await held(office)
        await one.acknowledge()
        (event,) = await office.events("roots-acknowledged")

        assert await digests(one) == ["b"]
        assert (before, await held(office)) == ("", "b")
        assert (event.actor, event.unit_id, event.data) == ("device", unit_id(1), {"digest": "b"})

    async def test_same_list(self, office: Office) -> None:
        """It is not sent again."""
        hand_out(office).wanted = wanted("b")
        one = await visit(office)
        await one.acknowledge()
        await one.connect()

        assert await digests(one) == []
        assert len(await office.events("roots-acknowledged")) == 1

    async def test_lost_acknowledgement(self, office: Office) -> None:
        """What a device says in hello makes up for it."""
        hand_out(office).wanted = wanted("b")
        one = await visit(office)
        await one.leave()
        one.roots = "b"
        await one.connect()
        (event,) = await office.events("roots-acknowledged")

        assert await digests(one) == []
        assert await held(office) == "b"
        assert event.cause == "hello"

    async def test_forgotten(self, office: Office) -> None:
        """After a factory reset a device holds nothing; the registry knows that before it gets the list again."""
        hand_out(office).wanted = wanted("b")
        one = await visit(office)
        await one.acknowledge()
        one.roots = ""
        await one.connect()
        between = await held(office)
        await one.acknowledge()

        assert (between, await held(office)) == ("", "b")
        assert len(await office.events("roots-forgotten")) == 1

    async def test_only_in_place_of_another(self, office: Office) -> None:
        """Where new devices get nothing, one that holds an outdated list gets the present one."""
        handout = hand_out(office)
        handout.wanted = wanted("b", to_new=False)
        new = await visit(office, 1)
        old = await visit(office, 2)
        old.roots = "a"
        await old.connect()

        assert new.pump.sent == []
        assert await digests(old) == ["b"]

    async def test_refused_by_the_device(self, office: Office) -> None:
        """The feed says why; it is asked again at the next hello."""
        hand_out(office).wanted = wanted("b")
        one = await visit(office)
        await one.refuse()
        (event,) = await office.events("roots-refused")
        await one.connect()

        assert event.cause == "no room"
        assert await held(office) == ""
        assert await digests(one) == ["b"]

    async def test_busy_registry(self, office: Office) -> None:
        """An acknowledgement that cannot be noted is caught up with at the next hello."""
        hand_out(office).wanted = wanted("b")
        one = await visit(office)
        most, office.store._waiting._most = office.store._waiting._most, 0
        await one.acknowledge()
        office.store._waiting._most = most
        before = await held(office)
        await one.connect()

        assert (before, await held(office)) == ("", "b")


class TestTellAll:
    """What a change brings to those who are here."""

    async def test_everybody(self, office: Office) -> None:
        """All sessions are told, in slices."""
        handout = hand_out(office)
        pumps = [RecordingPump() for _ in range(2 * TOLD_AT_ONCE + 1)]
        for number, pump in enumerate(pumps):
            office.presence.join(LiveSession(Admitted(unit_id(number)), "s", pump))
        await handout.tell_all()
        before = sum(len(pump.sent) for pump in pumps)
        handout.wanted = wanted("b")
        await handout.tell_all()

        assert before == 0
        assert [len(pump.sent) for pump in pumps] == [1] * len(pumps)

    async def test_deleted_meanwhile(self, office: Office) -> None:
        """The acknowledgement of a device that was purged changes nothing."""
        hand_out(office).wanted = wanted("b")
        one = await visit(office)
        await office.registry.purge(unit_id(1), actor="ann")
        await one.acknowledge()

        assert await office.events("roots-acknowledged") == []

    async def test_kinds_do_not_mix(self, office: Office) -> None:
        """Roots are not connectors."""
        handout = Handout(office.store, office.presence, "connectors")
        handout.wanted = Wanted("c", lambda number: Connectors(id=number, digest="c", connectors=[]))
        one = await visit(office)
        await handout.tell_all()
        await one.acknowledge()

        assert await held(office) == ""
        assert one.connectors == "c"
        assert [event.kind for event in await office.events("connectors-acknowledged", "roots-acknowledged")] == [
            "connectors-acknowledged"
        ]


async def test_active_devices(office: Office) -> None:
    """Registered, not in the bin, with a certificate that is neither revoked nor over."""
    for number in (1, 2, 3):
        await office.device(number)
    await office.registry.delete(unit_id(2), actor="ann")
    await office.registry.revoke(unit_id(3), actor="ann", reason="stolen")
    await settled()

    async def active(stamp: str) -> list[str]:
        query = select(device.c.unit_id).where(is_active(stamp))
        return list(await office.store.read(lambda connection: connection.execute(query).scalars().all()))

    assert await active(timestamp(EPOCH)) == [unit_id(1)]
    assert await active(timestamp(EPOCH + 2 * YEAR)) == []
