# SPDX-License-Identifier: Apache-2.0
"""`ctl connectors`: the addresses devices connect to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from umslab_protocol.values.host_port import parse_host_port
from umslab_protocol.wire.orders import ConnectorType
from umslab_server.control.dispatch import ACTOR, Command, NoArgs

if TYPE_CHECKING:
    from umslab_server.connectors import Connectors


class _Add(Struct, forbid_unknown_fields=True):
    type: ConnectorType
    address: str


class _Remove(Struct, forbid_unknown_fields=True):
    address: str


class ConnectorCommands:
    """The commands of this area."""

    def __init__(self, connectors: Connectors) -> None:
        self._connectors = connectors

    def table(self) -> dict[str, Command]:
        """Name -> command."""
        return {
            "connectors.list": Command.plain(NoArgs, self._list),
            "connectors.add": Command.plain(_Add, self._add),
            "connectors.remove": Command.plain(_Remove, self._remove),
        }

    async def _list(self, args: NoArgs) -> Any:
        del args
        return await self._connectors.view()

    async def _add(self, args: _Add) -> Any:
        return await self._connectors.add(args.type, parse_host_port(args.address), actor=ACTOR)

    async def _remove(self, args: _Remove) -> Any:
        return await self._connectors.remove(parse_host_port(args.address), actor=ACTOR)
