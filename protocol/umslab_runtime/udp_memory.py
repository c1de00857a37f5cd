# SPDX-License-Identifier: Apache-2.0
"""UDP without sockets: delivered after the latency, dropped by a cut link, a full queue, or whoever is asked to."""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING

import trio

from umslab_runtime.network import ListenError
from umslab_runtime.policy import EVERYBODY
from umslab_runtime.udp import MAX_DATAGRAM_BYTES, DatagramError, Received, UdpEndpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from umslab_protocol.values.unit_id import UnitId
    from umslab_runtime.streams import Address

QUEUE = 4096
"""Datagrams that wait at one endpoint; more are dropped, as a kernel does."""


class Datagrams:
    """All UDP endpoints of one memory network."""

    def __init__(self, connected: Callable[[str, str], bool]) -> None:
        self._connected = connected
        self._endpoints: dict[Address, MemoryUdp] = {}
        self.loses: Callable[[bytes], bool] = lambda _: False
        """Asked for each datagram whether it is lost on the way."""
        self.dropped: Counter[str] = Counter()

    def open(self, address: Address, names: Mapping[str, str], latency: float) -> MemoryUdp:
        """Bind an endpoint; raises `ListenError`."""
        if address in self._endpoints:
            raise ListenError(f"{address} is in use")
        endpoint = self._endpoints[address] = MemoryUdp(self, address, names, latency)
        return endpoint

    def forget(self, endpoint: MemoryUdp) -> None:
        """Free the address of an endpoint."""
        if self._endpoints.get(endpoint.address) is endpoint:
            del self._endpoints[endpoint.address]

    def carry(self, payload: bytes, by: Address, to: Address, latency: float, destination: str) -> None:
        """Bring a datagram to whoever is there; to 255.255.255.255: to everybody else with that port.

        `destination` is the name under which the receiver was called.
        """
        if to.host == str(EVERYBODY):
            ends = [one for one in self._endpoints.values() if one.address.port == to.port and one.address != by]
        else:
            ends = [self._endpoints[to]] if to in self._endpoints else []
        for end in ends:
            here = destination if to.host != str(EVERYBODY) else end.address.host
            if not self._connected(by.host, here):
                self.dropped["cut"] += 1
            elif self.loses(payload):
                self.dropped["lost"] += 1
            elif not end.take(trio.current_time() + latency, Received(payload, by, destination)):
                self.dropped["full"] += 1


class MemoryUdp(UdpEndpoint):
    """One endpoint of a memory host."""

    def __init__(self, datagrams: Datagrams, address: Address, names: Mapping[str, str], latency: float) -> None:
        self._datagrams = datagrams
        self._address = address
        self._names = names
        self._latency = latency
        self._queue: deque[tuple[float, Received]] = deque()
        self._lot = trio.lowlevel.ParkingLot()
        self._closed = False

    @property
    def address(self) -> Address:
        """Where it is bound."""
        return self._address

    def send_to(self, payload: bytes, to: Address, *, unit_id: UnitId | None = None, source: str = "") -> bool:
        """Send one datagram. No target policy: nothing leaves. `source` is an alias of this host."""
        del unit_id
        if self._closed:
            raise trio.ClosedResourceError("this endpoint is closed")
        if len(payload) > MAX_DATAGRAM_BYTES:
            raise DatagramError(f"{to}: message too long")
        where = type(to)(self._names.get(to.host, to.host), to.port)
        by = type(to)(source, self._address.port) if source else self._address
        self._datagrams.carry(payload, by, where, self._latency, to.host)
        return True

    def take(self, at: float, received: Received) -> bool:
        """Queue what arrives at this time; false: there is no room."""
        if len(self._queue) >= QUEUE:
            return False
        self._queue.append((at, received))
        self._lot.unpark_all()
        return True

    def receive_nowait(self, most: int) -> list[Received]:
        """Return what has arrived by now."""
        if self._closed:
            raise trio.ClosedResourceError("this endpoint is closed")
        now, arrived = trio.current_time(), list[Received]()
        while self._queue and self._queue[0][0] <= now and len(arrived) < most:
            arrived.append(self._queue.popleft()[1])
        return arrived

    async def until_readable(self) -> None:
        """Wait until the first datagram of the queue arrives."""
        if self._queue:
            await trio.sleep_until(self._queue[0][0])
        elif not self._closed:
            await self._lot.park()

    def close(self) -> None:
        """Close."""
        self._closed = True
        self._datagrams.forget(self)
        self._lot.unpark_all()
