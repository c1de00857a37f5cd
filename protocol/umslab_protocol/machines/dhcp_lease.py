# SPDX-License-Identifier: Apache-2.0
"""What a DHCP server gave: an address for some time, and options.

Provenance: standard (RFC 2131 sections 4.3.1 and 4.4.5). That the renewal time is moved forward by chance, to between
three quarters and all of it, is what ISC dhclient does, which IGEL OS uses (D10); RFC 2131 asks for "some fuzz".
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from umslab_protocol.wire.dhcp_options import Code, DhcpProblem, MalformedDhcpError, read_address, read_seconds

if TYPE_CHECKING:
    from ipaddress import IPv4Address

    from umslab_protocol.wire.dhcp import DhcpMessage
    from umslab_protocol.wire.dhcp_options import Option

FOR_EVER = 0xFFFF_FFFF  # RFC 2131 section 3.3
RENEW_SHARE, REBIND_SHARE = 0.5, 0.875  # RFC 2131 section 4.4.5: T1 and T2 where the server says nothing
FUZZ = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """Times are on the clock of `now`; infinity for a lease without an end."""

    address: IPv4Address
    server: IPv4Address
    """The server identifier, which need not be the address its packets come from."""
    options: tuple[Option, ...]
    seconds: float
    renew_at: float
    rebind_at: float
    expires_at: float


def server_of(message: DhcpMessage) -> IPv4Address:
    """Return who speaks: option 54; raises `MalformedDhcpError`."""
    option = message.get(Code.SERVER_ID)
    if option is None:
        raise MalformedDhcpError(DhcpProblem.NO_SERVER_ID, "option 54, the server identifier, is missing")
    return read_address(option)


def offered_address(message: DhcpMessage) -> IPv4Address:
    """Return the address of an offer or acknowledgement; raises `MalformedDhcpError` for one no host can have."""
    address = message.yiaddr
    if address.is_unspecified or address.is_multicast or address.is_loopback or address.is_reserved:
        raise MalformedDhcpError(DhcpProblem.NO_ADDRESS, f"{address} is not an address for a host")
    return address


def read_lease(message: DhcpMessage, *, asked_at: float, chance: float) -> Lease:
    """Read an acknowledgement; the lease runs from when it was asked for (RFC 2131 section 4.4.1).

    `chance` is a number in [0, 1). Raises `MalformedDhcpError`.
    """
    given = message.get(Code.LEASE_SECONDS)
    number = 0 if given is None else read_seconds(given)
    if number == 0:
        raise MalformedDhcpError(DhcpProblem.NO_LEASE_TIME, "option 51, the lease time, is missing or 0")
    seconds = math.inf if number == FOR_EVER else float(number)
    renew, rebind = _stages(message, seconds)
    if math.isfinite(renew):
        renew *= 1 - FUZZ * chance
    return Lease(
        address=offered_address(message),
        server=server_of(message),
        options=message.options,
        seconds=seconds,
        renew_at=asked_at + renew,
        rebind_at=asked_at + rebind,
        expires_at=asked_at + seconds,
    )


def _stages(message: DhcpMessage, seconds: float) -> tuple[float, float]:
    """T1 and T2 as the server says, or the defaults where it says nothing or nonsense."""
    renew, rebind = _stated(message, Code.RENEW_SECONDS), _stated(message, Code.REBIND_SECONDS)
    rebind = REBIND_SHARE * seconds if rebind is None else rebind
    renew = min(RENEW_SHARE * seconds, rebind) if renew is None else renew
    if not 0 < renew <= rebind <= seconds:
        return RENEW_SHARE * seconds, REBIND_SHARE * seconds
    return renew, rebind


def _stated(message: DhcpMessage, code: int) -> float | None:
    option = message.get(code)
    if option is None:
        return None
    number = read_seconds(option)
    return math.inf if number == FOR_EVER else float(number)
