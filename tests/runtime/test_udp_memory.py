# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_runtime.udp_memory: latency, loss, cuts, queues and broadcast; the rest is in test_udp.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from umslab_runtime.net_memory import MemoryNetwork
from umslab_runtime.streams import Address
from umslab_runtime.udp_memory import QUEUE

if TYPE_CHECKING:
    from trio.testing import MockClock


async def test_latency(autojump_clock: MockClock) -> None:
    """A datagram takes the latency of the network."""
    network = MemoryNetwork(latency=0.25)
    one, other = await network.host("a").udp("", 1), await network.host("b", "alias").udp("", 2)
    one.send_to(b"x", Address("alias", 2))

    assert Address("a", 1) == (await other.receive()).source
    assert 0.25 == autojump_clock.current_time()


async def test_what_does_not_arrive(autojump_clock: MockClock) -> None:
    """Cut links, loss and full queues drop datagrams, and say how many."""
    network = MemoryNetwork()
    one, other = await network.host("a").udp("", 1), await network.host("b").udp("", 1)
    network.partition("a", "b")
    one.send_to(b"cut", other.address)
    network.heal("a", "b")
    network.datagrams.loses = lambda payload: payload == b"lost"
    one.send_to(b"lost", other.address)
    for number in range(QUEUE + 3):
        one.send_to(str(number).encode(), other.address)

    assert {"cut": 1, "lost": 1, "full": 3} == dict(network.datagrams.dropped)
    assert b"0" == (await other.receive()).payload


async def test_broadcast() -> None:
    """To everybody else with that port."""
    network = MemoryNetwork()
    ends = [await network.host(name).udp("", 67) for name in ("a", "b", "c")]
    ends[0].send_to(b"all", Address("255.255.255.255", 67))

    assert [b"all", b"all"] == [(await end.receive()).payload for end in ends[1:]]
    with trio.move_on_after(0.01) as scope:
        await ends[0].receive()
    assert scope.cancelled_caught


async def test_host_with_many_names_answers_under_each(autojump_clock: MockClock) -> None:
    """As an endpoint with a whole interface: told where it was called, it can answer from there."""
    network = MemoryNetwork(latency=0.1)
    devices, asker = network.host("devices", "127.3.0.7", "127.3.0.8"), network.host("ums")
    many, one = await devices.udp("0.0.0.0", 30_005, interface="lo"), await asker.udp("", 0)
    one.send_to(b"?", Address("127.3.0.8", 30_005))
    received = await many.receive()
    many.send_to(b"!", received.source, source=received.destination)

    assert "127.3.0.8" == received.destination
    assert Address("127.3.0.8", 30_005) == (await one.receive()).source


async def test_link_to_one_of_many_names_can_be_cut(autojump_clock: MockClock) -> None:
    """Nothing comes through in either direction, and the others are not concerned."""
    network = MemoryNetwork()
    many = await network.host("devices", "127.3.0.7", "127.3.0.8").udp("0.0.0.0", 30_005, interface="lo")
    one = await network.host("ums").udp("", 0)
    network.partition("ums", "127.3.0.7")
    for host in ("127.3.0.7", "127.3.0.8"):
        one.send_to(host.encode(), Address(host, 30_005))
        many.send_to(host.encode(), one.address, source=host)

    assert [b"127.3.0.8"] == [received.payload for received in many.receive_nowait(9)]
    assert [b"127.3.0.8"] == [received.payload for received in one.receive_nowait(9)]
    assert 2 == network.datagrams.dropped["cut"]
