# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_runtime.session_host."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from umslab_runtime.clock import SystemClock
from umslab_runtime.session_host import open_session_host

from .carriers import MemoryCarrier, tls_pair
from .sessions import server_machine, text

if TYPE_CHECKING:
    from trio.testing import MockClock

    from .pki import Pki


async def test_host_wakes_its_sessions(pki: Pki, autojump_clock: MockClock) -> None:
    """The pumps of a host share its clock and its timers, which run for as long as it is open."""
    contexts = pki.server_context(), pki.client_context()
    clock = SystemClock()
    async with tls_pair(MemoryCarrier(), *contexts) as (client, stream):
        async with open_session_host(clock, write_seconds=5) as host:
            pump = host.pump(server_machine(), stream)
            host.timers.watch(pump)
            await trio.sleep(60)  # no hello came: the machine said goodbye

            assert clock is host.clock
            assert not pump.is_open
        assert await client.receive_some()


async def test_leaving_cancels_what_was_to_be_sent(pki: Pki) -> None:
    """A host that is left does not wait for slow peers."""
    contexts = pki.server_context(), pki.client_context()
    async with tls_pair(MemoryCarrier(), *contexts) as (_, stream):
        async with open_session_host(SystemClock(), write_seconds=3_600) as host:
            pump = host.pump(server_machine(), stream)
            while not pump._backlog:
                pump.send(text("x" * 2_000))
            await wait_all_tasks_blocked()

        assert pump._backlog


async def test_error_inside_ends_the_host() -> None:
    """An error in the block comes out, and no task is left."""
    before = trio.lowlevel.current_statistics().tasks_living

    with pytest.RaisesGroup(LookupError):
        async with open_session_host(SystemClock(), write_seconds=1):
            raise LookupError
    assert before == trio.lowlevel.current_statistics().tasks_living
