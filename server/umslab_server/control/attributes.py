# SPDX-License-Identifier: Apache-2.0
"""`ctl attributes`, and what people write with `ctl devices attribute`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta, Struct

from umslab_protocol.values.unit_id import parse_unit_id
from umslab_server.attribute_rules import AttributeKind, AttributeView, WrittenBy
from umslab_server.control.dispatch import ACTOR, Command, NoArgs

if TYPE_CHECKING:
    from umslab_server.attributes import Attributes


class _Create(Struct, forbid_unknown_fields=True):
    identifier: str
    kind: AttributeKind = AttributeKind.STRING
    name: str = ""
    allowed: list[str] = []
    written_by: WrittenBy = WrittenBy.BOTH
    position: Annotated[int, Meta(ge=0, le=2**31)] = 0


class _Delete(Struct, forbid_unknown_fields=True):
    identifier: str


class _Write(Struct, forbid_unknown_fields=True):
    unit_id: str
    values: dict[str, str]


class AttributeCommands:
    """The commands of this area."""

    def __init__(self, attributes: Attributes) -> None:
        self._attributes = attributes

    def table(self) -> dict[str, Command]:
        """Name -> command."""
        return {
            "attributes.list": Command.plain(NoArgs, self._list),
            "attributes.create": Command.plain(_Create, self._create),
            "attributes.delete": Command.plain(_Delete, self._delete),
            "attributes.write": Command.plain(_Write, self._write),
        }

    async def _list(self, args: NoArgs) -> Any:
        del args
        return await self._attributes.list_attributes()

    async def _create(self, args: _Create) -> Any:
        made = AttributeView(
            identifier=args.identifier,
            name=args.name or args.identifier,
            kind=args.kind,
            allowed=args.allowed,
            written_by=args.written_by,
            position=args.position,
        )
        await self._attributes.create(made, actor=ACTOR)

    async def _delete(self, args: _Delete) -> Any:
        return {"devices": await self._attributes.delete(args.identifier, actor=ACTOR)}

    async def _write(self, args: _Write) -> Any:
        return await self._attributes.write(parse_unit_id(args.unit_id), args.values, actor=ACTOR)
