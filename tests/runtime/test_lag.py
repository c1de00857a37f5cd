# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_runtime.lag, on a clock that the test moves."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from umslab_runtime.lag import LagProbe


async def test_how_late_it_wakes(mock_clock: MockClock) -> None:
    """A loop that was busy for 60 ms is 50 ms late for a sleep of 10 ms; one that was idle is not late."""
    probe = LagProbe(0.01)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(probe.run)
        await wait_all_tasks_blocked()
        for seconds in (0.01, 0.06, 0.01):
            mock_clock.jump(seconds)
            await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()

    assert 3 == probe.late.count
    assert pytest.approx(0.05) == probe.late.longest
    assert 2 == probe.late.within(0.001)


async def test_it_goes_on_in_virtual_time(autojump_clock: MockClock) -> None:
    """A hundred times a second, never late where nothing takes time."""
    probe = LagProbe()
    with trio.move_on_after(10.005):
        await probe.run()

    assert (1000, 0.0) == (probe.late.count, probe.late.longest)
