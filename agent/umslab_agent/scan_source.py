# SPDX-License-Identifier: Apache-2.0
"""The source scan: the device waits until a UMS finds it by a scan and orders it to register (facts O4, A6).

Provenance: documented is that the UMS calls the device on 30005 and that the device then comes by itself; how it is
told is SIMULATED (NP13, wire/probes.py). The UMS is where the order came from: such devices need a direct path (R5).

The UMS gives the order again until the device is registered, because packets get lost. A device that is on its way
there takes it as the same order with a newer token; what is tried again, because an answer was lost or a person has to
approve the device, is tried with the order it has.
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
    """Waits for an order, and takes one only while it waits, or again from where the last one came."""

    def __init__(self) -> None:
        self._waiting: Reply[None] | None = None
        self._order: tuple[RegisterOrder, str] | None = None

    def take(self, order: RegisterOrder, host: str) -> bool:
        """Take an order that came from this address; tells whether the device obeys."""
        again = self._order is not None and self._order[1] == host
        if self._waiting is None and not again:
            return False
        self._order = order, host
        if self._waiting is not None:
            self._waiting.put(None)
            self._waiting = None
        return True

    def forget(self) -> None:
        """Forget the order: the device is registered, or it is switched off."""
        self._order = None

    async def find(self, *, os11: bool) -> Found | Absent:
        """Wait until there is an order; see `Finder`."""
        while self._order is None:
            self._waiting = waiting = Reply[None]()
            try:
                await waiting.get()
            finally:
                self._waiting = None
        order, host = self._order
        port = order.os11_port if os11 else order.web_port
        if not port:
            self.forget()
            generation = 11 if os11 else 12
            text = f"the UMS at {host} takes no OS {generation} devices"
            return Absent(source=Source.SCAN, reason="not-taken", text=text)
        return Found(
            source=Source.SCAN,
            targets=(HostPort(host, port),),
            why="it has found this device and ordered it to register, O4",
            token=self._token,
        )

    def _token(self) -> str:
        if self._order is None:
            return ""
        return urlsafe_b64encode(self._order[0].token).rstrip(b"=").decode("ascii")
