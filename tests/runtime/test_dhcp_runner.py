# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_runtime.dhcp_runner: whole crowds in virtual time, on the memory network."""

from __future__ import annotations

import random
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

import pytest
import trio

from tests.protocol.machines.dhcp_server import OS12, TinyServer
from umslab_protocol.machines.dhcp_events import Bound, Renewed, State
from umslab_protocol.machines.dhcp_requests import ClientIdentity, igel_identity
from umslab_protocol.values.unit_id import MacAddress
from umslab_protocol.wire.dhcp import MessageType
from umslab_runtime.clock import VirtualClock
from umslab_runtime.dhcp_runner import DhcpRunner, Outcome, open_runner
from umslab_runtime.net_memory import MemoryNetwork
from umslab_runtime.policy import TargetRefusedError
from umslab_runtime.udp import DatagramError

from .dhcp_servers import RELAY, MemoryServer, relayed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trio.testing import MockClock

    from umslab_protocol.machines.dhcp_events import DhcpEvent
    from umslab_protocol.machines.dhcp_requests import Datagram
    from umslab_runtime.dhcp_runner import Seat

CLOCK = VirtualClock(datetime(2026, 11, 22, tzinfo=UTC))


def identity(number: int = 1) -> ClientIdentity:
    """One of many clients."""
    return igel_identity(MacAddress(f"02{number:010X}"), OS12, relay=RELAY)


class Lab:
    """A runner, its server and what happened."""

    def __init__(self, network: MemoryNetwork, server: MemoryServer) -> None:
        self.network = network
        self.server = server
        self.saw: list[tuple[bytes, DhcpEvent]] = []
        self.runner: DhcpRunner

    def note(self, seat: Seat, event: DhcpEvent) -> None:
        """Keep an event."""
        self.saw.append((seat.mac, event))

    def count(self, kind: MessageType) -> int:
        """How many messages of this kind the server heard."""
        return sum(message.kind is kind for message in self.server.tiny.heard)


@asynccontextmanager
async def lab(server: MemoryServer | None = None, *, latency: float = 0.01) -> AsyncIterator[Lab]:
    """Run clients behind a relay."""
    made = Lab(MemoryNetwork(latency=latency), server or MemoryServer())
    async with trio.open_nursery() as nursery:
        door = await relayed(made.network, nursery, made.server)
        async with open_runner(door, CLOCK, chance=random.Random(7).random, on_event=made.note) as made.runner:
            yield made
        nursery.cancel_scope.cancel()


async def test_a_thousand_clients(autojump_clock: MockClock) -> None:
    """Each has an address of its own; no more than allowed ask at once; all give theirs back."""
    async with lab() as made:
        seats = [made.runner.add(identity(number)) for number in range(1000)]
        await made.runner.lease(seats, at_once=50)

        assert {Outcome.LEASED: 1000} == dict(made.runner.outcomes)
        assert 1000 == len({seat.lease.address for seat in seats if seat.lease})
        assert (1000, 1000) == (made.count(MessageType.DISCOVER), made.count(MessageType.REQUEST))
        assert 1000 == await made.runner.release()
        await trio.sleep(1)
        assert {} == made.server.tiny.leases


async def test_steps_take_their_time(autojump_clock: MockClock) -> None:
    """From asking to the offer, and from there to the acknowledgement: two ways each."""
    async with lab(latency=0.25) as made:
        seat = made.runner.add(identity())
        await made.runner.lease([seat])

        assert pytest.approx(0.5) == seat.seconds(State.SELECTING, State.REQUESTING)
        assert pytest.approx(0.5) == seat.seconds(State.REQUESTING, State.BOUND)
        assert seat.seconds(State.REBOOTING, State.BOUND) is None


async def test_losses_are_made_good(autojump_clock: MockClock) -> None:
    """With every tenth datagram lost, patience gets everybody an address."""
    chance = random.Random(3)
    async with lab() as made:
        made.network.datagrams.loses = lambda _: chance.random() < 1 / 10
        seats = [made.runner.add(identity(number)) for number in range(100)]
        await made.runner.lease(seats, patience=600)

        assert {Outcome.LEASED: 100} == dict(made.runner.outcomes)


async def test_exhausted_pool(autojump_clock: MockClock) -> None:
    """Who is not offered anything in time has that as the reason, and asks no more."""
    async with lab(MemoryServer(pool=3)) as made:
        seats = [made.runner.add(identity(number)) for number in range(5)]
        began = trio.current_time()
        await made.runner.lease(seats, patience=10)

        assert {Outcome.LEASED: 3, Outcome.NOBODY_OFFERED: 2} == dict(made.runner.outcomes)
        assert pytest.approx(10, abs=0.1) == trio.current_time() - began
        asked = made.count(MessageType.DISCOVER)
        await trio.sleep(1000)
        assert asked == made.count(MessageType.DISCOVER)


async def test_client_gives_up_by_itself(autojump_clock: MockClock) -> None:
    """After its last try, even with patience left."""
    async with lab(MemoryServer(pool=0)) as made:
        seat = made.runner.add(identity())
        await made.runner.lease([seat], patience=86_400)

        assert Outcome.NOBODY_OFFERED is seat.outcome
        assert 100 < trio.current_time() < 200


async def test_refusals(autojump_clock: MockClock) -> None:
    """They are kept with the server's words."""
    async with lab(MemoryServer(TinyServer(refuses=True))) as made:
        seat = made.runner.add(identity())
        await made.runner.lease([seat], patience=20)

        assert Outcome.REFUSED is seat.outcome
        assert {"not here"} == {refused.text for refused in seat.refusals}


async def test_not_acknowledged(autojump_clock: MockClock) -> None:
    """An offer without an acknowledgement is a reason of its own."""
    async with lab() as made:
        seat = made.runner.add(identity())
        made.network.datagrams.loses = lambda data: b"\x35\x01\x05" in data
        await made.runner.lease([seat], patience=5)

        assert Outcome.NOT_ACKNOWLEDGED is seat.outcome


async def test_previous_address(autojump_clock: MockClock) -> None:
    """It is asked for first; refused, the client begins anew at once."""
    async with lab() as made:
        seat = made.runner.add(identity())
        await made.runner.lease([seat], previous=IPv4Address("192.0.2.77"))

        assert Outcome.LEASED is seat.outcome
        assert ["not here"] == [refused.text for refused in seat.refusals]


async def test_renewal_and_expiry(autojump_clock: MockClock) -> None:
    """A lease is renewed for days; when the server falls silent, the address goes and comes again."""
    async with lab() as made:
        seat = made.runner.add(identity())
        await made.runner.lease([seat])
        await trio.sleep(86_400)
        assert 24 <= sum(isinstance(event, Renewed) for _, event in made.saw) <= 100
        made.server.tiny.silent = True
        await trio.sleep(2 * 3600)
        assert seat.client.lease is None
        made.server.tiny.silent = False
        await trio.sleep(3600)
        assert seat.client.lease is not None


async def test_inform(autojump_clock: MockClock) -> None:
    """A host with an address asks for options only."""
    async with lab() as made:
        seat = made.runner.add(identity())
        await made.runner.inform({seat: IPv4Address("192.0.2.9")})

        assert (Outcome.INFORMED, IPv4Address("192.0.2.9")) == (seat.outcome, seat.static)
        assert seat.informed is not None
        assert 0 == await made.runner.release()


async def test_clients_come_and_go(autojump_clock: MockClock) -> None:
    """One gives its address back, one loses its power; its place is free for the same MAC, which hears of itself."""
    async with lab() as made:
        own: list[DhcpEvent] = []
        first, second = (
            made.runner.add(identity(number), on_event=lambda _, event: own.append(event)) for number in (1, 2)
        )
        await made.runner.lease([first, second])

        assert made.runner.drop(first, release=True)
        assert made.runner.drop(second, release=False)
        await trio.sleep(1)
        assert [second.mac] == list(made.server.tiny.leases)
        again = made.runner.add(identity(2))
        await made.runner.lease([again], previous=second.lease.address if second.lease else None)
        assert (second.lease and second.lease.address) == (again.lease and again.lease.address)
        assert [Bound, Bound] == [type(event) for event in own]
        assert [again.mac] == [mac for mac, _ in made.saw]


async def test_who_asks_waits_for_its_own(autojump_clock: MockClock) -> None:
    """A device that shares the runner does not wait for another that nobody answers."""
    async with lab(MemoryServer(pool=1)) as made:
        lucky, unlucky = (made.runner.add(identity(number)) for number in (1, 2))
        await made.runner.lease([lucky])
        again = made.runner.add(identity(3))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(made.runner.lease, [unlucky], patience=50))
            await trio.sleep(1)
            began = trio.current_time()
            await made.runner.inform({again: IPv4Address("192.0.2.9")})
            assert trio.current_time() - began < 2


async def test_strangers_are_counted(autojump_clock: MockClock) -> None:
    """What is for nobody here changes nothing."""
    async with lab() as made:
        seat = made.runner.add(identity())
        stranger = await made.network.host("stranger").udp("", 0)
        for data in (b"", b"x" * 20, b"\2\1\6" + b"\0" * 300):
            stranger.send_to(data, type(stranger.address)("192.0.2.254", 67))
        await made.runner.lease([seat])

        assert (3, Outcome.LEASED) == (made.runner.strangers, seat.outcome)


async def test_mac_is_taken_once(autojump_clock: MockClock) -> None:
    """Two clients with one MAC could not be told apart."""
    async with lab() as made:
        made.runner.add(identity())
        with pytest.raises(ValueError, match="02:00:00:00:00:01"):
            made.runner.add(identity())


async def test_stopped_early(autojump_clock: MockClock) -> None:
    """Who asks when everything is given back has no outcome of its own; the others give theirs back."""
    async with lab(MemoryServer(pool=1)) as made:
        seats = [made.runner.add(identity(number)) for number in range(2)]
        with trio.move_on_after(2):
            await made.runner.lease(seats)

        assert 1 == await made.runner.release()
        assert [Outcome.LEASED, Outcome.CANCELLED] == [seat.outcome for seat in seats]


@pytest.mark.parametrize("error", [DatagramError("no route"), TargetRefusedError("not yours")])
async def test_what_cannot_be_sent(autojump_clock: MockClock, error: Exception) -> None:
    """The reason is raised alone, and nothing more is tried."""
    async with trio.open_nursery() as nursery:
        door = await relayed(MemoryNetwork(), nursery, MemoryServer())
        sent = 0

        def refuse(datagram: Datagram, mac: bytes) -> bool:
            nonlocal sent
            sent += 1
            raise error

        door.send = refuse  # type: ignore[method-assign]
        with pytest.raises(type(error), match=str(error)):
            async with open_runner(door, CLOCK, chance=random.Random(1).random) as runner:
                await runner.lease([runner.add(identity(number)) for number in range(3)])
        assert 1 == sent
        nursery.cancel_scope.cancel()
