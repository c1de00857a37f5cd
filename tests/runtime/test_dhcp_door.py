# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_runtime.dhcp_door over memory; with packets in tests/foreign and tests/safety."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

import pytest
import trio

from umslab_protocol.machines.dhcp_requests import Datagram
from umslab_protocol.wire.ethernet import EVERYBODY_MAC, UdpFrame, read_frame, write_udp
from umslab_runtime.dhcp_door import AT_A_TIME, PacketDoor, UdpDoor
from umslab_runtime.net_memory import MemoryNetwork
from umslab_runtime.packet import PacketEndpoint
from umslab_runtime.policy import TargetPolicy

from .test_packet import Cable

if TYPE_CHECKING:
    from trio.testing import MockClock


async def test_packet_door_reaches_a_server_behind_its_relay() -> None:
    """What came from the relay's MAC shows the way; before that everybody is asked, and others do not matter."""
    cable = Cable()
    door = PacketDoor(PacketEndpoint(cable, TargetPolicy(namespace=True)))  # type: ignore[arg-type]
    ours, relay, server = b"\2\0\0\0\0\1", b"\2\0\0\0\0\2", IPv4Address("10.99.0.1")
    asked = Datagram(b"ask", IPv4Address("10.77.0.100"), 68, server)
    seen = []
    for chaddr in (b"\2\0\0\0\0\\9", ours):
        door.send(asked, ours)
        frame = read_frame(cable.far.recv(65_535))
        assert isinstance(frame, UdpFrame)
        seen.append(frame.destination_mac)
        answer = b"\2\1\6" + bytes(25) + chaddr
        cable.far.send(
            write_udp(
                replace(
                    frame,
                    source_mac=relay,
                    source=IPv4Address("10.77.0.1"),
                    source_port=67,
                    destination=asked.source,
                    destination_port=68,
                    payload=answer,
                )
            )
        )
        assert [answer] == await door.receive()
    door.send(asked, ours)
    frame = read_frame(cable.far.recv(65_535))
    assert isinstance(frame, UdpFrame)
    seen.append(frame.destination_mac)

    assert [EVERYBODY_MAC, EVERYBODY_MAC, relay] == seen
    door.close()


async def test_udp_door(autojump_clock: MockClock) -> None:
    """It sends to where a datagram is meant to go, and takes what has come, not too much at a time."""
    network = MemoryNetwork()
    server = await network.host("192.0.2.1").udp("", 67)
    door = UdpDoor(await network.host("192.0.2.254").udp("", 67))
    door.claim(IPv4Address("192.0.2.7"), b"\2" * 6)
    assert door.send(Datagram(b"ask", IPv4Address("192.0.2.254"), 67, IPv4Address("192.0.2.1")), b"\2" * 6)
    received = await server.receive()
    server.send_to(b"answer", received.source)

    assert (b"ask", [b"answer"]) == (received.payload, await door.receive())
    door.leave(IPv4Address("192.0.2.7"))
    for _ in range(AT_A_TIME + 1):
        server.send_to(b"more", received.source)
    await trio.sleep(1)
    assert [AT_A_TIME, 1] == [len(await door.receive()), len(await door.receive())]
    door.close()
    with pytest.raises(trio.ClosedResourceError):
        await door.receive()
