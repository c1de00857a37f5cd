# SPDX-License-Identifier: Apache-2.0
"""Management sessions as the services see them: who may come in, what was said, who left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from umslab_protocol.machines.websocket import Closed
    from umslab_protocol.values.unit_id import UnitId
    from umslab_protocol.wire.close_codes import CloseCode, Refusal
    from umslab_protocol.wire.messages import Message
    from umslab_runtime.http import Peer
    from umslab_runtime.pump import SessionPump


@dataclass(frozen=True, slots=True)
class Admitted:
    """This certificate may open a session."""

    unit_id: UnitId
    known: bool = True
    """False: it was deleted and is let in only to be told so (L4)."""
    info_digest: str = ""
    """SHA-256 of what the registry last stored about the device; equal information is not stored again."""
    certificate: str = ""
    """SHA-256 of the certificate."""


@dataclass(frozen=True, slots=True)
class NotAdmitted:
    """It may not: answer this."""

    status: int
    refusal: Refusal
    message: str
    retry_after: float | None = None


class LiveSession:
    """One open management session."""

    __slots__ = ("admitted", "deregister_id", "info_digest", "pump", "session_id")

    def __init__(self, admitted: Admitted, session_id: str, pump: SessionPump) -> None:
        self.admitted = admitted
        self.deregister_id: int | None = None  # set once the device was told that it is deleted
        self.info_digest = admitted.info_digest  # of what is stored now
        self.session_id = session_id
        self.pump = pump

    @property
    def unit_id(self) -> UnitId:
        """Whose session it is."""
        return self.admitted.unit_id

    def send(self, message: Message) -> None:
        """Send a message; does nothing on a session that is closing."""
        if self.pump.is_open:
            self.pump.send(message)

    def close(self, code: CloseCode, reason: str) -> None:
        """Begin to close."""
        self.pump.close(code, reason)


class SessionService(Protocol):
    """What the front of `ws-connect` asks of the services."""

    async def admit(self, peer: Peer) -> Admitted | NotAdmitted:
        """Decide by the client certificate alone."""
        ...

    async def received(self, session: LiveSession, message: Message) -> None:
        """Handle one message; `hello` is the first. The next is not read before this returns."""
        ...

    def left(self, session: LiveSession, closed: Closed) -> None:
        """The session is over; called exactly once for each that was opened, also when the server is stopping."""
        ...
