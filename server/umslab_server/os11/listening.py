# SPDX-License-Identifier: Apache-2.0
"""TCP 30001: takes the calls of OS 11 devices (G1). TLS and its bounds are those of the web port (connections.py)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from umslab_protocol.machines.os11_server import AnsweringServer, Greeted, RegistrationAsked
from umslab_protocol.wire.os11 import ContactRefusal
from umslab_runtime.connections import Room, StreamServer
from umslab_server.front.turns import QUEUE_FULL
from umslab_server.os11.contacts import ContactRefused
from umslab_server.os11.conversing import converse
from umslab_server.sessions import LiveSession

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from umslab_protocol.machines.os11_server import ServerSide
    from umslab_protocol.machines.session import Received
    from umslab_runtime.session_host import SessionHost
    from umslab_runtime.streams import HttpStream
    from umslab_server.front.turns import Turns
    from umslab_server.os11.contacts import Contacts
    from umslab_server.os11.registration import Registration
    from umslab_server.sessions import Admitted, SessionService

CROWDED = ContactRefused(ContactRefusal.BUSY, "too many connections; come back later", 10.0)
STOPPING = ContactRefused(ContactRefusal.BUSY, "the server is stopping", 10.0)


class DeviceServer(StreamServer):
    """Serves the port."""

    def __init__(
        self,
        service: SessionService,
        contacts: Contacts,
        registration: Registration,
        host: SessionHost,
        *,
        new_side: Callable[[], ServerSide],
        on_contact: Callable[[str], None],
        context: Callable[[], ssl.SSLContext],
        room: Room,
        turns: Turns | None = None,
    ) -> None:
        """`new_side` is asked once a session; `on_contact` is told of each device that was let in, by its unit ID."""
        super().__init__(context=context, room=room)
        self._service = service
        self._contacts = contacts
        self._registration = registration
        self._host = host
        self._new_side = new_side
        self._on_contact = on_contact
        self._turns = turns

    async def converse(self, stream: HttpStream, *, crowded: bool) -> None:
        """Hear who calls, decide, and carry the session that follows."""
        side = self._new_side()
        machine = AnsweringServer(side, now=self._host.clock.monotonic())
        pump = self._host.pump(machine, stream)

        async def begin(received: Received) -> LiveSession | None:
            refused = CROWDED if crowded else STOPPING if self._stopping else None
            verdict = refused or await self._decide(machine, received, stream.peer.host)
            now = self._host.clock.monotonic()
            if isinstance(verdict, ContactRefused):
                machine.refuse(verdict.refusal, verdict.message, now, retry_after=verdict.retry_after)
                self.counters[f"os11-{verdict.refusal}"] += 1
                return None
            self._on_contact(verdict.unit_id)
            return LiveSession(verdict, side.session_id, pump, self._service.sent) if machine.is_open else None

        await converse(pump, self._service, begin, lambda session: None)  # noqa: ARG005

    async def _decide(self, machine: AnsweringServer, received: Received, source: str) -> Admitted | ContactRefused:
        """Ask the services when it is the device's turn, and tell the machine what they have said."""
        kind = "register" if isinstance(received, RegistrationAsked) else "contact"
        if self._turns is not None and not await self._turns.take(kind):
            return ContactRefused(ContactRefusal.BUSY, QUEUE_FULL, self._turns.retry_after_seconds)
        if isinstance(received, RegistrationAsked):
            taken = await self._registration.register(received, source)
            if isinstance(taken, ContactRefused):
                return taken
            machine.accept(taken.name, self._host.clock.monotonic())
            return taken.admitted
        assert isinstance(received, Greeted)  # noqa: S101 - the machine tells nothing else before there is a session
        welcomed = await self._contacts.admit(received, machine.proves, source)
        if isinstance(welcomed, ContactRefused):
            return welcomed
        machine.admit(welcomed.key, self._host.clock.monotonic())
        return welcomed.admitted
