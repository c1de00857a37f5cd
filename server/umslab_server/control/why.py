# SPDX-License-Identifier: Apache-2.0
"""`ctl why`: one device explained in sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from umslab_protocol.values.unit_id import parse_unit_id
from umslab_server.control.dispatch import Command

if TYPE_CHECKING:
    from umslab_server.why import Why


class _OneUnitId(Struct, forbid_unknown_fields=True):
    unit_id: str


class WhyCommands:
    """The command of this area."""

    def __init__(self, why: Why) -> None:
        self._why = why

    def table(self) -> dict[str, Command]:
        """Name -> command."""
        return {"why": Command.plain(_OneUnitId, self._explain)}

    async def _explain(self, args: _OneUnitId) -> Any:
        return await self._why.explain(parse_unit_id(args.unit_id))
