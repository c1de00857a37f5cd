# SPDX-License-Identifier: Apache-2.0
"""Where the OS 11 devices of a fleet are found: each at an address of its own, all of them at one port (P9, P10).

That port is 30005, or any free one where another program has it: a device tells its UMS which. One UDP endpoint answers
for all addresses of loopback (answering.py says why); any other address has one of its own.
"""

from __future__ import annotations

from contextlib import ExitStack, asynccontextmanager
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

import trio

from umslab_agent.answering import Answering
from umslab_agent.nearby import Nearby
from umslab_protocol.values.host_port import PUSH_PORT
from umslab_runtime.network import EVERYWHERE, ListenError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from umslab_runtime.network import Network

LOOPBACK = "lo"


class Places:
    """Gives each device its place on the link."""

    def __init__(self, port: int, answering: dict[str, Answering]) -> None:
        """`answering` by address; the empty one is for all of loopback."""
        self.port = port
        """Where all are called, and asked."""
        self._answering = answering

    def nearby(self, address: str) -> Nearby:
        """The place of the device with this address; nothing wakes it."""
        whose = _whose(address)
        own = "" if whose else address  # an endpoint of its own hears nothing else
        return Nearby(self._answering[whose], None, address=own, checked=True)


@asynccontextmanager
async def open_places(network: Network, addresses: Sequence[str]) -> AsyncIterator[Places]:
    """Answer on UDP at these addresses, of which there is at least one, as long as the block lasts.

    Raises `ListenError` and `TargetRefusedError`.
    """
    with ExitStack() as stack:
        try:
            answering = await _open(network, addresses, PUSH_PORT, stack)
        except ListenError:
            answering = await _open(network, addresses, 0, stack)
        async with trio.open_nursery() as nursery:
            for one in answering.values():
                nursery.start_soon(one.run)
            yield Places(next(iter(answering.values())).port, answering)
            nursery.cancel_scope.cancel()


async def _open(network: Network, addresses: Sequence[str], port: int, stack: ExitStack) -> dict[str, Answering]:
    """Open all or none, at the first one's port where any will do, which must be free for TCP too."""
    with ExitStack() as opened:
        found: dict[str, Answering] = {}
        for whose in dict.fromkeys(map(_whose, addresses)):
            host, interface = (whose, "") if whose else (EVERYWHERE, LOOPBACK)
            endpoint = await network.udp(host, port, interface=interface)
            opened.callback(endpoint.close)
            found[whose] = Answering(endpoint)
            port = endpoint.address.port
        (await network.listen(addresses[0], port)).close()
        stack.push(opened.pop_all())
    return found


def _whose(address: str) -> str:
    return "" if IPv4Address(address).is_loopback else address
