# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_agent.waking: who hears which magic packet."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from umslab_agent.waking import Waking
from umslab_protocol.values.unit_id import MacAddress
from umslab_protocol.wire.magic_packet import WAKE_PORT, write_magic_packet
from umslab_runtime.net_memory import MemoryNetwork
from umslab_runtime.streams import Address

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

MAC, OTHER = MacAddress("020000000001"), MacAddress("020000000002")


@asynccontextmanager
async def _asleep(address: str) -> AsyncIterator[tuple[Waking, list[str], Callable[[bytes, str], None]]]:
    """One sleeping device, what woke it, and a way to send."""
    network, woken = MemoryNetwork(), list[str]()
    here = await network.host("devices", "127.3.0.1", "127.3.0.2").udp("0.0.0.0", WAKE_PORT, interface="lo")
    asker, waking = await network.host("ums").udp("", 0), Waking(here)

    def send(payload: bytes, host: str) -> None:
        asker.send_to(payload, Address(host, WAKE_PORT))

    waking.listen(MAC, address, lambda: woken.append("woken"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(waking.run)
        yield waking, woken, send
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("address", "to", "hears"),
    [
        ("127.3.0.1", "127.3.0.1", True),
        ("127.3.0.1", "255.255.255.255", True),
        ("127.3.0.1", "127.3.0.2", False),
        ("", "127.3.0.2", True),
        ("", "255.255.255.255", True),
    ],
)
async def test_who_hears_what(address: str, to: str, hears: bool, autojump_clock: trio.testing.MockClock) -> None:  # noqa: FBT001
    """Its own address and everybody; without an address of its own the one it shares."""
    async with _asleep(address) as (waking, woken, send):
        send(write_magic_packet(MAC), to)
        await wait_all_tasks_blocked()

        assert (["woken"] if hears else []) == woken
        assert {"woken" if hears else "not-here": 1} == waking.counters


async def test_it_wakes_once_and_only_by_its_own_packet(autojump_clock: trio.testing.MockClock) -> None:
    """Others' packets and rubbish are counted."""
    async with _asleep("") as (waking, woken, send):
        for payload in (write_magic_packet(OTHER), b"rubbish", write_magic_packet(MAC), write_magic_packet(MAC)):
            send(payload, "devices")
        await wait_all_tasks_blocked()

        assert ["woken"] == woken
        assert {"not-here": 2, "malformed": 1, "woken": 1} == waking.counters


async def test_who_stopped_listening_sleeps_on(autojump_clock: trio.testing.MockClock) -> None:
    """Stopping twice does nothing."""
    async with _asleep("") as (waking, woken, send):
        waking.stop(MAC)
        waking.stop(MAC)
        send(write_magic_packet(MAC), "devices")
        await wait_all_tasks_blocked()

        assert [] == woken
