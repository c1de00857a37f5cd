# SPDX-License-Identifier: Apache-2.0
"""`umslab online-check` and `ctl scan`: what a server finds out about devices without being called by them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from umslab_server.commanding.selectors import Selector
from umslab_server.control.dispatch import ACTOR, Command, Emit
from umslab_server.scan_report import ScanWish

if TYPE_CHECKING:
    from umslab_server.commanding.commands import Commands
    from umslab_server.online_check import OnlineChecks
    from umslab_server.scan import Scans


class _Check(Struct, forbid_unknown_fields=True):
    selector: Selector


class NeighbourCommands:
    """The commands of this area; both emit how far they are."""

    def __init__(self, online_checks: OnlineChecks, scans: Scans, commands: Commands) -> None:
        self._online_checks = online_checks
        self._scans = scans
        self._commands = commands

    def table(self) -> dict[str, Command]:
        """Name -> command."""
        return {"online-check": Command(_Check, self._check), "scan": Command(ScanWish, self._scan)}

    async def _check(self, args: _Check, emit: Emit) -> Any:
        unit_ids = await self._commands.select(args.selector)
        return await self._online_checks.report(unit_ids, lambda progress: emit(progress._asdict()))

    async def _scan(self, args: ScanWish, emit: Emit) -> Any:
        return await self._scans.scan(args, actor=ACTOR, on_progress=lambda progress: emit(progress._asdict()))
