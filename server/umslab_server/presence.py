# SPDX-License-Identifier: Apache-2.0
"""Who is connected now: one session a device, the newest wins (N10: an OS 12 device's session is its presence)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from umslab_protocol.wire.close_codes import CloseCode
from umslab_protocol.wire.messages import Ack, Deregister

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from umslab_protocol.values.unit_id import UnitId
    from umslab_server.sessions import LiveSession


def _nobody(session: LiveSession) -> None:
    del session


class Presence:
    """The live sessions by unit ID."""

    def __init__(self) -> None:
        self._sessions: dict[str, LiveSession] = {}
        self.on_deregistered: Callable[[LiveSession], None] = _nobody

    def __len__(self) -> int:
        return len(self._sessions)

    def __iter__(self) -> Iterator[LiveSession]:
        return iter(list(self._sessions.values()))

    def is_online(self, unit_id: str) -> bool:
        """Whether the device has a session."""
        return unit_id in self._sessions

    def join(self, session: LiveSession) -> None:
        """Take a greeted session in; an older one of the same device is closed."""
        older = self._sessions.get(session.unit_id)
        self._sessions[session.unit_id] = session
        if older is not None and older is not session:
            older.close(CloseCode.REPLACED, "a newer session of this device took over")

    def leave(self, session: LiveSession) -> bool:
        """Forget a session that is over; tells whether the device is offline now."""
        if self._sessions.get(session.unit_id) is session:
            del self._sessions[session.unit_id]
            return True
        return False

    def deregister(self, unit_id: UnitId) -> None:
        """Tell a device that is online that it was deleted (L4); one that is away is told when it comes."""
        session = self._sessions.get(unit_id)
        if session is not None:
            self.tell_deleted(session)

    def tell_deleted(self, session: LiveSession) -> None:
        """Send `deregister` once; `on_deregistered` is told when the device has acknowledged it."""
        if session.told_deleted:
            return
        session.told_deleted = True

        def answered(answer: object) -> None:
            if isinstance(answer, Ack):
                self.on_deregistered(session)

        session.order(lambda number: Deregister(id=number, reason="this device was deleted from the UMS"), answered)

    def get(self, unit_id: str) -> LiveSession | None:
        """The session of a device, None when it is away."""
        return self._sessions.get(unit_id)

    def refuse(self, unit_id: UnitId, reason: str) -> None:
        """End a device's session because it may no longer be connected."""
        session = self._sessions.get(unit_id)
        if session is not None:
            session.close(CloseCode.REFUSED, reason)

    def close_all(self, code: CloseCode, reason: str) -> None:
        """Begin to close every session."""
        for session in self:
            session.close(code, reason)
