# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab.dhcp.own_lease; mistakes of users are in tests/umslab/cli, real servers in tests/foreign."""

from __future__ import annotations

from datetime import UTC, datetime
from ipaddress import IPv4Address

import pytest

from umslab.dhcp.own_lease import OwnLease, learn_names, open_own_lease, parse_own_lease
from umslab.dhcp.ways import Way
from umslab_agent.dhcp import Addressing
from umslab_protocol.machines.dhcp_requests import Relay
from umslab_protocol.values.host_port import HostPort
from umslab_protocol.wire.dhcp_options import Option
from umslab_protocol.wire.igel_dhcp import ExtraCodes
from umslab_runtime.clock import VirtualClock
from umslab_runtime.dns import DnsClient, DnsSettings, ask_by_socket
from umslab_runtime.namespaces import Whereabouts, whereabouts
from umslab_runtime.policy import TargetPolicy, TargetRefusedError

NAMES = (Option(6, bytes((10, 0, 0, 1))), Option(15, b"lab.example"))
CLOCK = VirtualClock(datetime(2026, 11, 22, tzinfo=UTC))


def test_flags() -> None:
    """Nothing said is no lease; a relay tells the client too what it is."""
    extra, relay = ExtraCodes(port=240), Relay(giaddr=IPv4Address("10.0.0.2"), server=IPv4Address("10.0.0.1"))

    assert parse_own_lease("", "", "", static="", fallback="", extra=extra) is None
    assert OwnLease(
        way=Way(relay=relay), addressing=Addressing(relay=relay, static=IPv4Address("10.0.0.9"), extra=extra)
    ) == parse_own_lease("", "10.0.0.1", "10.0.0.2", static="10.0.0.9", fallback="", extra=extra)


def test_names_come_from_the_lease() -> None:
    """Where the user said nothing; whom we may ask stays as it was."""
    policy = TargetPolicy(owned=frozenset({IPv4Address("10.9.9.9")}))
    client = DnsClient(DnsSettings(), ask_by_socket, policy=policy)
    learn_names(client, NAMES, DnsSettings())
    assert DnsSettings((HostPort("10.0.0.1", 53),), ("lab.example",)) == client.settings

    said = DnsSettings((HostPort("10.9.9.9", 53),), ("mine.example",))
    learn_names(client, NAMES, said)
    assert said == client.settings
    learn_names(client, (), DnsSettings())
    assert DnsSettings() == client.settings
    with pytest.raises(TargetRefusedError):
        client._policy.check("10.0.0.1")


async def test_doors() -> None:
    """None for who does not lease; none with packets in the machine's own network."""
    async with open_own_lease(None, (), CLOCK) as runner:
        assert runner is None
    if whereabouts() is not Whereabouts.MACHINE:
        pytest.skip("these tests themselves run in a network namespace")
    with pytest.raises(TargetRefusedError, match="only inside a network namespace"):
        async with open_own_lease(OwnLease(way=Way("lo")), (), CLOCK):
            pass
