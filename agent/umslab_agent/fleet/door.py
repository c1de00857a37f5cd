# SPDX-License-Identifier: Apache-2.0
"""The network as one device of a fleet sees it: the shared one, or none while its cable is out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from umslab_agent.nearby import Nowhere
from umslab_protocol.machines.mdns_browse import PATIENCE_SECONDS, SETTLE_SECONDS
from umslab_runtime.network import EVERYWHERE, DialError, DialProblem, Listener, Network

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractAsyncContextManager

    from umslab_agent.persona import Persona
    from umslab_agent.unit import Unit
    from umslab_protocol.machines.device_life import State
    from umslab_protocol.machines.mdns_browse import Browsed
    from umslab_protocol.values.host_port import HostPort
    from umslab_protocol.values.unit_id import UnitId
    from umslab_runtime.clock import Clock
    from umslab_runtime.network import Announcement
    from umslab_runtime.streams import Address, Transport
    from umslab_runtime.udp import UdpEndpoint


class Door(Network):
    """Passes everything on, except that nobody is reached, and reaches the device, before `closed_until`."""

    __slots__ = ("_clock", "_network", "closed_until")

    def __init__(self, network: Network, clock: Clock) -> None:
        self._network = network
        self._clock = clock
        self.closed_until = 0.0
        """Monotonic seconds."""

    @property
    def is_open(self) -> bool:
        """Whether the network is there."""
        return self._clock.monotonic() >= self.closed_until

    async def listen(self, host: str, port: int) -> Listener:
        """Listen; see `Network.listen`."""
        return _GuardedListener(self, await self._network.listen(host, port))

    async def resolve(self, host: str) -> Sequence[str]:
        """Resolve a name; see `Network.resolve`."""
        self._check(host)
        return await self._network.resolve(host)

    async def dial(self, target: HostPort, *, unit_id: UnitId | None = None) -> Transport:
        """Connect; see `Network.dial`."""
        self._check(target)
        return await self._network.dial(target, unit_id=unit_id)

    async def udp(self, host: str, port: int, *, interface: str = "") -> UdpEndpoint:
        """Open a UDP endpoint; see `Network.udp`."""
        return await self._network.udp(host, port, interface=interface)

    def announce(
        self, name: str, port: int, *, on: Sequence[str], user_named: bool = False
    ) -> AbstractAsyncContextManager[Announcement]:
        """Announce by mDNS; see `Network.announce`."""
        return self._network.announce(name, port, on=on, user_named=user_named)

    async def browse(
        self,
        *,
        on: Sequence[str] = (EVERYWHERE,),
        user_named: bool = False,
        patience: float = PATIENCE_SECONDS,
        settle: float = SETTLE_SECONDS,
    ) -> Browsed:
        """Search by mDNS; see `Network.browse`."""
        return await self._network.browse(on=on, user_named=user_named, patience=patience, settle=settle)

    def _check(self, whom: object) -> None:
        if not self.is_open:
            raise DialError(DialProblem.UNREACHABLE, f"{whom}: the network of this device is away, as planned")


class _GuardedListener(Listener):
    """Breaks off whoever calls while the door is closed."""

    def __init__(self, door: Door, listener: Listener) -> None:
        self._door = door
        self._listener = listener

    @property
    def address(self) -> Address:
        return self._listener.address

    async def accept(self) -> Transport:
        while True:
            transport = await self._listener.accept()
            if self._door.is_open:
                return transport
            transport.abort()

    def close(self) -> None:
        self._listener.close()


class BehindDoor(Nowhere):
    """A device's place on the link, which nobody finds while its door is closed."""

    def __init__(self, door: Door, nearby: Nowhere) -> None:
        self._door = door
        self._nearby = nearby
        self.wakeable = nearby.wakeable
        self.answer_scan = nearby.answer_scan  # behind a closed door nobody is accepted

    def update(self, unit: Unit, state: State, wake: Callable[[], None]) -> None:
        """See `Nowhere.update`."""
        if self._door.is_open:
            self._nearby.update(unit, state, wake)
        else:
            self._nearby.leave(unit.persona)

    def leave(self, persona: Persona) -> None:
        """See `Nowhere.leave`."""
        self._nearby.leave(persona)
