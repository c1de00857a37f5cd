# SPDX-License-Identifier: Apache-2.0
"""Who is online now.

An OS 12 device is while it has a session: one a device, the newest wins (N10). An OS 11 device is when it answered the
last online check (N4); that it is in contact is no presence (reach.py). Before the first check it is unknown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from umslab_protocol.wire.close_codes import CloseCode
from umslab_protocol.wire.messages import Ack, Deregister

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from collections.abc import Set as AbstractSet

    from umslab_protocol.values.unit_id import UnitId
    from umslab_server.sessions import LiveSession


def _nobody(session: LiveSession) -> None:
    del session


class Presence:
    """The live sessions by unit ID."""

    def __init__(self) -> None:
        self._sessions: dict[str, LiveSession] = {}
        self._checked: dict[str, float | None] = {}
        """Of OS 11 devices the seconds to their answer to the last online check, None without an answer."""
        self._unchecked: dict[str, str] = {}
        """Of those that could not be asked, why."""
        self.on_deregistered: Callable[[LiveSession], None] = _nobody

    def __len__(self) -> int:
        return len(self._sessions)

    def __iter__(self) -> Iterator[LiveSession]:
        return iter(list(self._sessions.values()))

    def is_online(self, unit_id: str) -> bool:
        """Whether the device has a session, or answered the last online check."""
        return unit_id in self._sessions or self._checked.get(unit_id) is not None

    def is_known(self, unit_id: str) -> bool:
        """Whether anything is known of an OS 11 device: it has a session, or was asked."""
        return unit_id in self._sessions or unit_id in self._checked

    def answered_in(self, unit_id: str) -> float | None:
        """How many seconds an OS 11 device took to answer the last online check; None when it did not."""
        return self._checked.get(unit_id)

    def why_unchecked(self, unit_id: str) -> str:
        """Why an OS 11 device could not be asked; empty when it was, or was not yet."""
        return self._unchecked.get(unit_id, "")

    def note_checked(self, unit_id: str, seconds: float | None) -> None:
        """An OS 11 device was asked, and answered after so many seconds or not at all."""
        self._checked[unit_id] = seconds
        self._unchecked.pop(unit_id, None)

    def note_unchecked(self, unit_id: str, why: str) -> None:
        """An OS 11 device could not be asked, so nothing is known of it."""
        self._checked.pop(unit_id, None)
        self._unchecked[unit_id] = why

    def keep_checked(self, unit_ids: AbstractSet[str]) -> None:
        """Forget what was found about all other devices."""
        for found in (self._checked, self._unchecked):
            for unit_id in found.keys() - unit_ids:
                del found[unit_id]

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
