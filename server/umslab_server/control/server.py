# SPDX-License-Identifier: Apache-2.0
"""`ctl status`, `ctl events`, `ctl backup`: the server itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from umslab_protocol.values.unit_id import parse_unit_id
from umslab_server.control.dispatch import Command, Emit, NoArgs, Number

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from umslab_server.store import Store


class _Events(Struct, forbid_unknown_fields=True):
    after: Number | None = None
    limit: Number = 100
    unit_id: str | None = None
    follow: bool = False


class _Backup(Struct, forbid_unknown_fields=True):
    path: str


class ServerCommands:
    """The commands of this area."""

    def __init__(
        self,
        store: Store,
        *,
        status: Callable[[], Awaitable[dict[str, Any]]],
        backup: Callable[[str], Awaitable[dict[str, Any]]],
    ) -> None:
        self._store = store
        self._status = status
        self._backup = backup

    def table(self) -> dict[str, Command]:
        """Name -> command."""
        return {
            "status": Command.plain(NoArgs, self._get_status),
            "events": Command(_Events, self._events),
            "backup": Command.plain(_Backup, self._make_backup),
        }

    async def _get_status(self, args: NoArgs) -> Any:
        del args
        return await self._status()

    async def _events(self, args: _Events, emit: Emit) -> Any:
        unit_id = None if args.unit_id is None else parse_unit_id(args.unit_id)
        after = await self._store.before_last(args.limit, unit_id) if args.after is None else args.after
        while True:
            newest = self._store.feed.value  # read before the query, so that nothing committed meanwhile is skipped
            batch = await self._store.events(after, unit_id=unit_id)
            for event in batch:
                await emit(event)
            if batch:
                after = batch[-1].id
            elif not args.follow:
                return {"last": after}
            else:
                after = max(after, newest)
                await self._store.feed.beyond(after)

    async def _make_backup(self, args: _Backup) -> Any:
        return await self._backup(args.path)
