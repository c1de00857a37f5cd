# SPDX-License-Identifier: Apache-2.0
"""`ctl accounts`: UMS users with which OS 11 devices are registered by hand (A9)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from umslab_server.control.dispatch import ACTOR, Command, NoArgs

if TYPE_CHECKING:
    from umslab_server.accounts import Accounts


class _Create(Struct, forbid_unknown_fields=True):
    name: str
    password: str | None = None


class _Delete(Struct, forbid_unknown_fields=True):
    name: str


class AccountCommands:
    """The commands of this area."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    def table(self) -> dict[str, Command]:
        """Name -> command."""
        return {
            "accounts.create": Command.plain(_Create, self._create),
            "accounts.list": Command.plain(NoArgs, self._list),
            "accounts.delete": Command.plain(_Delete, self._delete),
        }

    async def _create(self, args: _Create) -> Any:
        return await self._accounts.create(args.name, args.password, actor=ACTOR)

    async def _list(self, args: NoArgs) -> Any:
        del args
        return await self._accounts.list_accounts()

    async def _delete(self, args: _Delete) -> Any:
        await self._accounts.delete(args.name, actor=ACTOR)
