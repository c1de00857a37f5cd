# SPDX-License-Identifier: Apache-2.0
"""Sends magic packets (WL1, WL2), behind the target policy."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from umslab_protocol.wire.magic_packet import write_magic_packet
from umslab_runtime.policy import EVERYBODY, TargetRefusedError
from umslab_runtime.streams import Address
from umslab_runtime.udp import DatagramError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from umslab_protocol.values.unit_id import MacAddress
    from umslab_runtime.network import Network

LOOPBACK_EVERYBODY = "127.255.255.255"
"""Everybody on this machine: the broadcast that needs no namespace."""


@dataclass(slots=True)
class SentPackets:
    """What became of the packets for one machine."""

    to: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    """Address -> why nothing was sent there."""


async def send_magic_packets(
    network: Network, mac: MacAddress, addresses: Iterable[str], *, host: str, port: int
) -> SentPackets:
    """Send one packet to each address, from a socket bound to `host`. Raises `ListenError`, `TargetRefusedError`."""
    sent, packet = SentPackets(), write_magic_packet(mac)
    endpoint = await network.udp(host, 0)
    try:
        for address in dict.fromkeys(addresses):
            try:
                endpoint.send_to(packet, Address(address, port))
                sent.to.append(address)
            except (TargetRefusedError, DatagramError) as error:
                sent.failed[address] = str(error)
    finally:
        endpoint.close()
    return sent


def everybody(host: str) -> str:
    """The broadcast address for who is bound to this host: on loopback, or on every link."""
    return LOOPBACK_EVERYBODY if host.startswith("127.") else str(EVERYBODY)
