# SPDX-License-Identifier: Apache-2.0
"""`ctl dirs`: the tree of device directories."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from umslab_protocol.values.unit_id import parse_unit_id
from umslab_server.configuration.reconcile import When
from umslab_server.control.dispatch import ACTOR, Command, NoArgs

if TYPE_CHECKING:
    from umslab_server.configuration.directories import Directories


class _Path(Struct, forbid_unknown_fields=True):
    path: str


class _Rename(Struct, forbid_unknown_fields=True):
    path: str
    name: str


class _Move(Struct, forbid_unknown_fields=True):
    path: str
    target: str
    when: When = When.NOW


class _MoveDevices(Struct, forbid_unknown_fields=True):
    unit_ids: list[str]
    target: str
    when: When = When.NOW


class DirectoryCommands:
    """The commands of this area."""

    def __init__(self, directories: Directories) -> None:
        self._directories = directories

    def table(self) -> dict[str, Command]:
        """Name -> command."""
        return {
            "dirs.list": Command.plain(NoArgs, self._list),
            "dirs.create": Command.plain(_Path, self._create),
            "dirs.rename": Command.plain(_Rename, self._rename),
            "dirs.move": Command.plain(_Move, self._move),
            "dirs.delete": Command.plain(_Path, self._delete),
            "dirs.move-devices": Command.plain(_MoveDevices, self._move_devices),
        }

    async def _list(self, args: NoArgs) -> Any:
        del args
        return await self._directories.list_directories()

    async def _create(self, args: _Path) -> Any:
        return {"id": await self._directories.create(args.path, actor=ACTOR)}

    async def _rename(self, args: _Rename) -> Any:
        await self._directories.rename(args.path, args.name, actor=ACTOR)

    async def _move(self, args: _Move) -> Any:
        return await self._directories.move(args.path, args.target, actor=ACTOR, when=args.when)

    async def _delete(self, args: _Path) -> Any:
        await self._directories.delete(args.path, actor=ACTOR)

    async def _move_devices(self, args: _MoveDevices) -> Any:
        unit_ids = [parse_unit_id(unit_id) for unit_id in args.unit_ids]
        return await self._directories.move_devices(unit_ids, args.target, actor=ACTOR, when=args.when)
