# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab.dhcp.leasing on the memory network; with real servers in tests/foreign, refusals in tests/safety."""

from __future__ import annotations

from datetime import UTC, datetime
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

import pytest
import trio

from tests.runtime.dhcp_servers import RELAY, MemoryServer, relayed
from umslab.dhcp.leasing import (
    MAX_OWNED_CLIENTS,
    OWNED_PAUSE_SECONDS,
    Leased,
    LeasePlan,
    Leasing,
    client_macs,
    pause_of,
    static_addresses,
)
from umslab.dhcp.ways import Way
from umslab_protocol.errors import InvalidValueError
from umslab_protocol.machines.dhcp_requests import Relay
from umslab_protocol.values.firmware import DEFAULT_FIRMWARE
from umslab_protocol.values.unit_id import MacAddress
from umslab_runtime.clock import VirtualClock
from umslab_runtime.dhcp_runner import Outcome
from umslab_runtime.namespaces import Whereabouts
from umslab_runtime.net_memory import MemoryNetwork

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio.testing import MockClock


def plan(**changes: object) -> LeasePlan:
    """What a user asks for, through a relay."""
    return LeasePlan(**{"firmware": DEFAULT_FIRMWARE, "way": Way(relay=RELAY), **changes})  # type: ignore[arg-type]


async def lease(
    asked: LeasePlan, server: MemoryServer, watch: Callable[[Callable[[], None]], object] | None = None
) -> tuple[Leased, int]:
    """Run it; also how often progress was told."""
    told = 0

    def tell(_: object) -> None:
        nonlocal told
        told += 1

    leasing = Leasing(
        asked,
        on_event=lambda _seat, _event: None,
        on_progress=tell,
        clock=VirtualClock(datetime(2026, 11, 22, tzinfo=UTC)),
    )
    async with trio.open_nursery() as nursery:
        door = await relayed(MemoryNetwork(latency=0.01), nursery, server)
        leased = await leasing.over(door, watch=watch)  # type: ignore[arg-type]
        await trio.sleep(1)
        nursery.cancel_scope.cancel()
    return leased, told


async def test_leases_and_gives_back(autojump_clock: MockClock) -> None:
    """All that were leased; those for whom there was none have a reason; progress is told meanwhile."""
    server = MemoryServer(pool=3)
    leased, told = await lease(plan(clients=5, patience=10), server)

    assert (3, False, {}) == (leased.released, leased.stopped, server.tiny.leases)
    assert 2 == sum(seat.outcome is Outcome.NOBODY_OFFERED for seat in leased.seats)
    assert pytest.approx(10, abs=0.1) == leased.took
    assert 10 <= told <= 12


@pytest.mark.parametrize("hold", [True, False])
async def test_user_stops_it(autojump_clock: MockClock, *, hold: bool) -> None:
    """While it asks, or while it holds: what was leased is given back."""

    async def stop_later(stop: Callable[[], None]) -> None:
        await trio.sleep(5)
        stop()

    server = MemoryServer(pool=1)
    leased, _ = await lease(plan(clients=1 if hold else 2, hold=hold), server, stop_later)

    assert (True, 1, {}) == (leased.stopped, leased.released, server.tiny.leases)
    assert (Outcome.LEASED if hold else Outcome.CANCELLED) is leased.seats[-1].outcome
    assert leased.took < 6


def test_macs() -> None:
    """They count on within what is locally administered; chance gives such ones too."""
    assert ["02FFFFFFFFFF", "02FF00000000"] == client_macs(plan(mac=MacAddress("02FFFFFFFFFF"), clients=2))
    assert client_macs(plan())[0].startswith("02")
    assert 500 == len(set(client_macs(plan(clients=500))))
    for wrong in ({"mac": MacAddress("00E0C5000001")}, {"mac": MacAddress("03E0C5000001")}, {"clients": 0}):
        with pytest.raises(InvalidValueError):
            client_macs(plan(**wrong))


def test_who_may_be_asked_by_how_many() -> None:
    """Many only on loopback and in namespaces that umslab made."""
    many, few = plan(clients=1000), plan(clients=MAX_OWNED_CLIENTS)
    local = plan(clients=1000, way=Way(relay=Relay(IPv4Address("127.0.0.2"), IPv4Address("127.0.0.1"))))

    assert {0.0} == {pause_of(many, Whereabouts.MADE), pause_of(local, Whereabouts.MACHINE)}
    for where in (Whereabouts.MACHINE, Whereabouts.APART):
        assert (OWNED_PAUSE_SECONDS, 0.0) == (pause_of(few, where), pause_of(plan(), where))
        with pytest.raises(InvalidValueError, match="at most 10"):
            pause_of(many, where)


async def test_static_addresses(autojump_clock: MockClock) -> None:
    """They count on; each client asks for options only, and there is nothing to give back."""
    server = MemoryServer()
    leased, _ = await lease(plan(clients=3, static=IPv4Address("192.0.2.9")), server)

    assert ["192.0.2.9", "192.0.2.10", "192.0.2.11"] == [str(seat.static) for seat in leased.seats]
    assert {Outcome.INFORMED} == {seat.outcome for seat in leased.seats}
    assert (0, {}) == (leased.released, server.tiny.leases)
    with pytest.raises(InvalidValueError, match=r"no 5 addresses from 255\.255\.255\.253 on"):
        static_addresses(plan(clients=5, static=IPv4Address("255.255.255.253")))
