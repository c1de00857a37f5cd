# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_runtime.timers, in virtual time."""

from __future__ import annotations

import gc
import math
import weakref
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio

from umslab_runtime.clock import SystemClock
from umslab_runtime.timers import Timers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trio.testing import MockClock


class Sleeper:
    """Notes when it was woken; then sleeps `every` seconds more, or for ever."""

    def __init__(self, deadline: float | None, every: float | None = None) -> None:
        self.at = deadline
        self._every = every
        self.woken: list[float] = []

    def deadline(self) -> float | None:
        """When to be woken."""
        return self.at

    def wake(self) -> None:
        """Note the time."""
        assert self.at is not None
        self.woken.append(trio.current_time())
        self.at = None if self._every is None else self.at + self._every


@asynccontextmanager
async def running() -> AsyncIterator[Timers]:
    """Timers at work."""
    timers = Timers(SystemClock())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(timers.run)
        yield timers
        nursery.cancel_scope.cancel()


async def test_wakes_in_order(autojump_clock: MockClock) -> None:
    """Each sleeper is woken once, when its time has come, in whatever order they were watched."""
    sleepers = [Sleeper(at) for at in (5.0, 1.0, 3.0, None)]
    async with running() as timers:
        for sleeper in sleepers:
            timers.watch(sleeper)
        await trio.sleep(10)

    assert [[5.0], [1.0], [3.0], []] == [sleeper.woken for sleeper in sleepers]


async def test_past_deadline_is_woken_at_once(autojump_clock: MockClock) -> None:
    """A deadline that has passed already is due now."""
    await trio.sleep(100)
    sleeper = Sleeper(1.0)
    async with running() as timers:
        timers.watch(sleeper)
        await trio.sleep(1)

    assert [100.0] == sleeper.woken


async def test_goes_on_from_deadline_to_deadline(autojump_clock: MockClock) -> None:
    """A sleeper with a new deadline after each waking needs no further call."""
    sleeper = Sleeper(1.0, every=2.0)
    async with running() as timers:
        timers.watch(sleeper)
        await trio.sleep(6)

    assert [1.0, 3.0, 5.0] == sleeper.woken


async def test_deadline_moved_back_is_noticed(autojump_clock: MockClock) -> None:
    """A deadline that moved back without a call wakes at its new time, not at the old one."""
    sleeper = Sleeper(1.0)
    async with running() as timers:
        timers.watch(sleeper)
        sleeper.at = 7.0
        timers.watch(sleeper)
        await trio.sleep(10)

    assert [7.0] == sleeper.woken


async def test_deadline_taken_away_is_noticed(autojump_clock: MockClock) -> None:
    """A sleeper that wants nothing any more is not woken."""
    sleeper = Sleeper(1.0)
    async with running() as timers:
        timers.watch(sleeper)
        sleeper.at = None
        await trio.sleep(10)

    assert [] == sleeper.woken


async def test_deadline_brought_forward_needs_a_call(autojump_clock: MockClock) -> None:
    """Watching again brings the waking forward, and it still comes once."""
    sleeper = Sleeper(5.0)
    async with running() as timers:
        timers.watch(sleeper)
        await trio.sleep(1)
        sleeper.at = 2.0
        timers.watch(sleeper)
        await trio.sleep(10)

    assert [2.0] == sleeper.woken


async def test_forgotten_sleeper_sleeps_on(autojump_clock: MockClock) -> None:
    """Who was forgotten is not woken; forgetting a stranger does nothing."""
    sleeper = Sleeper(1.0)
    async with running() as timers:
        timers.watch(sleeper)
        timers.forget(sleeper)
        timers.forget(sleeper)
        await trio.sleep(10)

    assert [] == sleeper.woken


async def test_nothing_is_kept_of_a_forgotten_sleeper() -> None:
    """Forgetting lets go of the sleeper at once, long before its deadline."""
    timers = Timers(SystemClock())
    sleeper = Sleeper(math.inf)
    timers.watch(sleeper)
    kept = weakref.ref(sleeper)
    timers.forget(sleeper)
    del sleeper
    gc.collect()

    assert kept() is None


async def test_storms_leave_no_heap_behind() -> None:
    """Sessions that come and go by the thousand leave no more than a few entries, and the living keep theirs."""
    timers = Timers(SystemClock())
    staying = [Sleeper(1000.0 + index) for index in range(10)]
    for sleeper in staying:
        timers.watch(sleeper)
    for index in range(10_000):
        passing = Sleeper(500.0 + index)
        timers.watch(passing)
        timers.forget(passing)

    assert 100 > len(timers._heap)
    assert staying == [entry.sleeper for entry in sorted(timers._heap) if entry.sleeper is not None]


async def test_thousand_sleepers_share_one_task(autojump_clock: MockClock) -> None:
    """A thousand deadlines take one task, and all are kept in time."""
    sleepers = [Sleeper(1.0 + index % 7, every=7.0) for index in range(1_000)]
    async with running() as timers:
        before = trio.lowlevel.current_statistics().tasks_living
        for sleeper in sleepers:
            timers.watch(sleeper)
        await trio.sleep(14.5)
        after = trio.lowlevel.current_statistics().tasks_living

    assert before == after
    assert [[1.0 + index % 7, 8.0 + index % 7] for index in range(1_000)] == [sleeper.woken for sleeper in sleepers]


async def test_equal_deadlines_keep_their_order(autojump_clock: MockClock) -> None:
    """Sleepers with one deadline are woken in the order in which they were watched."""
    order: list[int] = []

    class Numbered(Sleeper):
        def __init__(self, number: int) -> None:
            super().__init__(1.0)
            self.number = number

        def wake(self) -> None:
            super().wake()
            order.append(self.number)

    sleepers = [Numbered(number) for number in range(20)]
    async with running() as timers:
        for sleeper in sleepers:
            timers.watch(sleeper)
        await trio.sleep(2)

    assert list(range(20)) == order
