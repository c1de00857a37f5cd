# SPDX-License-Identifier: Apache-2.0
"""How the datagrams of DHCP clients get out and in: over one UDP endpoint as a relay, or as packets of their own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import trio

from umslab_protocol.wire.dhcp import CLIENT_PORT, hardware_address
from umslab_protocol.wire.ethernet import EVERYBODY_MAC
from umslab_runtime.streams import Address

if TYPE_CHECKING:
    from ipaddress import IPv4Address

    from umslab_protocol.machines.dhcp_requests import Datagram
    from umslab_runtime.packet import PacketEndpoint
    from umslab_runtime.udp import UdpEndpoint

AT_A_TIME = 32
"""Datagrams that are taken before others get their turn."""
MAX_HEARD = 20_000


class DhcpDoor(ABC):
    """One way out for any number of clients."""

    @abstractmethod
    def send(self, datagram: Datagram, mac: bytes) -> bool:
        """Send, without waiting; false: there was no room. Raises `DatagramError` and `TargetRefusedError`."""

    @abstractmethod
    async def receive(self) -> list[bytes]:
        """Wait for datagrams and return what has arrived, not too many; others get their turn before.

        Raises `DatagramError` when there will be none.
        """

    @abstractmethod
    def close(self) -> None:
        """Close."""

    def claim(self, address: IPv4Address, mac: bytes) -> None:
        """A client has this address now."""
        del address, mac

    def leave(self, address: IPv4Address) -> None:
        """Nobody has it any more."""
        del address


class UdpDoor(DhcpDoor):
    """A UDP endpoint: for clients that speak through a relay (giaddr)."""

    def __init__(self, endpoint: UdpEndpoint) -> None:
        self._endpoint = endpoint

    def send(self, datagram: Datagram, mac: bytes) -> bool:
        """Send to where it is meant to go."""
        del mac
        to = Address(str(datagram.destination), datagram.destination_port)
        return self._endpoint.send_to(datagram.payload, to)

    async def receive(self) -> list[bytes]:
        """Wait for datagrams, from whomever: the client knows its server."""
        await trio.lowlevel.checkpoint_if_cancelled()
        received = self._endpoint.receive_nowait(AT_A_TIME)
        if received:
            await trio.lowlevel.cancel_shielded_checkpoint()  # waiting is a turn for others too
        while not received:
            await self._endpoint.until_readable()
            received = self._endpoint.receive_nowait(AT_A_TIME)
        return [one.payload for one in received]

    def close(self) -> None:
        """Close the endpoint."""
        self._endpoint.close()


class PacketDoor(DhcpDoor):
    """A packet endpoint: each client has its own MAC and IP address on the link."""

    def __init__(self, endpoint: PacketEndpoint) -> None:
        self._endpoint = endpoint
        self._last: dict[bytes, bytes] = {}
        """From which MAC each client heard last: its server, or the relay that is its way there."""

    def send(self, datagram: Datagram, mac: bytes) -> bool:
        """Send as one frame; a server that is not on the link is reached by the relay through which it answered."""
        source, destination = (
            (datagram.source, datagram.source_port),
            (datagram.destination, datagram.destination_port),
        )
        via = self._last.get(mac, EVERYBODY_MAC)
        return self._endpoint.send(datagram.payload, mac=mac, source=source, destination=destination, via=via)

    async def receive(self) -> list[bytes]:
        """Wait for the next datagram for a DHCP client."""
        while True:
            frame = await self._endpoint.receive()
            if frame.destination_port == CLIENT_PORT:
                if len(self._last) >= MAX_HEARD:
                    self._last.clear()
                self._last[hardware_address(frame.payload)] = frame.source_mac
                return [frame.payload]

    def claim(self, address: IPv4Address, mac: bytes) -> None:
        """Answer ARP for it, so that the server's unicasts arrive."""
        self._endpoint.addresses[address] = mac

    def leave(self, address: IPv4Address) -> None:
        """Do not answer any more."""
        self._endpoint.addresses.pop(address, None)

    def close(self) -> None:
        """Close the endpoint."""
        self._endpoint.close()
