# SPDX-License-Identifier: Apache-2.0
"""What a device is to its neighbours on the link, beside its session: found by scans, checked, woken up.

While it is awake it answers probes; while it sleeps or is shut down its network card listens for its magic packet;
while it boots neither does.
"""

from __future__ import annotations

from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import trio

from umslab_agent.answering import Answerer, Answering
from umslab_agent.scan_source import ScanSource
from umslab_agent.waking import Waking
from umslab_protocol.machines.device_life import State
from umslab_protocol.values.firmware import FirmwareVersion
from umslab_protocol.values.unit_id import MacAddress, UnitId
from umslab_protocol.wire.magic_packet import WAKE_PORT
from umslab_protocol.wire.probes import PROBE_PORT
from umslab_runtime.connections import Room, StreamServer
from umslab_runtime.limits import Limits

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from umslab_agent.persona import Persona
    from umslab_agent.unit import Unit
    from umslab_runtime.network import Network
    from umslab_runtime.streams import HttpStream, Stream

ASLEEP = frozenset({State.SUSPENDED, State.OFF})
GONE = frozenset({State.REBOOTING, State.FAILED})
"""Neither awake nor able to be woken; a device that failed for good is not simulated any more."""
MOST_SCANS = 8
"""Scans over TCP at a time."""


@dataclass(frozen=True, kw_only=True)
class Whereabouts:
    """Where neighbours find a device."""

    address: str
    interface: str = ""
    """With one, broadcasts on it are heard too."""
    probe_port: int = PROBE_PORT
    wake_port: int | None = WAKE_PORT
    """None: no magic packet wakes it."""


class Nowhere:
    """A device that nobody finds on the link; who runs it may wake it from suspension."""

    wakeable: frozenset[State] = frozenset({State.SUSPENDED})
    """States in which the device stays until it is woken up."""
    answer_scan: Callable[[Stream], Awaitable[None]] | None = None
    """Answers a scan over TCP (T14); None: no scan finds it."""

    def update(self, unit: Unit, state: State, wake: Callable[[], None]) -> None:
        """The device is in this state now; `wake` is called when a magic packet for it comes while it sleeps."""

    def leave(self, persona: Persona) -> None:
        """The device is not simulated any more."""


class Nearby(Nowhere):
    """One device's place on the link; several devices may share `answering` and `waking`."""

    def __init__(
        self, answering: Answering, waking: Waking | None, *, address: str = "", checked: bool = False
    ) -> None:
        """`checked`: it answers online checks too, as OS 11 does (N10)."""
        self.answer_scan = partial(answering.answer_over_tcp, destination=address)
        self.orders = ScanSource()
        """What a scan that has found the device orders it to do."""
        self._answering = answering
        self._waking = waking
        self.wakeable = Nowhere.wakeable if waking is None else ASLEEP
        self._address = address
        self._checked = checked

    def update(self, unit: Unit, state: State, wake: Callable[[], None]) -> None:
        """Answer, listen, or neither; see `Nowhere.update`."""
        persona = unit.persona
        self.leave(persona)
        info = persona.device_info()
        has_ums = unit.folder.has_ums(FirmwareVersion.parse(persona.firmware).major)
        if has_ums or state in ASLEEP | GONE:
            self.orders.forget()
        if state in ASLEEP:
            if self._waking is not None:
                self._waking.listen(MacAddress(persona.mac), self._address, wake)
        elif state not in GONE:
            self._answering.join(
                Answerer(
                    unit_id=UnitId(persona.unit_id),
                    mac=MacAddress(persona.mac),
                    name=info.networkName,
                    product=info.productId,
                    firmware=persona.firmware,
                    has_ums=has_ums,
                    checked=self._checked,
                    address=self._address,
                    ordered=self.orders.take,
                )
            )

    def leave(self, persona: Persona) -> None:
        """The device is not simulated any more."""
        self._answering.leave(UnitId(persona.unit_id))
        if self._waking is not None:
            self._waking.stop(MacAddress(persona.mac))


class _ScanPort(StreamServer):
    """TCP 30005 of a device that takes no calls there."""

    def __init__(self, answer_scan: Callable[[Stream], Awaitable[None]]) -> None:
        super().__init__(context=None, room=Room(Limits(connections=MOST_SCANS, handshakes=MOST_SCANS)))
        self._answer_scan = answer_scan

    async def converse(self, stream: HttpStream, *, crowded: bool) -> None:
        """Answer one scan."""
        if not crowded:
            await self._answer_scan(stream)


@asynccontextmanager
async def open_nearby(network: Network, where: Whereabouts, *, checked: bool = False) -> AsyncIterator[Nearby]:
    """Give one device a place on the link as long as the block lasts. Raises `ListenError`, `TargetRefusedError`.

    A device that is `checked` has a listener of its own on TCP 30005, of any other it is for scans only (T11, T14); on
    a port that is any free one there is none.
    """
    with ExitStack() as stack:
        host = "0.0.0.0" if where.interface else where.address
        probes = await network.udp(host, where.probe_port, interface=where.interface)
        stack.callback(probes.close)
        answering, waking = Answering(probes), None
        if where.wake_port is not None:
            wakes = await network.udp(host, where.wake_port, interface=where.interface)
            stack.callback(wakes.close)
            waking = Waking(wakes)
        address = where.address if where.interface else ""
        listeners = []
        if where.probe_port and not checked:
            listeners.append(await network.listen(where.address, where.probe_port))
            stack.callback(listeners[0].close)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(answering.run)
            nursery.start_soon(_ScanPort(partial(answering.answer_over_tcp, destination=address)).serve, listeners)
            if waking is not None:
                nursery.start_soon(waking.run)
            yield Nearby(answering, waking, address=address, checked=checked)
            nursery.cancel_scope.cancel()
