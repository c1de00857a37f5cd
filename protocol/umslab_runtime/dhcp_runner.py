# SPDX-License-Identifier: Apache-2.0
"""Runs DHCP clients: any number of them over one door, with one task for receiving and one for all their timers.

What arrives is given to the client with its hardware address, which looks at the transaction itself. What is for nobody
here is counted.
"""

from __future__ import annotations

from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import trio

from umslab_protocol.machines.dhcp_client import DhcpClient
from umslab_protocol.machines.dhcp_events import Bound, DhcpEvent, Informed, Lost, Refused, Renewed, State, Unanswered
from umslab_protocol.wire.dhcp import hardware_address
from umslab_runtime.policy import TargetRefusedError
from umslab_runtime.timers import Timers
from umslab_runtime.udp import DatagramError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping
    from ipaddress import IPv4Address

    from umslab_protocol.machines.dhcp_events import Timing
    from umslab_protocol.machines.dhcp_lease import Lease
    from umslab_protocol.machines.dhcp_requests import ClientIdentity, Datagram
    from umslab_runtime.clock import Clock
    from umslab_runtime.dhcp_door import DhcpDoor

    OnEvent = Callable[["Seat", DhcpEvent], None]

Failure = DatagramError | TargetRefusedError
MAX_CLIENTS = 20_000
AT_ONCE = 64
"""Clients that ask at the same time: more, and a server's socket loses what they say."""
PATIENCE_SECONDS = 30.0
RELEASES_AT_ONCE = 32
RELEASE_PAUSE_SECONDS = 0.05
"""Nobody confirms a release, so a burst of them would be lost unseen."""
MAX_REFUSALS = 8
"""Kept of each client."""
MAX_STEPS = 32


class Outcome(StrEnum):
    """How asking went."""

    LEASED = "leased"
    INFORMED = "informed"
    NOBODY_OFFERED = "nobody-offered"
    NOT_ACKNOWLEDGED = "not-acknowledged"
    """Somebody offered an address, and nobody acknowledged the request for it in time."""
    NOT_INFORMED = "not-informed"
    """Nobody answered the request for options."""
    REFUSED = "refused"
    """By a NAK, and nothing better came in time."""
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Step:
    """When a client got into a state, in monotonic seconds."""

    state: State
    at: float


class Seat:
    """One client, and what became of its asking; made by `DhcpRunner.add`."""

    __slots__ = (
        "_runner", "client", "give_up_at", "informed", "lease", "mac", "on_event", "outcome", "refusals", "static",
        "steps",
    )  # fmt: skip

    def __init__(self, runner: DhcpRunner, client: DhcpClient, mac: bytes, on_event: OnEvent) -> None:
        self._runner = runner
        self.client = client
        self.mac = mac
        self.on_event = on_event
        self.outcome: Outcome | None = None
        self.lease: Lease | None = None
        """The latest it had, also after it gave it back."""
        self.informed: Informed | None = None
        self.static: IPv4Address | None = None
        """The address it has by itself; see `DhcpRunner.inform`."""
        self.refusals: list[Refused] = []
        self.steps: list[Step] = []
        self.give_up_at: float | None = None

    def deadline(self) -> float | None:
        """When to be woken; see `timers.Wakeable`."""
        times = [time for time in (self.client.deadline(), self.give_up_at) if time is not None]
        return min(times, default=None)

    def wake(self) -> None:
        """The time has come."""
        self._runner.wake(self)

    def seconds(self, first: State, last: State) -> float | None:
        """How long the first way from one state to another took."""
        begun: float | None = None
        for step in self.steps:
            if step.state is first and begun is None:
                begun = step.at
            elif step.state is last and begun is not None:
                return step.at - begun
        return None


class DhcpRunner:
    """Get one from `open_runner`."""

    def __init__(
        self, door: DhcpDoor, clock: Clock, *, chance: Callable[[], float], on_event: OnEvent | None = None
    ) -> None:
        self.seats: dict[bytes, Seat] = {}
        self.strangers = 0
        """Datagrams for clients that are not ours, or for nobody."""
        self.unsent = 0
        """Datagrams for which this machine had no room."""
        self.failure: Failure | None = None
        self.outcomes: Counter[Outcome] = Counter()
        self._door = door
        self._clock = clock
        self._chance = chance
        self._on_event = on_event or (lambda _seat, _event: None)
        self._timers = Timers(clock)
        self._under_way = 0
        self._turn = trio.Event()

    def add(self, identity: ClientIdentity, timing: Timing | None = None, *, on_event: OnEvent | None = None) -> Seat:
        """Add a client that has not begun; `on_event` hears of it alone, in place of the one of the runner.

        Raises `ValueError` for a MAC that is taken, or one client too many.
        """
        if identity.mac in self.seats:
            raise ValueError(f"two clients with the MAC address {identity.mac.hex(':')}")
        if len(self.seats) >= MAX_CLIENTS:
            raise ValueError(f"more than {MAX_CLIENTS} clients")
        client = DhcpClient(identity, chance=self._chance, timing=timing)
        seat = self.seats[identity.mac] = Seat(self, client, identity.mac, on_event or self._on_event)
        return seat

    def drop(self, seat: Seat, *, release: bool) -> bool:
        """Let a client go, with its address given back, or silently as by a power cut; returns whether it had one."""
        held = self._leave(seat, release=release)
        if self.seats.get(seat.mac) is seat:
            del self.seats[seat.mac]
        self._timers.forget(seat)
        return held

    async def lease(
        self,
        seats: Iterable[Seat],
        *,
        at_once: int = AT_ONCE,
        patience: float = PATIENCE_SECONDS,
        pause: float = 0.0,
        previous: IPv4Address | None = None,
    ) -> None:
        """Let them lease, so many at once, each with so much patience, with a pause between their starts.

        Returns when all have an outcome; raises `DatagramError` or `TargetRefusedError` when nothing can be sent.
        """

        def begin(seat: Seat) -> None:
            seat.client.start(self._clock.monotonic(), previous)

        await self._ask(seats, begin, at_once=at_once, patience=patience, pause=pause)

    async def inform(
        self,
        addresses: Mapping[Seat, IPv4Address],
        *,
        at_once: int = AT_ONCE,
        patience: float = PATIENCE_SECONDS,
        pause: float = 0.0,
    ) -> None:
        """Let clients that have these addresses by themselves ask for options only; as `lease`."""

        def begin(seat: Seat) -> None:
            seat.static = addresses[seat]
            self._door.claim(seat.static, seat.mac)  # the answer goes there
            seat.client.inform(seat.static, self._clock.monotonic())

        await self._ask(addresses, begin, at_once=at_once, patience=patience, pause=pause)

    async def release(self, text: str = "") -> int:
        """Stop all clients and give their addresses back; returns how many."""
        given = 0
        for seat in self.seats.values():
            if self._leave(seat, release=True, text=text):
                given += 1
                if given % RELEASES_AT_ONCE == 0:
                    await self._clock.sleep(RELEASE_PAUSE_SECONDS)
        return given

    def wake(self, seat: Seat) -> None:
        """Let the client of this seat look at the time; ask no longer when its patience is over."""
        now = self._clock.monotonic()
        if seat.give_up_at is not None and seat.give_up_at <= now:
            self._give_up(seat)
        else:
            seat.client.on_deadline(now)
        self._after(seat)

    async def run(self) -> None:
        """Receive for ever; ends when the door fails (`failure`)."""
        while self.failure is None:
            try:
                arrived = await self._door.receive()
            except DatagramError as error:
                self._fail(error)
                return
            for data in arrived:
                self._receive(data)

    async def run_timers(self) -> None:
        """Wake clients, for ever."""
        await self._timers.run()

    # Inside.

    async def _ask(
        self, seats: Iterable[Seat], begin: Callable[[Seat], None], *, at_once: int, patience: float, pause: float
    ) -> None:
        begun = []
        for seat in seats:
            while self._under_way >= at_once:
                await self._next_turn()
            self._begin(seat, patience)
            begin(seat)
            self._after(seat)
            begun.append(seat)
            await self._clock.sleep(pause)
        for seat in begun:
            while seat.outcome is None:
                await self._next_turn()
        self._raise_failure()

    def _receive(self, data: bytes) -> None:
        seat = self.seats.get(hardware_address(data))
        if seat is None:
            self.strangers += 1
        else:
            seat.client.receive(data, self._clock.monotonic())
            self._after(seat)

    def _leave(self, seat: Seat, *, release: bool, text: str = "") -> bool:
        """Stop a client, with or without a word to its server; returns whether it held a lease."""
        if seat.outcome is None and seat.steps:
            self._settle(seat, Outcome.CANCELLED)
        lease = seat.client.lease
        if release:
            seat.client.release(self._clock.monotonic(), text)
        else:
            seat.client.stop()
        self._after(seat)
        for address in (None if lease is None else lease.address, seat.static):
            if address is not None:
                self._door.leave(address)
        return lease is not None

    def _begin(self, seat: Seat, patience: float) -> None:
        self._raise_failure()
        seat.outcome, seat.give_up_at = None, self._clock.monotonic() + patience
        seat.steps.clear()
        seat.refusals.clear()
        self._under_way += 1

    def _after(self, seat: Seat) -> None:
        """Do what follows from anything a client was told."""
        self._note_state(seat)
        while (event := seat.client.next_event()) is not None:
            self._take(seat, event)
            seat.on_event(seat, event)
        for datagram in seat.client.output():
            self._send(seat, datagram)
        self._timers.watch(seat)

    def _note_state(self, seat: Seat) -> None:
        state = seat.client.state
        if len(seat.steps) < MAX_STEPS and (not seat.steps or seat.steps[-1].state is not state):
            seat.steps.append(Step(state, self._clock.monotonic()))

    def _take(self, seat: Seat, event: DhcpEvent) -> None:
        match event:
            case Bound(lease) | Renewed(lease):
                seat.lease = lease
                self._door.claim(lease.address, seat.mac)
                self._settle(seat, Outcome.LEASED)
            case Informed():
                seat.informed = event
                self._settle(seat, Outcome.INFORMED)
            case Refused() if len(seat.refusals) < MAX_REFUSALS:
                seat.refusals.append(event)
            case Lost(lease):
                self._door.leave(lease.address)
            case Unanswered(state) if state in {State.SELECTING, State.INFORMING} and seat.outcome is None:
                self._give_up(seat)

    def _give_up(self, seat: Seat) -> None:
        """What it lacked tells why."""
        if seat.client.state is State.INFORMING or seat.static is not None:
            why = Outcome.NOT_INFORMED
        elif seat.refusals:
            why = Outcome.REFUSED
        elif seat.client.state is State.REQUESTING:
            why = Outcome.NOT_ACKNOWLEDGED
        else:
            why = Outcome.NOBODY_OFFERED
        self._settle(seat, why)
        seat.client.stop()

    def _settle(self, seat: Seat, outcome: Outcome) -> None:
        if seat.outcome is None:
            seat.outcome, seat.give_up_at = outcome, None
            self.outcomes[outcome] += 1
            self._under_way -= 1
            self._wake_turn()

    def _send(self, seat: Seat, datagram: Datagram) -> None:
        if self.failure is not None:
            return
        try:
            if not self._door.send(datagram, seat.mac):
                self.unsent += 1
        except (DatagramError, TargetRefusedError) as error:
            self._fail(error)

    def _fail(self, error: Failure) -> None:
        self.failure = error
        self._wake_turn()

    def _raise_failure(self) -> None:
        if self.failure is not None:
            raise self.failure

    def _wake_turn(self) -> None:
        self._turn.set()
        self._turn = trio.Event()

    async def _next_turn(self) -> None:
        self._raise_failure()
        await self._turn.wait()
        self._raise_failure()


@asynccontextmanager
async def open_runner(
    door: DhcpDoor, clock: Clock, *, chance: Callable[[], float], on_event: OnEvent | None = None
) -> AsyncIterator[DhcpRunner]:
    """Run clients over this door as long as the block lasts, then close it.

    `chance` returns a number in [0, 1). Leaving the block gives no address back: call `release` for that.
    """
    failure: Failure | None = None
    runner = DhcpRunner(door, clock, chance=chance, on_event=on_event)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(runner.run)
            nursery.start_soon(runner.run_timers)
            try:
                yield runner
            except (DatagramError, TargetRefusedError) as error:  # alone, not in a group
                failure = error
            nursery.cancel_scope.cancel()
    finally:
        door.close()
    if failure is not None:
        raise failure
