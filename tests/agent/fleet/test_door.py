# SPDX-License-Identifier: Apache-2.0
"""A device's door passes everything on, except while its network is away."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
import trio

from umslab_agent.fleet.door import Door
from umslab_protocol.values.host_port import HostPort
from umslab_runtime.clock import VirtualClock
from umslab_runtime.net_memory import MemoryNetwork
from umslab_runtime.network import DialError, DialProblem

if TYPE_CHECKING:
    from trio.testing import MockClock


async def test_open_closed_and_open_again(autojump_clock: MockClock) -> None:
    """Nobody is reached until the moment that was set; listening and datagrams are not its business."""
    network = MemoryNetwork()
    server = await network.host("server").listen("", 1)
    door = Door(network.host("device"), VirtualClock(datetime(2026, 1, 1, tzinfo=UTC)))

    (await door.dial(HostPort("server", 1))).abort()
    door.closed_until = trio.current_time() + 5
    for call in (door.dial(HostPort("server", 1)), door.resolve("server")):
        with pytest.raises(DialError, match="as planned") as caught:
            await call
        assert DialProblem.UNREACHABLE is caught.value.problem
    was_open = door.is_open
    await trio.sleep(5)
    (await door.dial(HostPort("server", 1))).abort()

    assert (False, True) == (was_open, door.is_open)
    assert ["server"] == list(await door.resolve("server"))
    (await door.udp("", 0)).close()
    async with network.host("server").announce("ums", 1, on=("server",)):
        assert 1 == len((await door.browse()).services)
    async with door.announce("mine", 2, on=("device",)):
        pass
    (await door.listen("", 2)).close()
    server.close()
