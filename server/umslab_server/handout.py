# SPDX-License-Identifier: Apache-2.0
"""One list that every device is to hold: sent when a device holds another, noted when the device has acknowledged it.

Roots (C36, V2) and connectors (W5) are such lists. A device names the digest of what it holds in each hello, so the two
sides agree again after whatever was lost between them.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from sqlalchemy import and_, exists

from umslab_protocol.wire.messages import Ack, Error
from umslab_runtime.slices import in_slices
from umslab_server import registry
from umslab_server.store import StoreError
from umslab_server.tables import certificate, device

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import ColumnElement

    from umslab_protocol.values.unit_id import UnitId
    from umslab_protocol.wire.messages import Message
    from umslab_server.presence import Presence
    from umslab_server.sessions import Answer, LiveSession
    from umslab_server.store import Store, Writer

TOLD_AT_ONCE = 50
"""Sessions that are sent the list in one go; then everybody else has a turn."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What devices are to hold."""

    digest: str
    make: Callable[[int], Message]
    """Makes the message out of its id."""
    to_new: bool = True
    """Whether a device that holds no list at all gets it too."""


class Handout:
    """Hands one kind of list out. Until `wanted` is set nobody gets anything."""

    def __init__(self, store: Store, presence: Presence, kind: Literal["roots", "connectors"]) -> None:
        self._store = store
        self._presence = presence
        self._kind = kind
        self.wanted: Wanted | None = None

    async def tell_all(self) -> None:
        """Send the list to everybody who is connected."""
        async for sessions in in_slices(list(self._presence), TOLD_AT_ONCE):
            for session in sessions:
                self._tell(session)

    async def greeted(self, session: LiveSession, held: str) -> None:
        """Compare what a device says it holds with what it is to hold, and with what is known of it."""
        wanted = self.wanted
        if session.admitted.os11:  # it trusts its pin alone (G9), and calls where it was told to
            return
        if wanted is None or not (held or wanted.to_new):
            return
        if held != wanted.digest:
            self._tell(session)
        unit_id = session.unit_id
        try:
            row = await self._store.read(lambda connection: registry.get(connection, unit_id))
        except StoreError:
            return  # its next hello says it again
        if row is not None and row[f"{self._kind}_digest"] != held:
            self._note(unit_id, held, cause="hello")

    def _tell(self, session: LiveSession) -> None:
        wanted, unit_id = self.wanted, session.unit_id
        if wanted is None:
            return

        def answered(answer: Answer | None) -> None:
            if isinstance(answer, Ack):
                self._note(unit_id, wanted.digest)
            elif isinstance(answer, Error):
                self._complain(unit_id, answer.message)

        session.order(wanted.make, answered)

    def _note(self, unit_id: UnitId, held: str, cause: str = "") -> None:
        def work(writer: Writer) -> None:
            if registry.get(writer.connection, unit_id) is None:
                return
            registry.update(writer, unit_id, **{f"{self._kind}_digest": held})
            kind = f"{self._kind}-acknowledged" if held else f"{self._kind}-forgotten"
            writer.event(kind, actor="device", unit_id=unit_id, cause=cause, digest=held)

        with suppress(StoreError):  # then its next hello says it again
            self._store.post(work)

    def _complain(self, unit_id: UnitId, reason: str) -> None:
        def work(writer: Writer) -> None:
            writer.event(f"{self._kind}-refused", actor="device", unit_id=unit_id, cause=reason)

        with suppress(StoreError):
            self._store.post(work)


def is_active(stamp: str) -> ColumnElement[bool]:
    """Devices that can open a session: registered, not in the recycle bin, with a certificate that is good then."""
    good = exists().where(
        certificate.c.unit_id == device.c.unit_id,
        certificate.c.revoked_at.is_(None),
        certificate.c.superseded_at.is_(None),
        certificate.c.not_after > stamp,
    )
    return and_(device.c.registered_at.is_not(None), device.c.binned_at.is_(None), good)
