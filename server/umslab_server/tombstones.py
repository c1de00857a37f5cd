# SPDX-License-Identifier: Apache-2.0
"""Devices that were deleted and are to be told so (L4); for use inside a change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import bindparam

from umslab_server.tables import tombstone

if TYPE_CHECKING:
    from sqlalchemy import RowMapping

    from umslab_protocol.values.unit_id import UnitId
    from umslab_server.store import Writer

_CALLED_BY = ("device_key", "device_certificate", "last_ip", "push_port")
"""What it takes to call an OS 11 device (G1)."""

_UNBURY = tombstone.delete().where(tombstone.c.unit_id == bindparam("which"))  # made once: every enrolment runs it


def bury(writer: Writer, row: RowMapping) -> None:
    """Remember that the device with this row is to be told, and how it is called for that."""
    unbury(writer, row["unit_id"])
    values = {name: row[name] for name in ("unit_id", *_CALLED_BY)}
    writer.connection.execute(tombstone.insert().values(**values, deleted_at=writer.stamp, reason="deleted"))


def unbury(writer: Writer, unit_id: UnitId) -> bool:
    """Forget that; tells whether there was anything to forget."""
    done = writer.connection.execute(_UNBURY, {"which": unit_id})
    return bool(done.rowcount)
