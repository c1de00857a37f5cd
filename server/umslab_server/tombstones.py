# SPDX-License-Identifier: Apache-2.0
"""Devices that were deleted and are still to be told so (L4). For use inside a change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from umslab_server.tables import tombstone

if TYPE_CHECKING:
    from umslab_protocol.values.unit_id import UnitId
    from umslab_server.store import Writer


def bury(writer: Writer, unit_id: UnitId) -> None:
    """Remember that this device is to be told that it was deleted (L4)."""
    unbury(writer, unit_id)
    writer.connection.execute(tombstone.insert().values(unit_id=unit_id, deleted_at=writer.stamp, reason="deleted"))


def unbury(writer: Writer, unit_id: UnitId) -> bool:
    """Forget that; tells whether there was anything to forget."""
    done = writer.connection.execute(tombstone.delete().where(tombstone.c.unit_id == unit_id))
    return bool(done.rowcount)
