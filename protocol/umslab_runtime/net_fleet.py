# SPDX-License-Identifier: Apache-2.0
"""The real network for thousands of devices that call the same few names: each is looked up once.

Without it every dial would cost a worker thread for the resolver, and a refused connect wherever `localhost` has an
IPv6 address on which nobody listens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from umslab_runtime.net_trio import TrioNetwork

if TYPE_CHECKING:
    from collections.abc import Sequence

    from umslab_protocol.values.host_port import HostPort
    from umslab_protocol.values.unit_id import UnitId
    from umslab_runtime.policy import TargetPolicy
    from umslab_runtime.streams import Transport


class FleetNetwork(TrioNetwork):
    """Sockets behind the target policy, which is asked at every dial all the same."""

    def __init__(self, policy: TargetPolicy) -> None:
        super().__init__(policy)
        self._known: dict[str, list[str]] = {}

    async def resolve(self, host: str) -> Sequence[str]:
        """Look a name up the first time; the address that answered last comes first."""
        known = self._known.get(host)
        if known is None:
            known = self._known[host] = list(await super().resolve(host))
        return list(known)

    async def dial(self, target: HostPort, *, unit_id: UnitId | None = None) -> Transport:
        """Connect; see `Network.dial`."""
        transport = await super().dial(target, unit_id=unit_id)
        known = self._known.get(target.host, [])
        answered = transport.peer.host
        if answered in known and known[0] != answered:
            known.remove(answered)
            known.insert(0, answered)
        return transport
