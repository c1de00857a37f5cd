# SPDX-License-Identifier: Apache-2.0
"""`ctl keys`: first-authentication keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from umslab_protocol.values.auth_key import KeyKind, parse_auth_key
from umslab_protocol.values.unit_id import parse_unit_id
from umslab_server.control.dispatch import ACTOR, Command, Number

if TYPE_CHECKING:
    from umslab_server.keys import Keys


class _KeyNumber(Struct, forbid_unknown_fields=True):
    id: Number


class _ListKeys(Struct, forbid_unknown_fields=True):
    secrets: bool = False


class _CreateKeys(Struct, forbid_unknown_fields=True):
    kind: KeyKind
    count: int = 1
    chosen: str | None = None
    bound_to: list[str] = []
    label: str = ""
    user: str = ""
    role: str = ""


class _EnableKey(Struct, forbid_unknown_fields=True):
    id: Number
    enabled: bool


class KeyCommands:
    """The commands of this area."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    def table(self) -> dict[str, Command]:
        """Name -> command."""
        return {
            "keys.create": Command.plain(_CreateKeys, self._create),
            "keys.list": Command.plain(_ListKeys, self._list),
            "keys.show": Command.plain(_KeyNumber, self._show),
            "keys.enable": Command.plain(_EnableKey, self._enable),
            "keys.delete": Command.plain(_KeyNumber, self._delete),
        }

    async def _create(self, args: _CreateKeys) -> Any:
        return await self._keys.create(
            args.kind,
            count=args.count,
            chosen=None if args.chosen is None else parse_auth_key(args.chosen),
            bound_to=[parse_unit_id(unit_id) for unit_id in args.bound_to],
            label=args.label,
            onboards=args.user,
            role=args.role,
            actor=ACTOR,
        )

    async def _list(self, args: _ListKeys) -> Any:
        return await self._keys.list_keys(with_secrets=args.secrets)

    async def _show(self, args: _KeyNumber) -> Any:
        return await self._keys.show(args.id)

    async def _enable(self, args: _EnableKey) -> Any:
        return await self._keys.enable(args.id, enabled=args.enabled, actor=ACTOR)

    async def _delete(self, args: _KeyNumber) -> Any:
        await self._keys.delete(args.id, actor=ACTOR)
