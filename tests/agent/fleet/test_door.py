# SPDX-License-Identifier: Apache-2.0
"""A device's door passes everything on, except while its network is away."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
import trio

from tests.agent.os11.ums import open_os11_lab
from umslab_agent.fleet.door import BehindDoor, Door
from umslab_agent.nearby import Nowhere
from umslab_protocol.machines.device_life import State
from umslab_protocol.values.host_port import HostPort
from umslab_runtime.clock import VirtualClock
from umslab_runtime.net_memory import MemoryNetwork
from umslab_runtime.network import DialError, DialProblem

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trio.testing import MockClock

    from umslab_agent.persona import Persona
    from umslab_agent.unit import Unit
    from umslab_runtime.streams import Stream, Transport


async def test_open_closed_and_open_again(autojump_clock: MockClock) -> None:
    """Nobody is reached until the moment that was set; datagrams are not its business."""
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


async def test_callers_are_broken_off_while_it_is_closed(autojump_clock: MockClock) -> None:
    """Who calls the device meanwhile loses the connection; the next one is heard."""
    network = MemoryNetwork()
    door = Door(network.host("device"), VirtualClock(datetime(2026, 1, 1, tzinfo=UTC)))
    listener = await door.listen("", 7)
    door.closed_until = trio.current_time() + 5
    accepted: list[Transport] = []

    async def accept() -> None:
        accepted.append(await listener.accept())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(accept)
        early = await network.host("ums").dial(HostPort("device", 7))
        assert b"" == await early.receive_some()
        await trio.sleep(5)
        late = await network.host("ums").dial(HostPort("device", 7))

    assert 1 == len(accepted)
    assert ("device", 7) == (listener.address.host, listener.address.port)
    listener.close()
    early.abort()
    late.abort()
    accepted[0].abort()


class _Place(Nowhere):
    """Notes whether the device can be found."""

    found = False

    async def answer_scan(self, stream: Stream) -> None:
        """Answers nobody."""

    def update(self, unit: Unit, state: State, wake: Callable[[], None]) -> None:
        self.found = True

    def leave(self, persona: Persona) -> None:
        self.found = False


async def test_a_device_is_not_found_behind_a_closed_door(autojump_clock: MockClock, tmp_path: Path) -> None:
    """Nor after it has left."""
    door = Door(MemoryNetwork().host("device"), VirtualClock(datetime(2026, 1, 1, tzinfo=UTC)))
    place = _Place()
    behind, found = BehindDoor(door, place), []
    async with open_os11_lab(tmp_path) as lab:
        unit = lab.device().device._unit
        for closed in (False, True, False):
            door.closed_until = trio.current_time() + closed
            behind.update(unit, State.READY, lambda: None)
            found.append(place.found)
        behind.leave(unit.persona)

    assert ([True, False, True], False) == (found, place.found)
    assert (place.wakeable, place.answer_scan) == (behind.wakeable, behind.answer_scan)
