# SPDX-License-Identifier: Apache-2.0
"""Device attributes: what people define beyond what every device has, and what they and devices write (11.2).

Whoever writes last counts, where both may; a device is not told what people wrote. What is allowed: attribute_rules.py.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from umslab_server import registry
from umslab_server.attribute_rules import (
    MAX_ATTRIBUTES,
    AttributeKind,
    AttributeView,
    WrittenBy,
    check_definition,
    check_value,
)
from umslab_server.errors import RefusedError
from umslab_server.tables import attribute, device

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection, RowMapping

    from umslab_protocol.values.unit_id import UnitId
    from umslab_server.store import Store, Writer


class Attributes:
    """The definitions and what people write, for people."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def list_attributes(self) -> list[AttributeView]:
        """Return all definitions in their order."""
        return await self._store.read(lambda connection: list(_definitions(connection).values()))

    async def create(self, made: AttributeView, *, actor: str) -> None:
        """Define an attribute. Raises `RefusedError`."""
        check_definition(made)

        def work(writer: Writer) -> None:
            if made.identifier in (known := _definitions(writer.connection)):
                raise RefusedError(f"there is a device attribute {made.identifier!r} already")
            if len(known) >= MAX_ATTRIBUTES:
                raise RefusedError(f"there are {MAX_ATTRIBUTES} device attributes, which is the most there can be")
            values = {
                "identifier": made.identifier,
                "name": made.name,
                "kind": made.kind,
                "allowed": json.dumps(made.allowed),
                "written_by": made.written_by,
                "position": made.position,
            }
            writer.connection.execute(attribute.insert().values(**values))
            writer.event("attribute-created", actor=actor, attribute=made.identifier)

        await self._store.change(work)

    async def delete(self, identifier: str, *, actor: str) -> int:
        """Delete a definition with all its values; returns how many devices had one. Raises `RefusedError`."""

        def work(writer: Writer) -> int:
            _definition(writer.connection, identifier)
            writer.connection.execute(attribute.delete().where(attribute.c.identifier == identifier))
            having = 0
            rows = writer.connection.execute(select(device.c.unit_id, device.c.attributes)).mappings().all()
            for row in rows:
                values = _values(row)
                if values.pop(identifier, None) is not None:
                    _keep(writer, row["unit_id"], values)
                    having += 1
            writer.event("attribute-deleted", actor=actor, attribute=identifier, devices=having)
            return having

        return await self._store.change(work)

    async def write(self, unit_id: UnitId, given: Mapping[str, str], *, actor: str) -> dict[str, str]:
        """Write values of a device, empty ones to remove them; returns all it has then. Raises `RefusedError`."""

        def work(writer: Writer) -> dict[str, str]:
            return _write(writer, unit_id, given, WrittenBy.UMS, actor)

        return await self._store.change(work)


def take(writer: Writer, unit_id: UnitId, given: Mapping[str, str]) -> str | None:
    """Keep what a device writes, inside a change: all of it, or none and an event. Returns why not."""
    try:
        _write(writer, unit_id, given, WrittenBy.DEVICE, "device")
    except RefusedError as error:
        writer.event("device-attributes-refused", actor="device", unit_id=unit_id, cause=str(error))
        return str(error)
    return None


def _write(writer: Writer, unit_id: UnitId, given: Mapping[str, str], writing: WrittenBy, actor: str) -> dict[str, str]:
    known, before = _definitions(writer.connection), _values(registry.find(writer.connection, unit_id))
    after = dict(before)
    for identifier, value in given.items():
        made = known.get(identifier)
        if made is None:
            raise _unknown(identifier)
        if made.written_by not in {writing, WrittenBy.BOTH}:
            raise RefusedError(f"the device attribute {identifier!r} is written by: {made.written_by}")
        if value:
            check_value(made, value)
            after[identifier] = value
        else:
            after.pop(identifier, None)
    ordered = {identifier: after[identifier] for identifier in known if identifier in after}
    if after != before:
        _keep(writer, unit_id, ordered)
        writer.event("device-attributes", actor=actor, unit_id=unit_id)
    return ordered


def _definitions(connection: Connection) -> dict[str, AttributeView]:
    rows = connection.execute(select(attribute).order_by(attribute.c.position, attribute.c.id)).mappings()
    return {row["identifier"]: _view(row) for row in rows}


def _definition(connection: Connection, identifier: str) -> AttributeView:
    row = connection.execute(select(attribute).where(attribute.c.identifier == identifier)).mappings().first()
    if row is None:
        raise _unknown(identifier)
    return _view(row)


def _unknown(identifier: str) -> RefusedError:
    return RefusedError(f"there is no device attribute {identifier[:60]!r}: `umslab ctl attributes list` shows all")


def _view(row: RowMapping) -> AttributeView:
    return AttributeView(
        identifier=row["identifier"],
        name=row["name"],
        kind=AttributeKind(row["kind"]),
        allowed=json.loads(row["allowed"]),
        written_by=WrittenBy(row["written_by"]),
        position=row["position"],
    )


def _values(row: RowMapping) -> dict[str, str]:
    found: list[dict[str, Any]] = json.loads(row["attributes"])
    return {one["identifier"]: one["value"] for one in found}


def _keep(writer: Writer, unit_id: UnitId, values: Mapping[str, str]) -> None:
    text = json.dumps([{"identifier": identifier, "value": value} for identifier, value in values.items()])
    registry.update(writer, unit_id, attributes=text)
