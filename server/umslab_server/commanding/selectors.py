# SPDX-License-Identifier: Apache-2.0
"""Which devices are meant: named ones, those of a directory and of everything below it, all, or those in a view.

Devices in the recycle bin appear in lists but cannot be addressed (J8).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta, Struct
from sqlalchemy import select

from umslab_protocol.values.unit_id import parse_unit_id
from umslab_server.commanding import views
from umslab_server.configuration import tree
from umslab_server.errors import RefusedError
from umslab_server.tables import device

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from sqlalchemy import Connection, RowMapping

    from umslab_server.presence import Presence

MAX_NAMED = 100_000
_AT_ONCE = 5_000
"""Unit IDs in one query; SQLite takes 32,766 values at most."""


class Selector(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One way to say which devices; named ones may come on top of any."""

    unit_ids: Annotated[list[str], Meta(max_length=MAX_NAMED)] = []
    directory: Annotated[str, Meta(min_length=1)] | None = None
    """A path (`/Bremen/Office`) or a number."""
    everyone: bool = False
    view: str | None = None

    def check(self) -> None:
        """Raise `RefusedError` unless it says something, and only one thing beside names."""
        ways = (self.directory is not None) + self.everyone + (self.view is not None)
        if not ways and not self.unit_ids:
            raise RefusedError("which devices? name unit IDs, or use --dir, --all or --view")
        if ways > 1:
            raise RefusedError("use only one of --dir, --all and --view")
        for unit_id in self.unit_ids:
            parse_unit_id(unit_id)


def resolve(
    connection: Connection, selector: Selector, presence: Presence, now: datetime, *, forgiving: bool = False
) -> list[str]:
    """Return the unit IDs of the devices that are meant, each once, by unit ID; perhaps none.

    A device that is named and is not there, or is in the recycle bin, is refused; `forgiving` leaves it out, for what
    was said some time ago. Raises `RefusedError` and `InvalidValueError`.
    """
    selector.check()
    found = set(_addressable(connection, selector.unit_ids, forgiving=forgiving))
    if selector.directory is not None:
        below = tree.subtree(connection, tree.resolve(connection, selector.directory))
        found.update(unit_id for unit_id, at in _active(connection) if at in below)
    elif selector.everyone:
        found.update(unit_id for unit_id, _ in _active(connection))
    elif selector.view is not None:
        found.update(views.find_saved(connection, selector.view, presence, now))
    return sorted(found)


def to_text(selector: Selector) -> str:
    """Write a selector as it is stored."""
    return msgspec.json.encode(selector).decode()


def from_text(text: str) -> Selector:
    """Read a stored selector."""
    return msgspec.json.decode(text, type=Selector)


def rows_of(connection: Connection, unit_ids: list[str], *columns: str) -> Iterator[RowMapping]:
    """Yield these columns, and the unit ID, of devices; in no order."""
    chosen = [device.c.unit_id, *(device.c[name] for name in columns)]
    for start in range(0, len(unit_ids), _AT_ONCE):
        named = unit_ids[start : start + _AT_ONCE]
        yield from connection.execute(select(*chosen).where(device.c.unit_id.in_(named))).mappings()


def _active(connection: Connection) -> Iterator[tuple[str, int]]:
    query = select(device.c.unit_id, device.c.directory_id).where(device.c.binned_at.is_(None))
    yield from ((row.unit_id, row.directory_id) for row in connection.execute(query))


def _addressable(connection: Connection, unit_ids: list[str], *, forgiving: bool) -> Iterator[str]:
    rows = {row["unit_id"]: row["binned_at"] for row in rows_of(connection, unit_ids, "binned_at")}
    for unit_id in unit_ids:
        if unit_id in rows and rows[unit_id] is None:
            yield unit_id
        elif forgiving:
            continue
        elif unit_id in rows:
            raise RefusedError(f"{unit_id} is in the recycle bin and cannot be addressed: restore it first")
        else:
            raise RefusedError(f"no device has the unit ID {unit_id}")
