# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab.dhcp.lease_report."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from tests.protocol.machines.dhcp_server import TinyServer
from tests.runtime.dhcp_servers import MemoryServer
from umslab.dhcp.lease_report import all_well, event_line, lease_document, report
from umslab_protocol.machines.dhcp_events import Bound, Informed, Lost, LostBy, Refused, Renewed, State, Unanswered

from .test_leasing import lease, plan

if TYPE_CHECKING:
    from trio.testing import MockClock

    from umslab_protocol.machines.dhcp_events import DhcpEvent


async def test_one_client(autojump_clock: MockClock) -> None:
    """What it got, from whom, how long it took, and what IGEL OS makes of it."""
    asked = plan()
    leased, _ = await lease(asked, MemoryServer())
    text, shown = "\n".join(report(asked, leased)), lease_document(asked, leased)
    (client,) = shown["clients"]

    assert all_well(leased)
    assert "offered after 20.0 ms, acknowledged after 20.0 ms" in text
    assert "It takes ums.example as its UMS, from option 224 (D2)." in text
    assert "Gave 1 address back." in text
    assert ("leased", "192.0.2.50", "ums.example") == (client["outcome"], client["address"], client["igel"]["server"])
    assert {"offered": 0.02, "acknowledged": 0.02} == client["steps"]


async def test_static_address(autojump_clock: MockClock) -> None:
    """Options without a lease."""
    asked = plan(static=IPv4Address("192.0.2.9"))
    leased, _ = await lease(asked, MemoryServer())
    text, (client,) = "\n".join(report(asked, leased)), lease_document(asked, leased)["clients"]

    assert "the options for 192.0.2.9 from 192.0.2.1:" in text
    assert "informed after 20.0 ms" in text
    assert ("informed", "192.0.2.9", "192.0.2.1", None, "ums.example") == (
        client["outcome"], client["address"], client["dhcpServer"], client["leaseSeconds"], client["igel"]["server"],
    )  # fmt: skip


async def test_refusals_and_silence(autojump_clock: MockClock) -> None:
    """Each has its sentence, and is no success."""
    asked = plan(patience=5)
    for server, words in (
        (MemoryServer(TinyServer(refuses=True)), "Refused by 192.0.2.1: not here."),
        (MemoryServer(pool=0), "nobody offered an address"),
    ):
        leased, _ = await lease(asked, server)

        assert words in "\n".join(report(asked, leased))
        assert not all_well(leased)
        assert lease_document(asked, leased)["clients"][0]["igel"] is None


async def test_many_clients(autojump_clock: MockClock) -> None:
    """Counted by outcome, with the spread of times and what they take as their UMS."""
    asked = plan(clients=6, patience=5)
    leased, _ = await lease(asked, MemoryServer(pool=4))
    text = "\n".join(report(asked, leased))

    assert "4 of 6 clients: leased." in text
    assert "2 of 6 clients: nobody offered" in text
    assert "offered: median 20.0 ms" in text
    assert "4 take ums.example as their UMS." in text
    assert "Gave 4 addresses back." in text
    assert not all_well(leased)


async def test_lines_of_events(autojump_clock: MockClock) -> None:
    """One for each kind."""
    leased, _ = await lease(plan(), MemoryServer())
    (seat,) = leased.seats
    assert seat.lease is not None
    server = seat.lease.server
    events: dict[DhcpEvent, str] = {
        Bound(seat.lease): "has 192.0.2.50 from 192.0.2.1 for 3600 s",
        Renewed(seat.lease): "may keep 192.0.2.50",
        Refused(server, "no"): "was refused by 192.0.2.1: no",
        Lost(seat.lease, LostBy.EXPIRED): "has lost 192.0.2.50: expired",
        Unanswered(State.SELECTING, 5): "got no answer while selecting, after 5 tries",
        Informed(server, ()): "got options",
    }
    for event, words in events.items():
        assert words in event_line(seat, event)
