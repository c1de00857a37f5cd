# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_runtime.dhcp_door over memory; with packets in tests/foreign and tests/safety."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest
import trio

from umslab_protocol.machines.dhcp_requests import Datagram
from umslab_runtime.dhcp_door import UdpDoor
from umslab_runtime.net_memory import MemoryNetwork


async def test_udp_door() -> None:
    """It sends to where a datagram is meant to go, and takes what comes."""
    network = MemoryNetwork()
    server = await network.host("192.0.2.1").udp("", 67)
    door = UdpDoor(await network.host("192.0.2.254").udp("", 67))
    door.claim(IPv4Address("192.0.2.7"), b"\2" * 6)
    assert door.send(Datagram(b"ask", IPv4Address("192.0.2.254"), 67, IPv4Address("192.0.2.1")), b"\2" * 6)
    received = await server.receive()
    server.send_to(b"answer", received.source)

    assert (b"ask", b"answer") == (received.payload, await door.receive())
    door.leave(IPv4Address("192.0.2.7"))
    door.close()
    with pytest.raises(trio.ClosedResourceError):
        await door.receive()
