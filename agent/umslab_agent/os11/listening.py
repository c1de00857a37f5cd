# SPDX-License-Identifier: Apache-2.0
"""TCP 30005: where an OS 11 device is called by its UMS (facts G1, G10, P10), TLS 1.2 and nothing else.

Anybody may connect; who cannot prove the device's key within the greeting is refused, and sees nothing but the device's
own certificate and, when the unit ID was right, a challenge.

The same port answers scans over TCP (T14), which are told apart by the first byte: a record of TLS begins with 16 hex,
a probe with the first letter of its magic (SIMULATED, wire/probes.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from umslab_agent.folder import ANSWERING
from umslab_agent.os11.keeping import kind_of
from umslab_protocol.wire.os11 import ContactRefusal
from umslab_protocol.wire.probes import MAGIC
from umslab_runtime.connections import Room, StreamServer
from umslab_runtime.limits import Limits

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable

    from cryptography.x509 import Certificate

    from umslab_agent.unit import Unit
    from umslab_protocol.machines.os11_device import AnsweringDevice
    from umslab_runtime.network import Listener
    from umslab_runtime.streams import HttpStream, Stream, Transport

JOB = "listen"
MOST_CALLERS = 8
"""Connections at a time; more wait in the listen backlog or are told that the device is busy."""
BUSY_SECONDS = 10.0


class Listening(StreamServer):
    """The listening port of one device; it lives in a job of the device, which goes away with it."""

    def __init__(
        self,
        unit: Unit,
        certificate: Certificate,
        *,
        role: Callable[[], AnsweringDevice],
        called: Callable[[AnsweringDevice, HttpStream], Awaitable[None]],
        answer_scan: Callable[[Stream], Awaitable[None]] | None = None,
    ) -> None:
        """`role` makes the machine for the next call; `called` carries the session; None: scans find nobody here.

        Raises `CertificateError` when key and certificate cannot be used.
        """
        limits = Limits(connections=MOST_CALLERS, handshakes=MOST_CALLERS)
        super().__init__(context=self._present, room=Room(limits))
        self._unit = unit
        self._kind = kind_of(certificate)
        self._role = role
        self._called = called
        self._answer_scan = answer_scan
        self._present()  # so that damage is told now

    def start(self, listener: Listener) -> None:
        """Answer calls from now on, until the job ends."""

        async def work() -> None:
            try:
                await self.serve([listener])
            finally:
                listener.close()

        self._unit.jobs.start(JOB, work)

    def _present(self) -> ssl.SSLContext:
        unit = self._unit
        return unit.world.contexts.answering(self._kind, unit.folder.shelf.as_file(ANSWERING))

    async def goes_without_tls(self, transport: Transport) -> bool:
        """Whether this is a scan; see `StreamServer`."""
        return self._answer_scan is not None and await transport.peek() == MAGIC[:1]

    async def converse(self, stream: HttpStream, *, crowded: bool) -> None:
        """Answer one call, or one scan."""
        if stream.version is None:
            if self._answer_scan is not None and not crowded:
                await self._answer_scan(stream)
            return
        machine = self._role()
        if crowded:
            now = self._unit.now()
            machine.refuse(ContactRefusal.BUSY, "too many callers at a time", now, retry_after=BUSY_SECONDS)
        await self._called(machine, stream)
