# SPDX-License-Identifier: Apache-2.0
"""Orders to register as the event feed knows them: given to whom, and what has become of them (O4, A8).

The feed is where orders are kept, durably: who was told what to do, and who came after that.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import func, select

from umslab_server import approval
from umslab_server.tables import event

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from sqlalchemy import Connection, RowMapping

    from umslab_protocol.values.unit_id import UnitId
    from umslab_server.store import Writer

_ORDERED = "scan-registration-ordered"
_COME = ("device-enrolled", "os11-registered")
_REFUSED = ("enrolment-refused", "registration-refused")
_ASKED = "approval-asked"
WAITS = "it has come, and waits for approval: umslab ctl approve {unit_id}"
LATE = "ordered, and not registered in time: does it wait for a scan, and can it reach this server directly?"


class Come(NamedTuple):
    """Who has come since an event."""

    registered: set[str]
    waiting: set[str]
    """For approval."""


def note(writer: Writer, hosts: Mapping[UnitId, str], *, by_rules: bool, actor: str) -> int:
    """Note orders, unit ID -> address; return the number of the last event before anybody can have come."""
    for unit_id, host in hosts.items():
        writer.event(_ORDERED, actor=actor, unit_id=unit_id, address=host, by_rules=by_rules)
    return writer.connection.execute(select(func.max(event.c.id))).scalar() or 0


def come_since(connection: Connection, since: int) -> Come:
    """Return who has come after the event with this number."""
    query = select(event.c.unit_id, event.c.kind).where(event.c.id > since, event.c.kind.in_((*_COME, _ASKED)))
    rows = connection.execute(query).all()
    registered = {row.unit_id for row in rows if row.kind != _ASKED}
    return Come(registered, {row.unit_id for row in rows} - registered)


def why_not_come(connection: Connection, unit_ids: Collection[UnitId], since: int) -> dict[str, str]:
    """Say of each what is known about why it is not registered."""
    query = select(event.c.unit_id, event.c.cause).where(event.c.id > since, event.c.kind.in_(_REFUSED))
    refused = {row.unit_id: f"it has come, and was refused: {row.cause}" for row in connection.execute(query)}
    return {
        unit_id: WAITS.format(unit_id=unit_id)
        if approval.is_waiting(connection, unit_id)
        else refused.get(unit_id, LATE)
        for unit_id in unit_ids
    }


def is_left_alone(connection: Connection, unit_id: UnitId) -> bool:
    """Whether a device registered by an order that does not let directory rules place it (A8)."""
    ordered = _last(connection, unit_id, (_ORDERED,))
    come = _last(connection, unit_id, _COME)
    if ordered is None or come is None or come["id"] < ordered["id"]:
        return False
    how = json.loads(come["data"])
    by_token = how.get("key_kind") == "automatic" or how.get("how") == "token"
    return by_token and not json.loads(ordered["data"])["by_rules"]


def _last(connection: Connection, unit_id: UnitId, kinds: tuple[str, ...]) -> RowMapping | None:
    mine = select(event.c.id, event.c.data).where(event.c.unit_id == unit_id, event.c.kind.in_(kinds))
    return connection.execute(mine.order_by(event.c.id.desc()).limit(1)).mappings().first()
