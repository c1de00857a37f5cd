# SPDX-License-Identifier: Apache-2.0
"""`ctl views`: saved searches over the registry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from umslab_server.commanding.views import Criteria
from umslab_server.control.dispatch import ACTOR, Command, NoArgs

if TYPE_CHECKING:
    from umslab_server.commanding.views import Views


class _Create(Struct, forbid_unknown_fields=True):
    view: str
    criteria: Criteria


class _Search(Struct, forbid_unknown_fields=True):
    criteria: Criteria


class _View(Struct, forbid_unknown_fields=True):
    view: str


class ViewCommands:
    """The commands of this area."""

    def __init__(self, views: Views) -> None:
        self._views = views

    def table(self) -> dict[str, Command]:
        """Name -> command."""
        return {
            "views.create": Command.plain(_Create, self._create),
            "views.list": Command.plain(NoArgs, self._list),
            "views.show": Command.plain(_View, self._show),
            "views.search": Command.plain(_Search, self._search),
            "views.delete": Command.plain(_View, self._delete),
        }

    async def _create(self, args: _Create) -> Any:
        return await self._views.create(args.view, args.criteria, actor=ACTOR)

    async def _list(self, args: NoArgs) -> Any:
        del args
        return await self._views.list_views()

    async def _show(self, args: _View) -> Any:
        view, devices = await self._views.show(args.view)
        return {"view": view, "devices": devices}

    async def _search(self, args: _Search) -> Any:
        return await self._views.search(args.criteria)

    async def _delete(self, args: _View) -> Any:
        await self._views.delete(args.view, actor=ACTOR)
