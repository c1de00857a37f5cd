# SPDX-License-Identifier: Apache-2.0
"""How the configuration reaches devices: pulled by them, pushed to those that can be reached (facts L1, W24, NP21).

A push leaves after the commit. Whoever is not reached by it finds the same in the registry when it next pulls, so a
push that is lost, or a server that is killed before it, loses nothing. What is kept for the reboot becomes due when a
hello of a new boot is noted (device_sessions.py), in the same transaction.
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from msgspec import Struct

from umslab_protocol.wire.messages import Ack, Error, PullSettings
from umslab_runtime.slices import in_slices
from umslab_runtime.window import Window
from umslab_server import registry
from umslab_server.configuration.acknowledgements import Acknowledged, Acknowledgements
from umslab_server.configuration.document import DocumentCache
from umslab_server.configuration.library import Library
from umslab_server.configuration.reconcile import Push, When, first_version, release
from umslab_server.errors import RefusedError
from umslab_server.store import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sqlalchemy import Connection, RowMapping

    from umslab_protocol.values.unit_id import UnitId
    from umslab_protocol.wire.messages import Hello
    from umslab_server.configuration.document import Document
    from umslab_server.configuration.reconcile import Settled
    from umslab_server.reach import Reach
    from umslab_server.sessions import Answer, Handler, LiveSession
    from umslab_server.store import Store, Writer

PUSHES_AT_ONCE = 8
"""Messages written before others get their turn: a millisecond."""
UNANSWERED = 32
"""Messages whose acknowledgements may be outstanding before the next are written."""
PATIENCE_SECONDS = 0.25


class Outcome(Struct, frozen=True, kw_only=True):
    """What an administrator's change did."""

    devices: int
    """So many devices are to have something else now."""
    warnings: list[str]


class Configuration:
    """Hands out settings, and keeps who has acknowledged which."""

    def __init__(self, store: Store, reach: Reach, *, written: bool = True) -> None:
        """`written` shares serialised documents between devices; only the JSON codec can take them."""
        self._store = store
        self._reach = reach
        self._written = written
        self._documents = DocumentCache()
        self._acknowledgements = Acknowledgements(store)
        self.outcomes: Counter[str] = Counter()
        """How many settings messages were `sent`, and how many of those `acknowledged` and `refused`."""
        self._window = Window(UNANSWERED, PATIENCE_SECONDS)
        self.run = self._acknowledgements.run
        """Keeps what devices acknowledge; to be kept running."""

    def handlers(self) -> Mapping[type, Handler]:
        """Who takes which message."""
        return {PullSettings: self._pull}

    async def change(self, work: Callable[[Writer], Settled]) -> Outcome:
        """Do a change of the configuration; once it is on disk, send it to the devices it is for."""
        settled = await self._store.change(work)
        await self.push(settled)
        return Outcome(devices=settled.changed, warnings=settled.warnings)

    async def push(self, settled: Settled) -> None:
        """Send settings to those of the devices that can be reached; for use after the commit."""
        for document in {id(one.document): one.document for one in settled.pushes}.values():
            self._documents.put(document)
        async for some in in_slices(settled.pushes, PUSHES_AT_ONCE):
            await self._window.room()
            for one in some:
                session = self._reach.get(one.unit_id)
                if session is None:
                    self._reach.call_soon(one.unit_id)
                elif not session.told_deleted and session.settings_sent < one.version:
                    self._send(session, one)

    async def greeted(self, session: LiveSession, hello: Hello, booted: bool) -> None:  # noqa: FBT001 - an `OnGreeted`
        """Send a device that was called what it was called for; one that has called asks for it (G2)."""
        del hello, booted
        if session.admitted.called:
            await self.send_if_due(session)

    async def release(self, unit_ids: Sequence[UnitId], *, actor: str) -> Outcome:
        """Let devices have now what is kept for their reboot."""
        return await self.change(lambda writer: release(writer, unit_ids, actor=actor))

    async def restored(self, session: LiveSession) -> None:
        """Send a device that came out of the recycle bin what was withheld from it there (RB1)."""
        await self.send_if_due(session, has_asked=True)

    async def send_if_due(self, session: LiveSession, *, has_asked: bool = False) -> None:
        """Send a device what it is to have now, if it has not been sent that in this session.

        One that has no version yet gets its first when it asks, or now if it `has_asked` in vain.
        """
        with suppress(StoreError, RefusedError):  # then it gets it at its next pull
            row = await self._row(session.unit_id)
            if row is None or row["binned_at"] is not None or _held(row):
                return
            if registry.is_pending(row) if row["settings_version"] else has_asked:
                found = await self._document(session.unit_id, row)
                if found is not None and session.settings_sent < found.version:
                    self._send(session, found)

    async def _pull(self, session: LiveSession, message: PullSettings) -> None:
        try:
            found = await self._due(session, message)
        except StoreError as error:
            session.send(Error(code="busy", message=str(error), re=message.id))
        except RefusedError as error:  # too large, or deleted a moment ago
            session.send(Error(code="refused", message=str(error), re=message.id))
        else:
            if found is None:
                session.send(Ack(re=message.id))
            else:
                self._send(session, found, re=message.id)

    async def _due(self, session: LiveSession, message: PullSettings) -> Push | None:
        """Return what the device is to be sent, None when there is nothing new for it now."""
        row = await self._row(session.unit_id)
        if row is None or row["binned_at"] is not None:  # RB1: a device in the bin gets no settings
            return None
        if row["settings_version"]:
            if message.digest == row["settings_digest"]:
                has = Acknowledged(session.unit_id, row["settings_version"], row["settings_digest"])
                if (has.version, has.digest) != (row["applied_version"], row["applied_digest"]):
                    self._acknowledgements.put(has)
                return None
            if _held(row):
                return None
        found = await self._document(session.unit_id, row)
        newer_is_on_its_way = found is not None and found.version < session.settings_sent
        return None if newer_is_on_its_way else found

    async def _row(self, unit_id: UnitId) -> RowMapping | None:
        return await self._store.read(lambda connection: registry.get(connection, unit_id))

    async def _document(self, unit_id: UnitId, row: RowMapping) -> Push | None:
        """Return what the row names; a device without a version, or with a wrong one, gets its next."""
        document = self._documents.get(row["settings_digest"])
        if document is None and row["settings_version"]:
            document = await self._store.read(lambda connection: _compute(connection, unit_id))
        if document is not None and document.digest == row["settings_digest"]:
            found: Push | None = Push(unit_id, row["settings_version"], document)
        else:  # the first time, or something has changed between two looks
            found = await self._store.change(lambda writer: first_version(writer, unit_id))
        if found is not None:
            self._documents.put(found.document)
        return found

    def _send(self, session: LiveSession, push: Push, re: int | None = None) -> None:
        unit_id, version, document = session.unit_id, push.version, push.document
        digest = document.digest

        ticket = self._window.sent()

        def answered(answer: Answer | None) -> None:
            self._window.answered(ticket)
            if isinstance(answer, Ack):
                self.outcomes["acknowledged"] += 1
                self._acknowledgements.put(Acknowledged(unit_id, version, digest))
            elif isinstance(answer, Error):
                self.outcomes["refused"] += 1
                self._note_refused(unit_id, version, answer)
            elif answer is None:  # an OS 11 device has said goodbye at the same moment
                self._reach.call_soon(unit_id)

        session.settings_sent = max(session.settings_sent, version)
        make = partial(document.message, version=version, re=re, written=self._written)
        if session.order(make, answered):
            self.outcomes["sent"] += 1
        else:
            self._window.answered(ticket)

    def _note_refused(self, unit_id: UnitId, version: int, error: Error) -> None:
        def work(writer: Writer) -> None:
            cause = f"{error.code}: {error.message}"[:500]
            writer.event("settings-refused", actor="device", unit_id=unit_id, cause=cause, version=version)

        with suppress(StoreError):
            self._store.post(work)


def _held(row: RowMapping) -> bool:
    """Whether what the device is to have is kept for its next boot."""
    return registry.is_pending(row) and row["settings_when"] == When.REBOOT


def _compute(connection: Connection, unit_id: UnitId) -> Document:
    library, row = Library(connection), registry.find(connection, unit_id)
    return library.document(row["directory_id"], library.own([row["id"]]).get(row["id"], ()))
