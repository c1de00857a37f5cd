# SPDX-License-Identifier: Apache-2.0
"""Manual approval of first enrolments: who asks waits until a person says yes (RFC 7030 section 4.2.3: 202).

What is approved is a device with its key pair: a request with another public key asks anew. A decision is forgotten
when the certificate is issued; from then on the certificate itself says that the device was approved with that key.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from msgspec import Struct
from sqlalchemy import bindparam, case, func, select

from umslab_server.errors import RefusedError
from umslab_server.tables import approval, certificate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection, RowMapping

    from umslab_protocol.values.unit_id import UnitId
    from umslab_server.store import Store, Writer

MAX_WAITING = 10_000
_FORGET = approval.delete().where(approval.c.unit_id == bindparam("unit_id"))  # made once: every enrolment runs it


class ApprovalError(RefusedError):
    """There is nothing to decide about; the message says what there is."""


class Decision(StrEnum):
    """How it stands with a request."""

    WAITING = "waiting"
    APPROVED = "approved"
    REJECTED = "rejected"
    FULL = "full"
    """Too many wait already: it was not even noted."""


class ApprovalView(Struct, frozen=True, kw_only=True):
    """One device that asked and has no certificate yet."""

    unit_id: str
    state: Decision
    public_key: str
    """SHA-256 of the SubjectPublicKeyInfo."""
    source: str
    asked_at: str
    decided_at: str | None


class Approvals:
    """Decisions, for people."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def list_all(self) -> list[ApprovalView]:
        """Return who asked: first those who wait, the longest waiting first."""
        waits = case((approval.c.state == Decision.WAITING, 0), else_=1)
        query = select(approval).order_by(waits, approval.c.asked_at, approval.c.unit_id)
        rows = await self._store.read(lambda connection: connection.execute(query).mappings().all())
        return [_view(row) for row in rows]

    async def approve(self, unit_ids: Sequence[UnitId], *, actor: str) -> int:
        """Let these devices enrol with their next request; all of them or none. Raises `ApprovalError`."""
        return await self._decide(unit_ids, Decision.APPROVED, actor)

    async def approve_all(self, *, actor: str) -> int:
        """Let everybody enrol who waits now; returns how many."""

        def work(writer: Writer) -> int:
            waiting = select(approval.c.unit_id).where(approval.c.state == Decision.WAITING)
            unit_ids = writer.connection.execute(waiting.order_by(approval.c.asked_at)).scalars().all()
            for unit_id in unit_ids:
                _put(writer, unit_id, Decision.APPROVED, actor)
            return len(unit_ids)

        return await self._store.change(work)

    async def reject(self, unit_ids: Sequence[UnitId], *, actor: str) -> int:
        """Refuse these devices as long as they ask with the same key. Raises `ApprovalError`."""
        return await self._decide(unit_ids, Decision.REJECTED, actor)

    async def _decide(self, unit_ids: Sequence[UnitId], decision: Decision, actor: str) -> int:
        if not unit_ids:
            raise ApprovalError("no device was named")

        def work(writer: Writer) -> int:
            for unit_id in dict.fromkeys(unit_ids):
                row = _row(writer.connection, unit_id)
                if row is None:
                    raise ApprovalError(f"{unit_id} has not asked to enrol: `umslab ctl approve list` tells who has")
                if row["state"] == decision:
                    raise ApprovalError(f"{unit_id} is {decision} already")
                _put(writer, unit_id, decision, actor)
            return len(set(unit_ids))

        return await self._store.change(work)


# For use inside a change.


def ask(writer: Writer, unit_id: UnitId, public_key: str, source: str) -> Decision:
    """Tell how it stands with a request under this key; a new one is noted."""
    row = _row(writer.connection, unit_id)
    if row is not None and row["public_key"] == public_key:
        return Decision(row["state"])
    if _was_approved(writer, unit_id, public_key):
        return Decision.APPROVED
    if (row is None or row["state"] != Decision.WAITING) and _count_waiting(writer.connection) >= MAX_WAITING:
        return Decision.FULL
    forget(writer, unit_id)
    values = {"public_key": public_key, "source": source, "state": Decision.WAITING, "asked_at": writer.stamp}
    writer.connection.execute(approval.insert().values(unit_id=unit_id, **values))
    writer.event("approval-asked", actor=source, unit_id=unit_id, public_key=public_key)
    return Decision.WAITING


def forget(writer: Writer, unit_id: UnitId) -> None:
    """Drop the decision about a device: it has its certificate now."""
    writer.connection.execute(_FORGET, {"unit_id": unit_id})


def is_waiting(connection: Connection, unit_id: UnitId) -> bool:
    """Whether a person has still to decide about a device."""
    row = _row(connection, unit_id)
    return row is not None and row["state"] == Decision.WAITING


def let_in(connection: Connection, unit_id: UnitId) -> str:
    """The public key with which a device waits or may come; empty for none."""
    row = _row(connection, unit_id)
    return "" if row is None or row["state"] == Decision.REJECTED else str(row["public_key"])


def _was_approved(writer: Writer, unit_id: UnitId, public_key: str) -> bool:
    query = select(certificate.c.sha256).where(
        certificate.c.unit_id == unit_id,
        certificate.c.public_key == public_key,
        certificate.c.revoked_at.is_(None),
        certificate.c.superseded_at.is_(None),
        certificate.c.not_after > writer.stamp,
    )
    return writer.connection.execute(query).first() is not None


def _count_waiting(connection: Connection) -> int:
    query = select(func.count()).select_from(approval).where(approval.c.state == Decision.WAITING)
    return int(connection.execute(query).scalar() or 0)


def _row(connection: Connection, unit_id: UnitId) -> RowMapping | None:
    return connection.execute(select(approval).where(approval.c.unit_id == unit_id)).mappings().first()


def _put(writer: Writer, unit_id: UnitId, decision: Decision, actor: str) -> None:
    writer.connection.execute(
        approval.update().where(approval.c.unit_id == unit_id).values(state=decision, decided_at=writer.stamp)
    )
    kind = "approval-granted" if decision is Decision.APPROVED else "approval-rejected"
    writer.event(kind, actor=actor, unit_id=unit_id)


def _view(row: RowMapping) -> ApprovalView:
    return ApprovalView(
        unit_id=row["unit_id"],
        state=Decision(row["state"]),
        public_key=row["public_key"],
        source=row["source"],
        asked_at=row["asked_at"],
        decided_at=row["decided_at"],
    )
