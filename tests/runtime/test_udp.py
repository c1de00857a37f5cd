# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_runtime.udp: endpoints on loopback and in memory. That refusals send nothing is in tests/safety."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from umslab_protocol.values.unit_id import UnitId
from umslab_runtime.net_memory import MemoryNetwork
from umslab_runtime.net_trio import TrioNetwork
from umslab_runtime.network import ListenError, Network
from umslab_runtime.policy import TargetPolicy, TargetRefusedError
from umslab_runtime.streams import Address
from umslab_runtime.udp import DatagramError

from .carriers import PATIENCE

if TYPE_CHECKING:
    from umslab_runtime.udp import UdpEndpoint


@pytest.fixture(params=["socket", "memory"])
def door(request: pytest.FixtureRequest) -> Network:
    """A door of either kind."""
    return TrioNetwork() if request.param == "socket" else MemoryNetwork().host("127.0.0.1")


async def _pair(door: Network) -> tuple[UdpEndpoint, UdpEndpoint]:
    return await door.udp("127.0.0.1", 0), await door.udp("127.0.0.1", 0)


async def test_datagrams_go_both_ways(door: Network) -> None:
    """Whole, also empty, and with their sender."""
    one, other = await _pair(door)
    with trio.fail_after(PATIENCE):
        for payload in (b"hello", b"", b"x" * 9000):
            assert one.send_to(payload, other.address)
            received = await other.receive()
            assert (payload, one.address) == (received.payload, received.source)
        assert other.send_to(b"back", one.address)
        assert b"back" == (await one.receive()).payload
    one.close()
    other.close()


async def test_closing_ends_the_waiting(door: Network) -> None:
    """Whoever waits is told, and nothing can be sent afterwards; closing twice is fine."""
    one, other = await _pair(door)

    async def wait() -> None:
        with pytest.raises(trio.ClosedResourceError):
            await one.receive()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        one.close()
    one.close()
    with pytest.raises(trio.ClosedResourceError):
        one.send_to(b"", other.address)
    with pytest.raises(trio.ClosedResourceError):
        await one.receive()
    other.close()


async def test_address_is_taken_once(door: Network) -> None:
    """A second endpoint on the same port is refused with its name; closing frees it."""
    one = await door.udp("127.0.0.1", 0)

    with pytest.raises(ListenError, match="is in use"):
        await door.udp("127.0.0.1", one.address.port)
    one.close()
    (await door.udp("127.0.0.1", one.address.port)).close()


async def test_nobody_there_breaks_nothing(door: Network) -> None:
    """What nobody receives is lost, and the endpoint goes on."""
    one, other = await _pair(door)
    gone = other.address
    other.close()
    with trio.fail_after(PATIENCE):
        for _ in range(3):
            assert one.send_to(b"?", gone)
        assert one.send_to(b"me", one.address)
        assert b"me" == (await one.receive()).payload
    one.close()


async def test_too_long(door: Network) -> None:
    """More than a datagram holds is an error with the address."""
    one, other = await _pair(door)

    with pytest.raises(DatagramError, match=r"127\.0\.0\.1:\d+: .*too long"):
        one.send_to(b"x" * 70_000, other.address)
    one.close()
    other.close()


async def test_policy_is_asked_every_time() -> None:
    """Broadcast, other machines and real unit IDs are refused for each datagram."""
    endpoint = await TrioNetwork(TargetPolicy()).udp("127.0.0.1", 0)
    for host in ("255.255.255.255", "192.168.77.9", "8.8.8.8", "224.0.0.251"):
        with pytest.raises(TargetRefusedError):
            endpoint.send_to(b"", Address(host, 67))
    with pytest.raises(TargetRefusedError):
        endpoint.send_to(b"", Address("10.0.0.1", 67), unit_id=UnitId("00E0C514325B"))
    endpoint.close()


async def test_ipv6() -> None:
    """IPv6 endpoints are of their own kind."""
    try:
        one = await TrioNetwork().udp("::1", 0)
    except ListenError:
        pytest.skip("this machine has no IPv6 on loopback")
    assert one.send_to(b"six", one.address)
    assert b"six" == (await one.receive()).payload
    one.close()


async def test_what_has_arrived_is_taken_at_once(door: Network) -> None:
    """As much as is there and not more than is wanted, without waiting."""
    one, other = await _pair(door)
    with trio.fail_after(PATIENCE):
        assert [] == other.receive_nowait(10)
        for number in range(3):
            one.send_to(bytes([number]), other.address)
        await other.until_readable()

        assert [b"\0", b"\1"] == [received.payload for received in other.receive_nowait(2)]
        assert [b"\2"] == [received.payload for received in other.receive_nowait(2)]
    one.close()
    other.close()
    with pytest.raises(trio.ClosedResourceError):
        other.receive_nowait(1)


async def test_endpoint_with_a_whole_interface_has_many_addresses() -> None:
    """It says where each datagram was sent to, also of a broadcast, and answers from there."""
    network = TrioNetwork()
    asker, many = await network.udp("127.0.0.1", 0), await network.udp("0.0.0.0", 0, interface="lo")
    port = many.address.port
    with trio.fail_after(PATIENCE):
        for host in ("127.3.0.7", "127.255.255.255"):
            asker.send_to(b"", Address(host, port))
        first, everybody = await many.receive(), await many.receive()

        assert ("127.3.0.7", "255.255.255.255") == (first.destination, everybody.destination)
        assert many.send_to(b"here", asker.address, source="127.3.0.7")
        assert Address("127.3.0.7", port) == (await asker.receive()).source
    asker.close()
    many.close()


async def test_interface_that_is_not_there() -> None:
    """Said in words."""
    with pytest.raises(ListenError, match="No such device"):
        await TrioNetwork().udp("0.0.0.0", 0, interface="umslab-gone")
