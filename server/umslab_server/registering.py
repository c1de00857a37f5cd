# SPDX-License-Identifier: Apache-2.0
"""What makes a device a registered one, however it came: by EST (OS 12) or on TCP 30001 (OS 11).

For use inside a change.

A device speaks one of the two protocols at a time. One that enrols by EST has left TCP 30001 (O6), and the other way
round: what the server knew it by is forgotten, so that it is not believed any more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import func, select

from umslab_server import registry, tombstones
from umslab_server.tables import OS11, OS12
from umslab_server.tables import device as devices

if TYPE_CHECKING:
    from sqlalchemy import Connection, RowMapping

    from umslab_protocol.values.unit_id import UnitId
    from umslab_server.configuration.naming import Naming
    from umslab_server.store import Writer


def register(writer: Writer, unit_id: UnitId, device: RowMapping | None, naming: Naming, *, actor: str) -> None:
    """Register it; `device` is its row. It is named by the convention unless a person gave it a name."""
    tombstones.unbury(writer, unit_id)
    if device is None:
        registry.insert(writer, unit_id, registered_at=writer.stamp)
        writer.event("device-registered", actor=actor, unit_id=unit_id)
    elif device["registered_at"] is None:
        registry.update(writer, unit_id, registered_at=writer.stamp)
        writer.event("device-registered", actor=actor, unit_id=unit_id, cause="imported before")
    is_new = device is None or device["registered_at"] is None
    nameless = device is None or device["name"] == registry.default_name(unit_id)
    if is_new and nameless and (name := naming.next_name(writer)) is not None:
        registry.update(writer, unit_id, name=name)


def become_os12(writer: Writer, unit_id: UnitId, device: RowMapping | None, *, actor: str) -> bool:
    """Forget by what an OS 11 device was known (O6); tells whether it was one."""
    if device is None or device["generation"] != OS11:
        return False
    registry.update(
        writer,
        unit_id,
        generation=OS12,
        device_key="",
        device_certificate="",
        push_port=0,
        reachable="",
        checked_at=None,
    )
    why = "it came on board with the Unified Protocol (O6)"
    writer.event("generation-changed", actor=actor, unit_id=unit_id, cause=why, before=OS11, now=OS12)
    return True


def become_os11(writer: Writer, unit_id: UnitId, device: RowMapping | None, *, actor: str) -> bool:
    """Revoke the certificates of a device that registers as OS 11; tells whether it was an OS 12 device."""
    if device is None or device["generation"] != OS12 or device["registered_at"] is None:
        return False
    registry.revoke_all(writer, unit_id, "the device registered as OS 11")
    why = "it registered on TCP 30001"
    writer.event("generation-changed", actor=actor, unit_id=unit_id, cause=why, before=OS12, now=OS11)
    return True


def count_generations(connection: Connection) -> dict[str, int]:
    """Count registered devices by the protocol they speak (O6): `12` on the web port, `11` on TCP 30001."""
    query = (
        select(devices.c.generation, func.count().label("number"))
        .where(devices.c.registered_at.is_not(None), devices.c.binned_at.is_(None))
        .group_by(devices.c.generation)
    )
    return {OS12: 0, OS11: 0} | {row.generation: int(row.number) for row in connection.execute(query)}
