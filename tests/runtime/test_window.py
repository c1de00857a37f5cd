# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_runtime.window."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from umslab_runtime.window import Window

if TYPE_CHECKING:
    from trio.testing import MockClock


async def test_waits_while_it_is_full(autojump_clock: MockClock) -> None:
    """The next one may be sent when an answer has come, not before."""
    window = Window(2, patience=10)
    tickets = [window.sent(), window.sent()]

    async def answer() -> None:
        await trio.sleep(3)
        window.answered(tickets[0])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer)
        await window.room()

    assert trio.current_time() >= 3
    assert window.outstanding == 1


async def test_does_not_wait_while_there_is_room(autojump_clock: MockClock) -> None:
    """Nothing is lost when nobody is slow."""
    window = Window(2, patience=10)
    window.sent()
    began = trio.current_time()
    await window.room()

    assert began == trio.current_time()


async def test_the_silent_are_written_off(autojump_clock: MockClock) -> None:
    """Peers that never answer cost the patience once, and their late answers count nothing."""
    window = Window(2, patience=0.5)
    silent = [window.sent(), window.sent()]
    began = trio.current_time()
    await window.room()
    window.sent()
    window.answered(silent[0])

    assert trio.current_time() - began == 0.5
    assert window.outstanding == 1
