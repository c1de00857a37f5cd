# SPDX-License-Identifier: Apache-2.0
"""The ways to a DHCP server that a user can choose: packets on an interface of a namespace, or as a relay."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address
from typing import TYPE_CHECKING

from umslab_protocol.errors import InvalidValueError
from umslab_protocol.machines.dhcp_requests import Relay
from umslab_protocol.wire.dhcp import SERVER_PORT
from umslab_runtime.dhcp_door import DhcpDoor, PacketDoor, UdpDoor
from umslab_runtime.namespaces import Whereabouts
from umslab_runtime.net_trio import TrioNetwork
from umslab_runtime.network import ListenError
from umslab_runtime.policy import TargetPolicy

if TYPE_CHECKING:
    from collections.abc import Iterable

    from umslab_runtime.policy import IPAddress


@dataclass(frozen=True, slots=True)
class Way:
    """An interface, or a relay."""

    interface: str = ""
    relay: Relay | None = None

    async def open(self, owned: Iterable[IPAddress], where: Whereabouts) -> DhcpDoor:
        """Open the door; raises `ListenError` and `TargetRefusedError`."""
        network = TrioNetwork(policy_of(owned, where))
        if self.relay is None:
            return PacketDoor(await network.packets(self.interface, user_named=True))
        try:
            return UdpDoor(await network.udp(str(self.relay.giaddr), SERVER_PORT))
        except ListenError as error:
            raise ListenError(f"{error}; a relay hears answers on port 67 only, which needs root") from None


def policy_of(owned: Iterable[IPAddress], where: Whereabouts) -> TargetPolicy:
    """Who may be called: in a namespace that umslab made everybody there, else loopback and what the user owns."""
    return TargetPolicy(owned=frozenset(owned), namespace=where is Whereabouts.MADE)


def parse_way(interface: str, server: str, giaddr: str, *, prefix: str = "--") -> Way:
    """Read the flags `interface`, `relay` and `giaddr` with this prefix; raises `InvalidValueError`."""
    if bool(interface) == bool(server):
        raise InvalidValueError(f"say how to ask: {prefix}interface IF, or {prefix}relay SERVER {prefix}giaddr ADDRESS")
    if bool(server) != bool(giaddr):
        raise InvalidValueError(f"{prefix}relay and {prefix}giaddr belong together")
    if not server:
        return Way(interface)
    return Way(relay=Relay(parse_address(f"{prefix}giaddr", giaddr), parse_address(f"{prefix}relay", server)))


def parse_address(option: str, text: str) -> IPv4Address:
    """Read an IPv4 address; raises `InvalidValueError` that names the option."""
    try:
        return IPv4Address(text)
    except AddressValueError:
        raise InvalidValueError(f"{option}: {text[:40]!r} is not an IPv4 address") from None


def parse_own_address(option: str, text: str) -> IPv4Address:
    """Read an address that a device can have; raises `InvalidValueError`."""
    address = parse_address(option, text)
    if address.is_unspecified or address.is_multicast or address.is_loopback or address.is_reserved:
        raise InvalidValueError(f"{option}: {address} is not an address for a device")
    return address
