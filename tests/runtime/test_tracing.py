# SPDX-License-Identifier: Apache-2.0
"""Steps are told when they are done, with when they began; those that fail are not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from umslab_certs.tls import blind_context
from umslab_protocol.values.host_port import HostPort
from umslab_runtime.dial_tls import dial_tls
from umslab_runtime.net_memory import MemoryNetwork
from umslab_runtime.network import DialError
from umslab_runtime.tls import TLSError

if TYPE_CHECKING:
    from trio.testing import MockClock


async def test_tcp_is_told_and_what_fails_is_not(autojump_clock: MockClock) -> None:
    """A server that resets: the connection was there, the handshake never."""
    told: list[tuple[str, float, float]] = []
    network = MemoryNetwork(latency=0.5)
    listener = await network.host("server").listen("", 1)

    def trace(step: str, began: float) -> None:
        told.append((step, began, trio.current_time()))

    began = trio.current_time()
    async with trio.open_nursery() as nursery:

        async def reset() -> None:
            (await listener.accept()).abort()

        nursery.start_soon(reset)
        with pytest.raises(TLSError):
            await dial_tls(network.host("device"), HostPort("server", 1), blind_context(), within=60, trace=trace)
    with pytest.raises(DialError):
        await dial_tls(network.host("device"), HostPort("server", 2), blind_context(), within=60, trace=trace)

    assert [("tcp", began, began + 1.0)] == told
    listener.close()
