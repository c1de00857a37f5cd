# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_runtime.pulse."""

from __future__ import annotations

import trio
from trio.testing import wait_all_tasks_blocked

from umslab_runtime.pulse import Pulse


async def test_only_grows() -> None:
    """An older number is ignored."""
    pulse = Pulse(5)
    pulse.advance(3)
    pulse.advance(5)

    assert pulse.value == 5
    pulse.advance(6)
    assert pulse.value == 6


async def test_known_news_is_told_at_once() -> None:
    """Who has seen less than there is need not wait, but lets others run."""
    pulse = Pulse(5)

    with trio.testing.assert_checkpoints():
        seen = await pulse.beyond(4)

    assert seen == 5


async def test_wakes_everybody_and_loses_no_beat() -> None:
    """Each listener hears the newest number whenever there is one it has not seen."""
    pulse = Pulse()
    heard: dict[str, list[int]] = {"one": [], "two": []}

    async def listen(name: str) -> None:
        seen = 0
        while seen < 4:
            seen = await pulse.beyond(seen)
            heard[name].append(seen)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(listen, "one")
        nursery.start_soon(listen, "two")
        await wait_all_tasks_blocked()
        pulse.advance(1)
        await wait_all_tasks_blocked()
        pulse.advance(2)
        pulse.advance(4)

    assert heard == {"one": [1, 4], "two": [1, 4]}
