# SPDX-License-Identifier: Apache-2.0
"""`ctl approve`: first enrolments that wait for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from umslab_protocol.values.unit_id import parse_unit_id
from umslab_server.control.dispatch import ACTOR, Command, NoArgs

if TYPE_CHECKING:
    from umslab_server.approval import Approvals


class _UnitIds(Struct, forbid_unknown_fields=True):
    unit_ids: list[str]


class ApprovalCommands:
    """The commands of this area."""

    def __init__(self, approvals: Approvals) -> None:
        self._approvals = approvals

    def table(self) -> dict[str, Command]:
        """Name -> command."""
        return {
            "approval.list": Command.plain(NoArgs, self._list),
            "approval.approve": Command.plain(_UnitIds, self._approve),
            "approval.approve-all": Command.plain(NoArgs, self._approve_all),
            "approval.reject": Command.plain(_UnitIds, self._reject),
        }

    async def _list(self, args: NoArgs) -> Any:
        del args
        return await self._approvals.list_all()

    async def _approve(self, args: _UnitIds) -> Any:
        return await self._approvals.approve([parse_unit_id(one) for one in args.unit_ids], actor=ACTOR)

    async def _approve_all(self, args: NoArgs) -> Any:
        del args
        return await self._approvals.approve_all(actor=ACTOR)

    async def _reject(self, args: _UnitIds) -> Any:
        return await self._approvals.reject([parse_unit_id(one) for one in args.unit_ids], actor=ACTOR)
