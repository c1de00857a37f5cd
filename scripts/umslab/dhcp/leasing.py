# SPDX-License-Identifier: Apache-2.0
"""Lease addresses as simulated devices: from a packet endpoint, or through a relay; and give them back."""

from __future__ import annotations

import random
import signal
from dataclasses import dataclass, field
from ipaddress import AddressValueError, IPv4Address
from typing import TYPE_CHECKING

import trio

from umslab_protocol.errors import InvalidValueError
from umslab_protocol.machines.dhcp_requests import ClientIdentity, igel_identity
from umslab_protocol.values.unit_id import MacAddress, UnitId, is_locally_administered
from umslab_protocol.wire.igel_dhcp import ExtraCodes
from umslab_runtime.clock import Clock, SystemClock
from umslab_runtime.dhcp_runner import AT_ONCE, MAX_CLIENTS, PATIENCE_SECONDS, DhcpRunner, Seat, open_runner
from umslab_runtime.namespaces import Whereabouts, whereabouts

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from umslab.dhcp.ways import Way
    from umslab_protocol.machines.dhcp_events import DhcpEvent
    from umslab_protocol.values.firmware import FirmwareVersion
    from umslab_runtime.dhcp_door import DhcpDoor

MAX_OWNED_CLIENTS = 10
"""On a server that is only said to be one's own; more only on loopback and in namespaces that umslab made."""
OWNED_PAUSE_SECONDS = 0.5
FAREWELL_SECONDS = 30.0
PROGRESS_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class LeasePlan:
    """What the user asked for."""

    firmware: FirmwareVersion
    mac: MacAddress | None = None
    """Of the first client; the others count on from it. None: chance."""
    clients: int = 1
    way: Way
    extra: ExtraCodes = field(default_factory=ExtraCodes)
    previous: IPv4Address | None = None
    static: IPv4Address | None = None
    """Of the first client, the others count on: they have these addresses and ask for options only."""
    patience: float = PATIENCE_SECONDS
    at_once: int = AT_ONCE
    hold: bool = False
    owned: frozenset[IPv4Address] = frozenset()


@dataclass(slots=True)
class Leased:
    """What came of it."""

    seats: list[Seat]
    began: float
    took: float = 0.0
    released: int = 0
    strangers: int = 0
    unsent: int = 0
    stopped: bool = False
    """By the user."""


def client_macs(plan: LeasePlan) -> list[MacAddress]:
    """The MAC addresses of all clients; raises `InvalidValueError` for one that could belong to a real device."""
    if not 1 <= plan.clients <= MAX_CLIENTS:
        raise InvalidValueError(f"the number of clients must lie in 1-{MAX_CLIENTS}")
    first = 0x02 << 40 | random.SystemRandom().getrandbits(40) if plan.mac is None else int(plan.mac, 16)
    if not is_locally_administered(UnitId(f"{first:012X}")) or first >> 40 & 1:
        like = f"02{first & (1 << 40) - 1:010X}"
        raise InvalidValueError(f"the MAC address {first:012X} could belong to a real device: take one such as {like}")
    base, counting = first & ~0xFFFF_FFFF, first & 0xFFFF_FFFF
    return [MacAddress(f"{base | (counting + number) & 0xFFFF_FFFF:012X}") for number in range(plan.clients)]


def pause_of(plan: LeasePlan, where: Whereabouts) -> float:
    """How long to pause between two clients; raises `InvalidValueError` for more clients than may ask there."""
    relay = plan.way.relay
    loopback = relay is not None and relay.server.is_loopback
    if loopback or where is Whereabouts.MADE:
        return 0.0
    if plan.clients > MAX_OWNED_CLIENTS:
        raise InvalidValueError(
            f"at most {MAX_OWNED_CLIENTS} clients ask a server outside loopback; for more, run it in a network "
            "namespace whose name begins with umslab- (ip netns add umslab-lab)"
        )
    return OWNED_PAUSE_SECONDS if plan.clients > 1 else 0.0


def static_addresses(plan: LeasePlan) -> list[IPv4Address]:
    """The addresses of clients that have one by themselves; raises `InvalidValueError` past the last there is."""
    if plan.static is None:
        return []
    try:
        return [plan.static + number for number in range(plan.clients)]
    except AddressValueError:
        raise InvalidValueError(f"there are no {plan.clients} addresses from {plan.static} on") from None


class Leasing:
    """One run of it."""

    def __init__(
        self,
        plan: LeasePlan,
        *,
        on_event: Callable[[Seat, DhcpEvent], None],
        on_progress: Callable[[DhcpRunner], None],
        clock: Clock | None = None,
    ) -> None:
        self._plan = plan
        self._macs = client_macs(plan)
        self._addresses = static_addresses(plan)
        self._on_event = on_event
        self._on_progress = on_progress
        self._clock = clock or SystemClock()

    async def run(self) -> Leased:
        """Lease on the real network until done, or until a signal; addresses are given back in any case."""
        where = whereabouts()
        pause = pause_of(self._plan, where)
        door = await self._plan.way.open(self._plan.owned, where)
        return await self.over(door, pause=pause, watch=_stop_on_signal)

    async def over(
        self,
        door: DhcpDoor,
        *,
        pause: float = 0.0,
        watch: Callable[[Callable[[], None]], Awaitable[None]] | None = None,
    ) -> Leased:
        """Lease over this door; `watch` is a task that may call the function it gets to stop early."""
        plan = self._plan
        leased = Leased([], self._clock.monotonic())

        def stop() -> None:
            leased.stopped = True
            asking.cancel()

        asking = trio.CancelScope()
        chance = random.SystemRandom().random
        async with open_runner(door, self._clock, chance=chance, on_event=self._on_event) as runner:
            leased.seats = [runner.add(self._identity(mac)) for mac in self._macs]
            async with trio.open_nursery() as nursery:
                if plan.clients > 1:
                    nursery.start_soon(self._tell_progress, runner)
                if watch is not None:
                    nursery.start_soon(watch, stop)
                with asking:
                    try:
                        await self._lease(runner, leased, pause)
                    finally:
                        leased.took = self._clock.monotonic() - leased.began
                    if plan.hold and any(seat.client.lease for seat in leased.seats):
                        await trio.sleep_forever()
                with trio.move_on_after(FAREWELL_SECONDS):
                    leased.released = await runner.release()
                nursery.cancel_scope.cancel()
            leased.strangers, leased.unsent = runner.strangers, runner.unsent
        return leased

    async def _lease(self, runner: DhcpRunner, leased: Leased, pause: float) -> None:
        plan, seats = self._plan, leased.seats
        if self._addresses:
            addresses = dict(zip(seats, self._addresses, strict=True))
            await runner.inform(addresses, at_once=plan.at_once, patience=plan.patience, pause=pause)
        else:
            await runner.lease(seats, at_once=plan.at_once, patience=plan.patience, pause=pause, previous=plan.previous)
        if len(leased.seats) > 1:
            self._on_progress(runner)

    def _identity(self, mac: MacAddress) -> ClientIdentity:
        plan = self._plan
        codes = (plan.extra.port, plan.extra.auth_key, plan.extra.ca_hash)
        given = tuple(code for code in codes if code is not None)
        return igel_identity(mac, plan.firmware, extra_codes=given, relay=plan.way.relay)

    async def _tell_progress(self, runner: DhcpRunner) -> None:
        while True:
            await self._clock.sleep(PROGRESS_SECONDS)
            self._on_progress(runner)


async def _stop_on_signal(stop: Callable[[], None]) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            stop()
