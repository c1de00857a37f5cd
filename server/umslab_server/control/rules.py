# SPDX-License-Identifier: Apache-2.0
"""`ctl rules`: default directory rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from umslab_protocol.values.unit_id import parse_unit_id
from umslab_server.configuration.rule_matching import Criteria
from umslab_server.control.dispatch import ACTOR, Command, NoArgs, Number

if TYPE_CHECKING:
    from umslab_server.configuration.rules import Rules


class _Create(Struct, forbid_unknown_fields=True):
    name: str
    criteria: Criteria = Criteria()
    directory: str | None = None
    parent: Number | None = None
    position: Number | None = None
    override: bool = False
    leave_in_subdirectory: bool = False
    at_boot: bool = False


class _Changes(Struct, forbid_unknown_fields=True, omit_defaults=True):
    name: str | UnsetType = UNSET
    criteria: Criteria | UnsetType = UNSET
    directory: str | UnsetType | None = UNSET
    override: bool | UnsetType = UNSET
    leave_in_subdirectory: bool | UnsetType = UNSET
    at_boot: bool | UnsetType = UNSET


class _Edit(Struct, forbid_unknown_fields=True):
    id: Number
    changes: _Changes


class _Move(Struct, forbid_unknown_fields=True):
    id: Number
    position: Number


class _RuleNumber(Struct, forbid_unknown_fields=True):
    id: Number


class _UnitId(Struct, forbid_unknown_fields=True):
    unit_id: str


class RuleCommands:
    """The commands of this area."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules

    def table(self) -> dict[str, Command]:
        """Name -> command."""
        return {
            "rules.list": Command.plain(NoArgs, self._list),
            "rules.create": Command.plain(_Create, self._create),
            "rules.edit": Command.plain(_Edit, self._edit),
            "rules.move": Command.plain(_Move, self._move),
            "rules.delete": Command.plain(_RuleNumber, self._delete),
            "rules.test": Command.plain(_UnitId, self._test),
        }

    async def _list(self, args: NoArgs) -> Any:
        del args
        return await self._rules.list_rules()

    async def _create(self, args: _Create) -> Any:
        return {"id": await self._rules.create(**msgspec.structs.asdict(args), actor=ACTOR)}

    async def _edit(self, args: _Edit) -> Any:
        changes = {name: value for name, value in msgspec.structs.asdict(args.changes).items() if value is not UNSET}
        await self._rules.edit(args.id, changes, actor=ACTOR)

    async def _move(self, args: _Move) -> Any:
        await self._rules.move(args.id, args.position, actor=ACTOR)

    async def _delete(self, args: _RuleNumber) -> Any:
        await self._rules.delete(args.id, actor=ACTOR)

    async def _test(self, args: _UnitId) -> Any:
        return await self._rules.test(parse_unit_id(args.unit_id))
