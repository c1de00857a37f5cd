# SPDX-License-Identifier: Apache-2.0
"""The source mDNS: a UMS that announces itself on the link; for labs without a name server.

Provenance: simulated (D18), see `umslab_protocol.wire.mdns`. Several that are found are tried in a fixed order. What
is announced is no consent: the target policy decides about each address when it is called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from umslab_agent.discovery import Absent, Found, Source
from umslab_protocol.machines.mdns_browse import PATIENCE_SECONDS
from umslab_protocol.values.host_port import HostPort
from umslab_runtime.network import EVERYWHERE, ListenError
from umslab_runtime.policy import TargetRefusedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from umslab_runtime.network import Network


class MdnsSource:
    """Searches on the interfaces of the addresses that the user named, or where it is allowed without."""

    def __init__(self, network: Network, named: Sequence[str] = ()) -> None:
        self._network = network
        self._named = tuple(named)

    async def find(self) -> Found | Absent:
        """Search; see `Finder`."""
        try:
            browsed = await self._network.browse(on=self._named or (EVERYWHERE,), user_named=bool(self._named))
        except TargetRefusedError as error:
            return Absent(source=Source.MDNS, reason="target-refused", text=str(error))
        except ListenError as error:
            return Absent(source=Source.MDNS, reason="unreachable", text=str(error))
        ignored = "".join(f", {count} ignored ({problem})" for problem, count in sorted(browsed.ignored.items()))
        if not browsed.services:
            text = f"nobody announced a UMS within {PATIENCE_SECONDS:g} seconds{ignored}"
            return Absent(source=Source.MDNS, reason="timeout", text=text)
        targets = [HostPort(address, one.port) for one in browsed.services for address in one.addresses]
        names = ", ".join(dict.fromkeys(one.name for one in browsed.services))
        why = f"announced by mDNS as {names}{ignored}, simulated"
        return Found(source=Source.MDNS, targets=tuple(dict.fromkeys(targets)), why=why)
