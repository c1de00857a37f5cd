# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_protocol.machines.dhcp_lease."""

from __future__ import annotations

import math
from ipaddress import IPv4Address

import pytest

from umslab_protocol.machines.dhcp_lease import Lease, read_lease
from umslab_protocol.wire.dhcp import DhcpMessage, Op
from umslab_protocol.wire.dhcp_options import DhcpProblem, MalformedDhcpError, Option

SERVER = Option(54, b"\xc0\0\x02\x01")
FOR_EVER = 0xFFFF_FFFF


def _lease(*numbers: tuple[int, int], chance: float = 0.0, address: str = "192.0.2.50", end: Option = SERVER) -> Lease:
    options = [Option(53, b"\x05"), end, *(Option(code, number.to_bytes(4)) for code, number in numbers)]
    message = DhcpMessage(op=Op.REPLY, xid=1, chaddr=bytes(6), yiaddr=IPv4Address(address), options=tuple(options))
    return read_lease(message, asked_at=1000.0, chance=chance)


@pytest.mark.parametrize(
    ("numbers", "renew", "rebind"),
    [
        ([], 500, 875),
        ([(58, 100)], 100, 875),
        ([(59, 300)], 300, 300),
        ([(59, 800)], 500, 800),
        ([(58, 100), (59, 300)], 100, 300),
        ([(58, 400), (59, 300)], 500, 875),
        ([(58, 0), (59, 300)], 500, 875),
        ([(58, 100), (59, 2000)], 500, 875),
        ([(58, FOR_EVER)], 500, 875),
    ],
)
def test_stages(numbers: list[tuple[int, int]], renew: float, rebind: float) -> None:
    """As the server says, defaults where it says nothing, and defaults where it says nonsense."""
    lease = _lease((51, 1000), *numbers)

    assert (1000 + renew, 1000 + rebind, 2000.0) == (lease.renew_at, lease.rebind_at, lease.expires_at)


def test_renewal_comes_earlier_by_chance() -> None:
    """As dhclient does: between three quarters and all of it."""
    assert 1000 + 500 * 0.875 == _lease((51, 1000), chance=0.5).renew_at


def test_for_ever() -> None:
    """RFC 2131 section 3.3."""
    lease = _lease((51, FOR_EVER))

    assert [math.inf] * 4 == [lease.seconds, lease.renew_at, lease.rebind_at, lease.expires_at]
    assert 1100.0 == _lease((51, FOR_EVER), (58, 100)).renew_at


@pytest.mark.parametrize("address", ["0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255", "240.0.0.1"])
def test_addresses_for_nobody(address: str) -> None:
    """No host can have them."""
    with pytest.raises(MalformedDhcpError) as caught:
        _lease((51, 1000), address=address)

    assert DhcpProblem.NO_ADDRESS is caught.value.problem


def test_a_server_without_a_name() -> None:
    """Option 54 is needed."""
    with pytest.raises(MalformedDhcpError) as caught:
        _lease((51, 1000), end=Option(12, b"x"))

    assert DhcpProblem.NO_SERVER_ID is caught.value.problem
