# SPDX-License-Identifier: Apache-2.0
"""How services get hold of a device, whichever generation it is.

An OS 12 device is there while it has its session (presence.py, N10). An OS 11 device holds no connection: when there is
something to tell it, it is called on TCP 30005 (G1), unless it happens to be in contact. A contact is no presence:
whether an OS 11 device is online is what the online check finds.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from umslab_protocol.wire.close_codes import CloseCode
from umslab_protocol.wire.orders import ResultState

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from umslab_protocol.values.unit_id import UnitId
    from umslab_runtime.workers import Workers
    from umslab_server.presence import Presence
    from umslab_server.sessions import LiveSession


async def _nobody(unit_id: str) -> LiveSession | None:
    del unit_id
    return None


async def _no_packets(unit_id: str, mac: str, exec_id: str) -> tuple[ResultState, str]:
    del unit_id, mac, exec_id
    return ResultState.FAILED, "no magic packet was sent: this server sends none"


class Reach:
    """The sessions that are open, of both generations, and the devices that can be called."""

    def __init__(self, presence: Presence, workers: Workers | None = None) -> None:
        """`workers` call devices; without them nobody is called."""
        self.presence = presence
        self._workers = workers
        self._contacts: dict[str, LiveSession] = {}
        self._os11: set[str] = set()
        self._wanted: set[str] = set()
        self.call: Callable[[str], Awaitable[LiveSession | None]] = _nobody
        """Calls an OS 11 device and returns the session, None when it cannot be reached (os11/calls.py)."""
        self.wake: Callable[[str, str, str], Awaitable[tuple[ResultState, str]]] = _no_packets
        """Sends magic packets: unit ID, MAC address, execution ID -> how that went (commanding/waking.py)."""

    @property
    def contacts(self) -> int:
        """How many OS 11 devices are in contact now."""
        return len(self._contacts)

    # Who can be reached.

    def note_os11(self, unit_ids: Iterable[str]) -> None:
        """These devices are registered as OS 11. One that is not any more may stay: the registry is asked again."""
        self._os11.update(unit_ids)

    def is_called(self, unit_id: str) -> bool:
        """Whether this device has to be called when there is something to tell it."""
        return unit_id in self._os11

    def is_worth_trying(self, unit_id: str) -> bool:
        """Whether a device has a session, or can be called."""
        return unit_id in self._os11 or self.get(unit_id) is not None

    def get(self, unit_id: str) -> LiveSession | None:
        """The session of a device that is open now; a contact that is ending is none."""
        contact = self._contacts.get(unit_id)
        return contact if contact is not None and contact.pump.is_open else self.presence.get(unit_id)

    async def session(self, unit_id: str) -> LiveSession | None:
        """The session of a device, after calling it if need be; None when it is away."""
        session = self.get(unit_id)
        if session is None and unit_id in self._os11:
            session = await self.call(unit_id)
        return session

    def call_soon(self, unit_id: str) -> None:
        """Call an OS 11 device that is not in contact, when there is a free thread; nothing for any other device.

        What it is to be told it is told when it has greeted.
        """
        if self._workers is None or unit_id not in self._os11 or unit_id in self._wanted:
            return
        if self._workers.submit(partial(self._call, unit_id)):
            self._wanted.add(unit_id)

    async def _call(self, unit_id: str) -> None:
        self._wanted.discard(unit_id)
        await self.session(unit_id)

    # What sessions do.

    def join(self, session: LiveSession) -> None:
        """Take a greeted session in. An OS 11 device may be called while it calls: the newest is used."""
        if session.admitted.os11:
            self._contacts[session.unit_id] = session
        else:
            self.presence.join(session)

    def leave(self, session: LiveSession) -> bool:
        """Forget a session that is over; tells whether it was the device's newest."""
        if not session.admitted.os11:
            return self.presence.leave(session)
        if self._contacts.get(session.unit_id) is session:
            del self._contacts[session.unit_id]
            return True
        return False

    # What is done to them.

    def deregister(self, unit_id: UnitId) -> None:
        """Tell a device that it was deleted (L4): now, or by calling it; one that is away is told when it comes."""
        session = self.get(unit_id)
        if session is not None:
            self.presence.tell_deleted(session)
        else:
            self.call_soon(unit_id)

    def refuse(self, unit_id: UnitId, reason: str) -> None:
        """End a device's contact with this server, as what it was until now."""
        self._os11.discard(unit_id)
        contact = self._contacts.get(unit_id)
        if contact is not None:
            contact.close(CloseCode.REFUSED, reason)
        self.presence.refuse(unit_id, reason)

    def close_all(self, code: CloseCode, reason: str) -> None:
        """Begin to close every session."""
        self.presence.close_all(code, reason)
        for contact in list(self._contacts.values()):
            contact.close(code, reason)
