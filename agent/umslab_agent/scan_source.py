# SPDX-License-Identifier: Apache-2.0
"""The source scan: the device waits until a UMS finds it by a scan and orders it to register (facts O4, A6).

Provenance: documented is that the UMS calls the device on 30005 and that the device then comes by itself; how it is
told is SIMULATED (NP13, wire/probes.py). The UMS is where the order came from: such devices need a direct path.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from typing import TYPE_CHECKING

from umslab_agent.discovery import Absent, Found, Source
from umslab_protocol.values.host_port import HostPort
from umslab_runtime.mailbox import Reply

if TYPE_CHECKING:
    from umslab_protocol.wire.probes import RegisterOrder


class ScanSource:
    """Waits for an order, and takes one only while it waits."""

    def __init__(self) -> None:
        self._waiting: Reply[tuple[RegisterOrder, str]] | None = None

    def take(self, order: RegisterOrder, host: str) -> bool:
        """Take an order that came from this address; tells whether the device has waited for it."""
        if self._waiting is None:
            return False
        self._waiting.put((order, host))
        self._waiting = None
        return True

    async def find(self, *, os11: bool) -> Found | Absent:
        """Wait until an order comes; see `Finder`."""
        waiting: Reply[tuple[RegisterOrder, str]] = Reply()
        self._waiting = waiting
        try:
            order, host = await waiting.get()
        finally:
            self._waiting = None
        port = order.os11_port if os11 else order.web_port
        if not port:
            generation = 11 if os11 else 12
            text = f"the UMS at {host} takes no OS {generation} devices"
            return Absent(source=Source.SCAN, reason="not-taken", text=text)
        return Found(
            source=Source.SCAN,
            targets=(HostPort(host, port),),
            why="it has found this device and ordered it to register, O4",
            token=urlsafe_b64encode(order.token).rstrip(b"=").decode("ascii"),
        )
