# SPDX-License-Identifier: Apache-2.0
"""What drives a device through its life, whatever the generation: do what the life commands, and tell it how that went.

One task per device. device.py and os11/device.py say what each command means.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import trio

from umslab_agent import connecting
from umslab_agent.errors import DeviceFolderError
from umslab_agent.explain import explain_damage
from umslab_agent.happenings import Kind
from umslab_agent.nearby import Nowhere
from umslab_certs.errors import CertificateError
from umslab_protocol.machines.device_life import Command, Resetting, ShuttingDown, State, StepFailed, WokenUp
from umslab_protocol.values.failure import Phase

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from umslab_agent.connecting import Asked
    from umslab_agent.discovery import Discovery
    from umslab_agent.persona import Persona
    from umslab_agent.unit import Unit
    from umslab_protocol.machines.device_life import Departure
    from umslab_protocol.values.failure import Failure

DAMAGE = (CertificateError, DeviceFolderError, OSError)
"""What a folder that cannot be used ends in."""
_AWAY = {State.WAITING, State.REBOOTING, State.SUSPENDED, State.OFF, State.FACTORY}


@dataclass(frozen=True, slots=True)
class Change:
    """Something a watcher may want to know."""

    state: State
    managed: bool
    """The server knows what the device is, and the device what it is to have; for OS 12, while it is online."""
    failure: Failure | None
    wait: float | None
    """Seconds until the device goes on by itself, while it waits, boots or sleeps."""


class Life(Protocol):
    """What the lives of both generations offer."""

    state: State
    failure: Failure | None

    def handle(self, event: Departure | WokenUp | StepFailed, now: float) -> list[Command]:
        """Take an event."""
        ...

    def takes(self, kind: type[Departure | WokenUp]) -> bool:
        """Whether an event of this kind is legal now."""
        ...

    def deadline(self) -> float | None:
        """When to call `on_deadline`."""
        ...

    def on_deadline(self, now: float) -> list[Command]:
        """Go on."""
        ...


class LivingDevice(ABC):
    """One simulated device. `run` it."""

    _boot_phase = Phase.START
    """Where a folder that cannot be used is told to have failed."""

    def __init__(
        self,
        unit: Unit,
        life: Life,
        on_change: Callable[[Change], None],
        *,
        discovery: Discovery | None = None,
        nearby: Nowhere | None = None,
    ) -> None:
        """`discovery` finds the server; with `nearby` the device answers probes, and a magic packet switches it on."""
        self.state = State.OFF
        self.managed = False
        self._unit = unit
        self._life = life
        self._on_change = on_change
        self._discovery = discovery
        self._nearby = nearby or Nowhere()
        self._departure: Departure | None = None
        self._alarm: trio.Event | None = None
        self._woken = False

    @property
    def persona(self) -> Persona:
        """Who it is; an update changes its firmware."""
        return self._unit.persona

    @property
    def failure(self) -> Failure | None:
        """The last failure."""
        return self._life.failure

    def wake_up(self) -> None:
        """Wake it from suspension, or switch it on before its time; nothing to a device that is awake."""
        if self._life.takes(WokenUp) and self._alarm is not None:
            self._woken = True
            self._alarm.set()

    def depart(self, departure: Departure, reason: str) -> None:
        """Go away as soon as possible: end what is being said, or a wait."""
        self._departure = departure
        self._close(reason)
        self._ring()

    async def run(self) -> State:
        """Live until the end, or until cancelled.

        Ends are `released`; `off` and `factory` when nothing switches the device on again; `failed` where the policy
        allows no other try.
        """
        try:
            return await self._live()
        finally:
            self._leave_network(release=True)
            self._nearby.leave(self.persona)
            await self._unit.jobs.stop_all()

    async def _live(self) -> State:
        commands = [Command.BOOT]
        while True:
            if commands == [Command.BOOT]:
                commands = self._boot()
            if Command.FORGET in commands:
                self._forget()
                commands = []
            over = not commands and self._is_over()
            if over:
                self._leave_network(release=True)  # told before the end is
            self._tell()
            departure = self._departure
            if departure is not None and self._life.takes(type(departure)):
                commands = await self._go(departure)
            elif commands:
                commands = await self._step(commands[0])
            elif over:
                return self._life.state
            else:
                commands = await self._rest()

    # What the generations do.

    @abstractmethod
    def _start_up(self) -> list[Command]:
        """Look at the folder, and tell the life what it holds; raises what is in `DAMAGE`."""

    @abstractmethod
    def cut(self) -> bool:
        """Break what is open without a word, as a network that is gone does; tells whether a try fails by it."""

    @abstractmethod
    async def _step(self, command: Command) -> list[Command]:
        """Do a command, and tell the life how it went."""

    @abstractmethod
    def _close(self, reason: str) -> None:
        """Begin to end whatever session there is."""

    @abstractmethod
    def _stopped(self) -> None:
        """The device is going away: nothing is under way any more."""

    def _refusals(self) -> Sequence[Asked]:
        """Whose answers make the device forget its server by itself; nobody's when it is told to."""
        return []

    # What they have in common.

    def _boot(self) -> list[Command]:
        self.managed = False
        try:
            return self._start_up()
        except DAMAGE as error:
            return self._life.handle(StepFailed(explain_damage(self._boot_phase, error)), self._unit.now())

    def _forget(self) -> None:
        """Forget what the life's end tells to: everything after a reset, all that is the server's on a release."""
        try:
            if self._life.state is State.FACTORY:
                self._unit.folder.reset()
            else:
                connecting.give_up(self._unit, self._refusals())
        except DAMAGE as error:
            self._unit.tell(Kind.RELEASE, f"not everything could be forgotten: {error}")

    def _leave_network(self, *, release: bool) -> None:
        """The device is off the link: it gives its address back, or keeps it until it is there again."""
        if self._discovery is not None:
            self._discovery.leave(self._unit, release=release)

    def _is_over(self) -> bool:
        """Whether nothing will ever happen again."""
        return self._life.deadline() is None and self._life.state not in self._nearby.wakeable

    async def _go(self, departure: Departure) -> list[Command]:
        """Go away."""
        self._departure = None
        await self._unit.jobs.stop_all()
        self._stopped()
        self._leave_network(release=isinstance(departure, ShuttingDown | Resetting))
        return self._life.handle(departure, self._unit.now())

    async def _rest(self) -> list[Command]:
        """Wait for the deadline, or for somebody who wakes the device up."""
        self._alarm, self._woken = trio.Event(), False
        deadline = self._life.deadline()
        with trio.move_on_at(math.inf if deadline is None else deadline):
            await self._alarm.wait()
        self._alarm = None
        if self._woken:
            return self._life.handle(WokenUp(), self._unit.now())
        return self._life.on_deadline(self._unit.now())

    def _ring(self) -> None:
        """End the rest."""
        if self._alarm is not None:
            self._alarm.set()

    def _tell(self) -> None:
        self.state = self._life.state
        self._nearby.update(self._unit, self.state, self.wake_up)
        deadline = self._life.deadline() if self.state in _AWAY else None
        wait = None if deadline is None else max(0.0, deadline - self._unit.now())
        self._on_change(Change(self.state, self.managed, self._life.failure, wait))
