# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.tombstones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select

from umslab_server import registry, tombstones
from umslab_server.tables import tombstone

from .parts import unit_id

if TYPE_CHECKING:
    from .parts import Office


async def test_bury_and_forget(office: Office) -> None:
    """A device is buried once, however often, with what it takes to call it; forgetting tells whether it was."""
    await office.device(1)
    one = unit_id(1)
    await office.store.change(lambda writer: registry.update(writer, one, last_ip="192.0.2.1", push_port=31_005))
    for _ in range(2):
        await office.store.change(lambda writer: tombstones.bury(writer, registry.find(writer.connection, one)))
    rows = await office.store.read(lambda connection: connection.execute(select(tombstone)).mappings().all())
    forgotten = [await office.store.change(lambda writer: tombstones.unbury(writer, one)) for _ in range(2)]

    assert [(row["unit_id"], row["last_ip"], row["push_port"]) for row in rows] == [(one, "192.0.2.1", 31_005)]
    assert forgotten == [True, False]
