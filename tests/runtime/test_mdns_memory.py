# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_runtime.mdns_memory: the same promises without sockets, in virtual time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from umslab_runtime.net_memory import MemoryNetwork
from umslab_runtime.network import AnnouncedAs

if TYPE_CHECKING:
    from trio.testing import MockClock


async def test_found_in_order(autojump_clock: MockClock) -> None:
    """All that is announced, a moment after the first; a host behind a cut link is not heard."""
    network = MemoryNetwork()
    ums, other, device = network.host("ums"), network.host("other"), network.host("device")
    async with ums.announce("b", 8443, on=[]), other.announce("a", 8444, on=[]):
        services = (await device.browse()).services
        assert [("a", 8444, ("other",)), ("b", 8443, ("ums",))] == [
            (one.name, one.port, one.addresses) for one in services
        ]
        assert 1.0 == trio.current_time()
        network.partition("device", "other")
        assert ["b"] == [one.name for one in (await device.browse()).services]
    assert () == (await device.browse()).services
    assert 7.0 == trio.current_time()


async def test_while_it_searches(autojump_clock: MockClock) -> None:
    """What comes is heard, what goes is forgotten."""
    network = MemoryNetwork()
    ums, device = network.host("ums"), network.host("device")

    async def come_and_go() -> None:
        async with ums.announce("gone", 1, on=[]) as early:
            await trio.sleep(0.1)
            assert [AnnouncedAs("gone", "", ("ums",))] == early.stands()
            early.withdraw()
            assert [] == early.stands()
            async with ums.announce("here", 2, on=[]):
                await trio.sleep(10)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(come_and_go)
        browsed = await device.browse()
        nursery.cancel_scope.cancel()

    assert ["here"] == [one.name for one in browsed.services]
