# SPDX-License-Identifier: Apache-2.0
"""Who may be called: the target policy (house.md section 4, "one door to the network").

Decided on the *resolved* address at every dial, whoever asked for it: a user, a redirect, a list a server handed out.

- Loopback is free.
- A private address needs the user's word, `--i-own HOST`, given on the command line: no variable and no file consents.
- A public address is refused: a simulator has no business managing itself into somebody's server on the Internet.
- Outside loopback a simulated device has a locally administered unit ID (02...), so that it can never overwrite the
  record of a real endpoint.
- Broadcast, multicast and unspecified addresses are never called.
- Inside a network namespace that umslab made (`namespace`, given only by code that made it or asked
  `namespaces.whereabouts`) private addresses are free, and datagrams may be broadcast.
- mDNS, which everybody on a link hears, stays on loopback and in such namespaces, unless the user names an address of
  this machine from which it may be sent, `--mdns-on ADDRESS`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING

from umslab_protocol.values.unit_id import is_locally_administered

if TYPE_CHECKING:
    from umslab_protocol.values.unit_id import UnitId

IPAddress = IPv4Address | IPv6Address
MOST_DEVICES_OUTSIDE = 100
MOST_ARRIVALS_OUTSIDE = 5
EVERYBODY = IPv4Address("255.255.255.255")
_EVERYBODY = str(EVERYBODY)


class TargetRefusedError(Exception):
    """The policy does not let us call this address; the message is one sentence for the user."""


@dataclass(frozen=True, slots=True, eq=False)  # each is equal to itself only, and a quick key
class TargetPolicy:
    """The rules, with the addresses the user said to own."""

    owned: frozenset[IPAddress] = field(default_factory=frozenset)
    namespace: bool = False
    """Whether everything this leads to is a network namespace made for it."""

    def check(self, address: str, unit_id: UnitId | None = None) -> None:
        """Raise `TargetRefusedError` unless this literal address may be called (as this simulated device).

        Called before anything is sent; pure.
        """
        if (why := _refusal(self, address, unit_id)) is not None:
            raise TargetRefusedError(why)

    def check_load(self, address: str, devices: int, busiest: int) -> None:
        """Raise `TargetRefusedError` unless a fleet of this size, with so many arrivals in a second, may go there.

        What is outside this machine and its namespaces may be a real UMS, also when the user owns it.
        """
        if effective_address(address).is_loopback or self.namespace:
            return
        if devices > MOST_DEVICES_OUTSIDE or busiest > MOST_ARRIVALS_OUTSIDE:
            raise TargetRefusedError(
                f"{address} is outside this machine: a fleet there has at most {MOST_DEVICES_OUTSIDE} devices, "
                f"of which at most {MOST_ARRIVALS_OUTSIDE} arrive in a second, unless the server proves that it is an "
                f"umslab started for load; this one has {devices} and {busiest}"
            )

    def check_datagram(self, address: str, unit_id: UnitId | None = None) -> None:
        """The same for one datagram, which may go to everybody on the link inside a namespace that umslab made."""
        why = _refusal(self, address, unit_id)
        if why is not None and not (self.namespace and address == _EVERYBODY):
            raise TargetRefusedError(why)


def check_multicast(address: str, *, made: bool, user_named: bool) -> None:
    """Raise `TargetRefusedError` unless everybody on the link of this address of ours may hear us (mDNS).

    `made`: this process is in a network namespace that umslab made; `user_named`: the user named this address.
    """
    ip = effective_address(address)
    if ip.is_loopback:
        return
    if not (ip.is_private or ip.is_link_local) or ip.is_unspecified:
        raise TargetRefusedError(f"{ip} is a public address, and umslab announces and searches nothing there")
    if not (made or user_named):
        raise TargetRefusedError(
            f"mDNS from {ip} is heard by everybody on its network: if that is yours, say so with --mdns-on {ip}"
        )


@lru_cache(maxsize=1 << 16)  # an online check asks ten thousand addresses every few seconds
def _refusal(policy: TargetPolicy, address: str, unit_id: UnitId | None) -> str | None:
    """Say why this address may not be called, or nothing."""
    ip = effective_address(address)
    if ip.is_loopback:
        return None
    if ip.is_multicast or ip.is_unspecified or ip == EVERYBODY or ip.is_reserved:
        return f"{ip} is not the address of one machine, so umslab does not call it"
    if not (ip.is_private or ip.is_link_local):
        return f"{ip} is a public address, and umslab does not bring simulated devices there"
    if ip not in policy.owned and not policy.namespace:
        return f"{ip} is outside this machine: if it is yours, say so with --i-own {ip} (or its name)"
    if unit_id is not None and not is_locally_administered(unit_id):
        return (
            f"unit ID {unit_id} could belong to a real endpoint: outside loopback a simulated device needs one "
            f"whose MAC is locally administered, such as 02{unit_id[2:12]}"
        )
    return None


@lru_cache(maxsize=1024)  # asked for every datagram
def effective_address(address: str) -> IPAddress:
    """Return the address that is really called: an IPv4-mapped IPv6 address is its IPv4 address."""
    ip = ip_address(address.partition("%")[0])
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped is not None:
        return ip.ipv4_mapped
    return ip


LOOPBACK_ONLY = TargetPolicy()
