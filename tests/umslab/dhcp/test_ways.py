# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab.dhcp.ways; doors are opened in tests/foreign and tests/safety."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest

from umslab.dhcp.ways import Way, parse_own_address, parse_way, policy_of
from umslab_protocol.errors import InvalidValueError
from umslab_protocol.machines.dhcp_requests import Relay
from umslab_runtime.namespaces import Whereabouts


def test_ways() -> None:
    """An interface, or a relay with its own address."""
    relay = Relay(giaddr=IPv4Address("10.0.0.2"), server=IPv4Address("10.0.0.1"))

    assert Way("eth0") == parse_way("eth0", "", "")
    assert Way(relay=relay) == parse_way("", "10.0.0.1", "10.0.0.2")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("", "", ""), "say how to ask: --dhcp-interface IF"),
        (("eth0", "10.0.0.1", "10.0.0.2"), "say how to ask"),
        (("eth0", "", "10.0.0.2"), "belong together"),
        (("", "10.0.0.1", ""), "--dhcp-relay and --dhcp-giaddr belong together"),
        (("", "10.0.0.1", "x"), "--dhcp-giaddr: 'x' is not an IPv4 address"),
    ],
)
def test_mistakes(flags: tuple[str, str, str], words: str) -> None:
    """Named with the flags of the verb."""
    with pytest.raises(InvalidValueError, match=words):
        parse_way(*flags, prefix="--dhcp-")


def test_addresses_of_devices() -> None:
    """One that no device can have is refused."""
    assert IPv4Address("10.0.0.9") == parse_own_address("--static", "10.0.0.9")
    for text in ("0.0.0.0", "255.255.255.255", "224.0.0.1", "127.0.0.1"):
        with pytest.raises(InvalidValueError, match="not an address for a device"):
            parse_own_address("--static", text)


def test_only_the_marker_frees_a_namespace() -> None:
    """A namespace of somebody else is like the machine."""
    owned = {IPv4Address("10.0.0.1")}

    assert [False, False, True] == [policy_of(owned, where).namespace for where in Whereabouts]
    assert owned == policy_of(owned, Whereabouts.APART).owned
