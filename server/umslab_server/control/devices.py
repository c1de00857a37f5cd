# SPDX-License-Identifier: Apache-2.0
"""`ctl devices`: the registry and its recycle bin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from umslab_protocol.values.unit_id import UnitId, parse_unit_id
from umslab_server.control.dispatch import ACTOR, Command
from umslab_server.importing import read_csv

if TYPE_CHECKING:
    from umslab_server.registry import Registry


class _UnitIds(Struct, forbid_unknown_fields=True):
    unit_ids: list[str]


class _OneUnitId(Struct, forbid_unknown_fields=True):
    unit_id: str


class _Revoke(Struct, forbid_unknown_fields=True):
    unit_id: str
    reason: str = "revoked by the administrator"


class _Edit(Struct, forbid_unknown_fields=True):
    unit_id: str
    values: dict[str, str]


class _List(Struct, forbid_unknown_fields=True):
    in_bin: bool | None = None
    directory: str | None = None
    pending: bool | None = None
    brief: bool = False
    """Only what fits into a line."""


class _Import(Struct, forbid_unknown_fields=True):
    csv: str


class DeviceCommands:
    """The commands of this area."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def table(self) -> dict[str, Command]:
        """Name -> command."""
        return {
            "devices.list": Command.plain(_List, self._list),
            "devices.show": Command.plain(_OneUnitId, self._show),
            "devices.edit": Command.plain(_Edit, self._edit),
            "devices.delete": Command.plain(_UnitIds, self._delete),
            "devices.restore": Command.plain(_UnitIds, self._restore),
            "devices.purge": Command.plain(_UnitIds, self._purge),
            "devices.revoke": Command.plain(_Revoke, self._revoke),
            "devices.import": Command.plain(_Import, self._import),
        }

    async def _list(self, args: _List) -> Any:
        look = self._registry.brief if args.brief else self._registry.list_devices
        return await look(in_bin=args.in_bin, directory=args.directory, pending=args.pending)

    async def _show(self, args: _OneUnitId) -> Any:
        return await self._registry.show(parse_unit_id(args.unit_id))

    async def _edit(self, args: _Edit) -> Any:
        await self._registry.edit(parse_unit_id(args.unit_id), args.values, actor=ACTOR)

    async def _delete(self, args: _UnitIds) -> Any:
        return {unit_id: await self._registry.delete(unit_id, actor=ACTOR) for unit_id in _unit_ids(args)}

    async def _restore(self, args: _UnitIds) -> Any:
        for unit_id in _unit_ids(args):
            await self._registry.restore(unit_id, actor=ACTOR)

    async def _purge(self, args: _UnitIds) -> Any:
        for unit_id in _unit_ids(args):
            await self._registry.purge(unit_id, actor=ACTOR)

    async def _revoke(self, args: _Revoke) -> Any:
        return await self._registry.revoke(parse_unit_id(args.unit_id), actor=ACTOR, reason=args.reason)

    async def _import(self, args: _Import) -> Any:
        added, existing = await self._registry.import_devices(read_csv(args.csv.encode()), actor=ACTOR)
        return {"added": added, "existing": existing}


def _unit_ids(args: _UnitIds) -> list[UnitId]:
    return [parse_unit_id(unit_id) for unit_id in args.unit_ids]
