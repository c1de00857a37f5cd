# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_agent.dns_source."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dns.rcode
import pytest

from tests.support.zone import SILENT, Zone
from umslab_agent.discovery import Absent, Found, Source
from umslab_agent.dns_source import DnsSource
from umslab_protocol.values.host_port import HostPort
from umslab_runtime.dns import DnsClient, DnsProblem, DnsSettings

if TYPE_CHECKING:
    from trio.testing import MockClock

SEARCH = ("a.example", "b.example")


async def find(zone: Zone) -> Found | Absent:
    """What the source says with two search domains."""
    return await DnsSource(DnsClient(DnsSettings((HostPort("127.0.0.1", 53),), SEARCH), zone)).find()


@pytest.mark.parametrize("name", ["igelrmserver.a.example", "igelrmserver.b.example", "igelrmserver"])
async def test_through_the_search_domains(name: str) -> None:
    """The first name that has addresses (D1); all of them, in order, at the default port."""
    found = await find(Zone({name: ["127.0.0.5", "127.0.0.3"]}))

    assert isinstance(found, Found)
    assert (HostPort("127.0.0.5", 8443), HostPort("127.0.0.3", 8443)) == found.targets
    assert f"A record of {name}" in found.why


@pytest.mark.parametrize(
    ("names", "reason", "asked"),
    [
        ({}, DnsProblem.NO_SUCH_NAME, 3),
        ({"igelrmserver.b.example": []}, DnsProblem.NO_ADDRESS, 3),
        ({"igelrmserver.b.example": dns.rcode.SERVFAIL}, DnsProblem.SERVER_FAILED, 4),
        ({"igelrmserver": dns.rcode.REFUSED}, DnsProblem.NO_SUCH_NAME, 4),
        ({"igelrmserver.a.example": SILENT}, DnsProblem.TIMEOUT, 2),
    ],
)
async def test_nothing(autojump_clock: MockClock, names: dict[str, Any], reason: DnsProblem, asked: int) -> None:
    """The most telling reason; where nobody answers the other domains are not tried."""
    zone = Zone(names)
    found = await find(zone)

    assert isinstance(found, Absent)
    assert (Source.DNS, reason) == (found.source, found.reason)
    assert asked == len(zone.asked)
