# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_agent.answering: who answers what, from where, and how much is done for whoever asks."""

from __future__ import annotations

from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from umslab_agent.answering import MAX_OPEN_SCANS, TCP_SECONDS, Answerer, Answering
from umslab_protocol.values.host_port import HostPort
from umslab_protocol.values.unit_id import MacAddress, UnitId
from umslab_protocol.wire.probes import (
    PROBE_PORT,
    RegisterOrder,
    answer_length,
    read_online_answer,
    read_register_order,
    read_scan_answer,
    write_online_check,
    write_register_order,
    write_scan,
)
from umslab_runtime.net_memory import MemoryNetwork
from umslab_runtime.net_trio import TrioNetwork
from umslab_runtime.streams import Address

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from umslab_runtime.network import Network
    from umslab_runtime.udp import Received, UdpEndpoint

NONCE = bytes(range(16))
EVERYBODY = "255.255.255.255"


def answerer(number: int, *, address: str = "", checked: bool = True, has_ums: bool = False) -> Answerer:
    """The device with this number."""
    unit_id = f"02{number:010X}"
    return Answerer(
        unit_id=UnitId(unit_id),
        mac=MacAddress(unit_id),
        name=f"ITC{unit_id}",
        product="UD",
        firmware="11.10.210",
        address=address,
        checked=checked,
        has_ums=has_ums,
    )


class _Neighbourhood:
    def __init__(self, network: MemoryNetwork, answering: Answering, asker: UdpEndpoint) -> None:
        self.network = network
        self.answering = answering
        self.asker = asker

    async def ask(self, payload: bytes, host: str) -> list[Received]:
        """Send a probe; return all answers."""
        self.asker.send_to(payload, Address(host, PROBE_PORT))
        await wait_all_tasks_blocked()
        return self.asker.receive_nowait(100_000)

    async def check(self, number: int, host: str) -> list[str]:
        """Check a device; return the addresses from which it answered."""
        answers = await self.ask(write_online_check(answerer(number).unit_id, NONCE, 0), host)
        for one in answers:
            assert (NONCE, answerer(number).unit_id) == read_online_answer(one.payload)
        return [one.source.host for one in answers]

    async def scan(self, host: str) -> dict[str, str]:
        """Scan; return who has answered, and from where."""
        answers = await self.ask(write_scan(NONCE, 0), host)
        return {read_scan_answer(one.payload).unit_id: one.source.host for one in answers}


@asynccontextmanager
async def _open(*devices: Answerer) -> AsyncIterator[_Neighbourhood]:
    network = MemoryNetwork()
    here = network.host("devices", "127.3.0.1", "127.3.0.2", "127.3.0.9")
    answering = Answering(await here.udp("0.0.0.0", PROBE_PORT, interface="lo"))
    for device in devices:
        answering.join(device)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(answering.run)
        yield _Neighbourhood(network, answering, await network.host("ums").udp("", 0))
        nursery.cancel_scope.cancel()


async def test_device_with_an_address_answers_there_and_nowhere_else(autojump_clock: trio.testing.MockClock) -> None:
    """And from there; another device at its address is not it."""
    async with _open(answerer(1, address="127.3.0.1"), answerer(2, address="127.3.0.2")) as here:
        assert ["127.3.0.1"] == await here.check(1, "127.3.0.1")
        assert [] == await here.check(1, "127.3.0.2")
        assert [] == await here.check(3, "127.3.0.1")
        assert {"online-checks": 1, "not-here": 2} == here.answering.counters


async def test_devices_that_share_an_address_are_told_apart_by_unit_id(autojump_clock: trio.testing.MockClock) -> None:
    """One endpoint for any number of them."""
    async with _open(answerer(1), answerer(2)) as here:
        assert ["devices"] == await here.check(2, "devices")
        assert [] == await here.check(3, "devices")


async def test_only_os_11_answers_online_checks(autojump_clock: trio.testing.MockClock) -> None:
    """But all answer scans (N10, T11), and say whether they have a UMS."""
    async with _open(answerer(1, checked=False, has_ums=True)) as here:
        assert [] == await here.check(1, "devices")
        (found,) = await here.ask(write_scan(NONCE, 0), "devices")
        assert read_scan_answer(found.payload).has_ums


async def test_who_is_asked_by_a_scan(autojump_clock: trio.testing.MockClock) -> None:
    """Everybody by a broadcast, one device by its address, the others by the address they share, nobody elsewhere."""
    async with _open(answerer(1, address="127.3.0.1"), answerer(2), answerer(3)) as here:
        one, two, three = (answerer(number).unit_id for number in (1, 2, 3))

        assert {one: "127.3.0.1"} == await here.scan("127.3.0.1")
        assert {two: "devices", three: "devices"} == await here.scan("devices")
        assert {one: "127.3.0.1", two: "devices", three: "devices"} == await here.scan(EVERYBODY)


async def test_answer_goes_to_the_port_inside_the_probe(autojump_clock: trio.testing.MockClock) -> None:
    """N13: the probe may come from another one."""
    async with _open(answerer(1)) as here:
        reply = await here.network.host("ums").udp("", 4711)
        probe = write_online_check(answerer(1).unit_id, NONCE, 4711)

        assert [] == await here.ask(probe, "devices")
        assert 1 == len(reply.receive_nowait(9))


async def test_who_left_is_silent(autojump_clock: trio.testing.MockClock) -> None:
    """Also in a scan that is being answered; leaving twice does nothing."""
    async with _open(answerer(1, address="127.3.0.1"), answerer(2)) as here:
        for _ in range(2):
            here.answering.leave(answerer(1).unit_id)
        assert [] == await here.check(1, "127.3.0.1")
        here.answering.join(answerer(3, address="127.3.0.1"))
        assert ["127.3.0.1"] == await here.check(3, "127.3.0.1")


def test_nobody_is_there_twice() -> None:
    """Neither a unit ID nor an address."""
    answering = Answering(None)  # type: ignore[arg-type]
    answering.join(answerer(1, address="127.3.0.1"))

    with pytest.raises(ValueError, match="unit ID"):
        answering.join(answerer(1))
    with pytest.raises(ValueError, match="address"):
        answering.join(answerer(2, address="127.3.0.1"))


async def test_scans_of_many_devices_are_answered_bit_by_bit(autojump_clock: trio.testing.MockClock) -> None:
    """All of them; and of more scans at a time than is reasonable, some."""
    async with _open(*(answerer(number) for number in range(1, 201))) as here:
        assert 200 == len(await here.scan("devices"))
        for _ in range(MAX_OPEN_SCANS + 4):
            here.asker.send_to(write_scan(NONCE, 0), Address("devices", PROBE_PORT))
        await wait_all_tasks_blocked()
        assert MAX_OPEN_SCANS * 200 == len(here.asker.receive_nowait(100_000))


async def test_rubbish_is_counted_and_not_answered(autojump_clock: trio.testing.MockClock) -> None:
    """Whatever comes."""
    async with _open(answerer(1)) as here:
        assert [] == await here.ask(b"hello", "devices")
        assert {"malformed": 1} == here.answering.counters


async def test_nobody_makes_a_device_call_where_it_may_not() -> None:
    """A reply that the target policy forbids is not sent; one to a closed port breaks nothing."""
    endpoint = await TrioNetwork().udp("127.0.0.1", 0)
    answering = Answering(endpoint)
    answering.join(answerer(1))
    answering._send(answerer(1), b"x", Address("8.8.8.8", 53), "online-checks")
    answering._send(answerer(1), b"x", Address("127.0.0.1", 0), "online-checks")
    endpoint.close()

    assert {"refused": 1, "unsent": 1} == answering.counters


@pytest.fixture(params=["socket", "memory"])
def door(request: pytest.FixtureRequest) -> Network:
    """A door of either kind."""
    return TrioNetwork() if request.param == "socket" else MemoryNetwork().host("127.0.0.1")


async def _call(door: Network, payload: bytes, *devices: Answerer) -> tuple[bytes, Answering]:
    """Call over TCP, say this, and return all that is answered."""
    answering = Answering(await door.udp("127.0.0.1", 0))
    for device in devices:
        answering.join(device)
    listener = await door.listen("127.0.0.1", 0)

    async def take() -> None:
        await answering.answer_over_tcp(await listener.accept(), "127.0.0.1")

    said = b""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(take)
        transport = await door.dial(HostPort("127.0.0.1", listener.address.port))
        with suppress(trio.BrokenResourceError):  # it may be over before all was said
            await transport.send_all(payload)
            await transport.send_eof()
            while some := await transport.receive_some():
                said += some
        await transport.aclose()
    listener.close()
    answering._endpoint.close()
    return said, answering


async def test_scan_over_tcp_is_answered_on_the_connection(door: Network) -> None:
    """T14: one answer after the other, and then the end."""
    said, _ = await _call(door, write_scan(NONCE, 0), answerer(1), answerer(2))
    first = said[: 42 + answer_length(said[:42])]

    assert answerer(1).unit_id == read_scan_answer(first).unit_id
    assert answerer(2).unit_id == read_scan_answer(said[len(first) :]).unit_id


@pytest.mark.parametrize("payload", [b"", b"GET / HTTP/1.1\r\n", bytes(42), b"x" * 100])
async def test_something_else_over_tcp_gets_nothing(payload: bytes, door: Network) -> None:
    """The connection ends, and it is counted."""
    with trio.fail_after(60):
        said, answering = await _call(door, payload, answerer(1))

    assert (b"", {"malformed": 1}) == (said, answering.counters)


async def test_silence_over_tcp_ends(autojump_clock: trio.testing.MockClock) -> None:
    """Nobody holds a device's attention for longer."""
    door = MemoryNetwork().host("device")
    answering = Answering(await door.udp("", 0))
    listener = await door.listen("", 1)
    transport = await door.dial(HostPort("device", 1))
    await answering.answer_over_tcp(await listener.accept(), "device")

    assert TCP_SECONDS == pytest.approx(trio.current_time())
    transport.abort()


async def test_orders_to_register(autojump_clock: trio.testing.MockClock) -> None:
    """Obeyed is who has scanned, by a device that waits; each other order is counted, and none is answered (NP13)."""
    told: list[tuple[RegisterOrder, str]] = []
    waits, does_not = answerer(1), answerer(2)
    does_not.ordered = lambda _, __: False

    def obey(order: RegisterOrder, host: str) -> bool:
        told.append((order, host))
        return True

    def order(number: int, nonce: bytes = NONCE) -> bytes:
        unit_id = answerer(number).unit_id
        return write_register_order(
            RegisterOrder(nonce=nonce, unit_id=unit_id, web_port=8443, os11_port=30_001, token=bytes(32))
        )

    waits.ordered = obey
    async with _open(waits, does_not, answerer(3)) as here:
        answers = await here.ask(order(1), "devices")
        await here.scan("devices")
        stranger = await here.network.host("stranger").udp("", 0)
        stranger.send_to(order(1), Address("devices", PROBE_PORT))
        for payload in (order(1, bytes(16)), order(1), order(2), order(3), order(4), order(1)[:-1], order(1) + b"x"):
            answers += await here.ask(payload, "devices")

        assert [] == answers
        assert [(read_register_order(order(1)), "ums")] == told
        assert {
            "scans": 3, "unasked": 3, "orders": 1, "disobeyed": 2, "not-here": 1, "malformed": 2,
        } == here.answering.counters  # fmt: skip
