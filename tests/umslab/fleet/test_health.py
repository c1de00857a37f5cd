# SPDX-License-Identifier: Apache-2.0
"""The generator looks at itself: twice a second, and its event loop's lag is how late it comes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import trio

from umslab.fleet.health import PERIOD, open_descriptors, resident_bytes, watch_health
from umslab_agent.fleet.recorder import Recorder

if TYPE_CHECKING:
    from trio.testing import MockClock


async def test_it_looks_regularly(autojump_clock: MockClock) -> None:
    """Every half second, never late in virtual time, with memory and descriptors of this process."""
    recorder = Recorder(devices=0, start=trio.current_time())
    with trio.move_on_after(10 * PERIOD + 0.1):
        await watch_health(recorder)
    (generator,) = recorder.measured.generators

    assert 10 == generator.samples
    assert 0.001 > generator.lag.maximum
    assert max(generator.memory.bins) > 1024 * 1024


async def test_a_blocked_loop_is_seen(mock_clock: MockClock) -> None:
    """What keeps the loop for three seconds is three seconds of lag."""
    recorder = Recorder(devices=0, start=trio.current_time())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch_health, recorder)
        await trio.testing.wait_all_tasks_blocked()
        mock_clock.jump(PERIOD + 3)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    (generator,) = recorder.measured.generators

    assert 3 == round(generator.lag.maximum)


def test_memory_and_descriptors() -> None:
    """One more descriptor is one more, where the kernel counts them."""
    before = open_descriptors()
    descriptor = os.open("/dev/null", os.O_RDONLY)
    after = open_descriptors()
    os.close(descriptor)

    assert after - before in {0, 1}
    assert resident_bytes() > 1024 * 1024
