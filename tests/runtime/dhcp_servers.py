# SPDX-License-Identifier: Apache-2.0
"""A DHCP server on the memory network, with addresses to give away and two ways of being difficult."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from tests.protocol.machines.dhcp_server import TinyServer
from umslab_protocol.machines.dhcp_requests import Relay
from umslab_protocol.wire.dhcp import SERVER_PORT, MessageType, read_message
from umslab_runtime.dhcp_door import UdpDoor

if TYPE_CHECKING:
    import trio

    from umslab_runtime.net_memory import MemoryNetwork
    from umslab_runtime.udp import UdpEndpoint

SERVER, GIADDR = "192.0.2.1", "192.0.2.254"
RELAY = Relay(IPv4Address(GIADDR), IPv4Address(SERVER))


class MemoryServer:
    """Answers on its endpoint until it is cancelled; silent towards new clients when the pool is empty."""

    def __init__(self, tiny: TinyServer | None = None, *, pool: int = 10_000) -> None:
        self.tiny = tiny or TinyServer()
        self.pool = pool

    async def serve(self, endpoint: UdpEndpoint) -> None:
        """Answer datagrams."""
        while True:
            received = await endpoint.receive()
            message = read_message(received.payload)
            full = len(self.tiny.leases) >= self.pool and message.chaddr not in self.tiny.leases
            if message.kind is MessageType.DISCOVER and full:
                continue
            for answer in self.tiny.answer(received.payload):
                endpoint.send_to(answer, received.source)


async def relayed(network: MemoryNetwork, nursery: trio.Nursery, server: MemoryServer) -> UdpDoor:
    """Start the server; return the door of clients behind a relay."""
    nursery.start_soon(server.serve, await network.host(SERVER).udp(SERVER, SERVER_PORT))
    return UdpDoor(await network.host(GIADDR).udp(GIADDR, SERVER_PORT))
