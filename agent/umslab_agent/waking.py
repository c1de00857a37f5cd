# SPDX-License-Identifier: Apache-2.0
"""Sleeping devices listen for their magic packet (WL1, WL3): one endpoint on UDP 9 for all devices of a process.

As with a real network card only the link decides: what is sent to everybody or to the device's own address reaches it;
devices without an address of their own share the endpoint's.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from umslab_protocol.wire.magic_packet import woken_by
from umslab_runtime.policy import EVERYBODY

if TYPE_CHECKING:
    from collections.abc import Callable

    from umslab_protocol.values.unit_id import MacAddress
    from umslab_runtime.udp import Received, UdpEndpoint

AT_ONCE = 256
"""Datagrams before everybody else gets a turn."""


class Waking:
    """Devices `listen` while they sleep and `stop` when they wake; keep `run` running."""

    def __init__(self, endpoint: UdpEndpoint) -> None:
        self.counters: Counter[str] = Counter()
        """`woken`, and what woke nobody: `not-here`, `malformed`."""
        self._endpoint = endpoint
        self._asleep: dict[MacAddress, tuple[str, Callable[[], None]]] = {}

    def listen(self, mac: MacAddress, address: str, wake: Callable[[], None]) -> None:
        """Call `wake` at the next magic packet for this device; `address` is its own, or empty."""
        self._asleep[mac] = (address, wake)

    def stop(self, mac: MacAddress) -> None:
        """Listen no more for this device; nothing when it did not."""
        self._asleep.pop(mac, None)

    async def run(self) -> None:
        """Listen for ever."""
        while True:
            await self._endpoint.until_readable()
            for received in self._endpoint.receive_nowait(AT_ONCE):
                self.counters[self._take(received)] += 1

    def _take(self, received: Received) -> str:
        mac = woken_by(received.payload)
        if mac is None:
            return "malformed"
        address, wake = self._asleep.get(mac, ("", None))
        if wake is None or (address and received.destination not in {address, str(EVERYBODY), ""}):
            return "not-here"
        self.stop(mac)
        wake()
        return "woken"
