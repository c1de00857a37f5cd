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
