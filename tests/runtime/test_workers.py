# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_runtime.workers."""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
import structlog
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from umslab_runtime.clock import VirtualClock
from umslab_runtime.mailbox import Reply
from umslab_runtime.pulse import Pulse
from umslab_runtime.workers import (
    LOOK_AGAIN_SECONDS,
    Places,
    Workers,
    beyond_within,
    get_within,
    sleep,
    until_moment,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


@asynccontextmanager
async def working(workers: Workers) -> AsyncIterator[Workers]:
    """Workers that work."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(workers.run)
        await wait_all_tasks_blocked()
        yield workers
        nursery.cancel_scope.cancel()


class Bench:
    """Jobs that take ten seconds, and who did them when."""

    def __init__(self) -> None:
        self.done: list[tuple[int, float]] = []
        self.most = 0
        self._now = 0

    def job(self, number: int) -> Callable[[], Awaitable[None]]:
        """A job with a number."""

        async def work() -> None:
            self._now += 1
            self.most = max(self.most, self._now)
            await trio.sleep(10)
            self._now -= 1
            self.done.append((number, trio.current_time()))

        return work


async def test_no_more_than_allowed(autojump_clock: MockClock) -> None:
    """Fifty at a time, in the order of submission; afterwards nobody is busy."""
    bench, workers = Bench(), Workers(50)
    async with working(workers):
        assert all(workers.submit(bench.job(number)) for number in range(120))
        assert (workers.busy, workers.waiting) == (50, 70)
        await trio.sleep(31)

        assert bench.most == 50
        assert [time for _, time in bench.done] == [10.0] * 50 + [20.0] * 50 + [30.0] * 20
        assert sorted(number for number, _ in bench.done[:50]) == list(range(50))
        assert (workers.busy, workers.waiting) == (0, 0)


async def test_idle_costs_no_task() -> None:
    """When there is nothing to do there is one task that waits, however many threads there may be."""
    workers = Workers(50)
    async with working(workers):
        idle = trio.lowlevel.current_statistics().tasks_living
        for _ in range(100):
            workers.submit(trio.lowlevel.checkpoint)
        busy = trio.lowlevel.current_statistics().tasks_living
        await wait_all_tasks_blocked()

        assert busy == idle + 50
        assert trio.lowlevel.current_statistics().tasks_living == idle


@pytest.mark.parametrize(("queue", "accepted"), [(0, 2), (3, 5), (None, 9)])
async def test_full_queue_rejects(autojump_clock: MockClock, queue: int | None, accepted: int) -> None:
    """Section 9: a limited queue rejects the surplus, also before the work begins; accepted jobs are kept anyway."""
    for started in (True, False):
        bench, workers = Bench(), Workers(2, queue)
        if started:
            async with working(workers):
                taken = [workers.submit(bench.job(number)) for number in range(9)]
                assert workers.submit(bench.job(99), always=True)
                await trio.sleep(100)
        else:
            taken = [workers.submit(bench.job(number)) for number in range(9)]
            assert workers.submit(bench.job(99), always=True)
            async with working(workers):
                await trio.sleep(100)

        assert [True] * accepted + [False] * (9 - accepted) == taken
        assert len(bench.done) == accepted + 1
        assert bench.most == 2


async def test_defect_ends_one_job() -> None:
    """A job that breaks is logged; the others go on, and its thread is free again."""
    done: list[int] = []

    async def break_down() -> None:
        await trio.lowlevel.checkpoint()
        raise ZeroDivisionError

    async def work() -> None:
        await trio.lowlevel.checkpoint()
        done.append(1)

    workers = Workers(1)
    with structlog.testing.capture_logs() as logs:
        async with working(workers):
            for job in (break_down, work, break_down, work):
                workers.submit(job)
            workers.beside(break_down)
            await wait_all_tasks_blocked()

            assert (2, 0) == (len(done), workers.busy)
    assert [entry["event"] for entry in logs] == ["defect: a job ended by an error of ours"] * 3


async def test_beside_takes_no_turn(autojump_clock: MockClock) -> None:
    """What only hands out jobs runs at once, whoever is busy; also when it was given before the start."""
    bench, workers, times = Bench(), Workers(1), []

    async def hand_out() -> None:
        await trio.lowlevel.checkpoint()
        times.append(trio.current_time())

    workers.beside(hand_out)
    workers.submit(bench.job(1))
    async with working(workers):
        workers.beside(hand_out)
        await trio.sleep(1)

        assert [0.0, 0.0] == times
        assert workers.busy == 1


async def test_places(autojump_clock: MockClock) -> None:
    """As many as there are places go on; the next waits for one to be given back."""
    places, came = Places(2), []

    async def come() -> None:
        await places.take()
        came.append(trio.current_time())

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(come)
        await trio.sleep(5)
        assert [0.0, 0.0] == came
        places.free()

    assert came[2] == 5.0


async def test_get_within(autojump_clock: MockClock) -> None:
    """The answer, its error, or that there was none in time."""
    early: Reply[str] = Reply()
    early.put("yes")
    broken: Reply[str] = Reply()
    broken.fail(LookupError("gone"))

    assert await get_within(early, 5) == "yes"
    with pytest.raises(LookupError):
        await get_within(broken, 5)
    with pytest.raises(TimeoutError):
        await get_within(Reply[str](), 5)
    with pytest.raises(TimeoutError):
        await get_within(Reply[str](), -5)
    assert trio.current_time() == 5.0


async def test_beyond_within(autojump_clock: MockClock) -> None:
    """Tells whether the pulse came in time; None waits as long as it takes."""
    pulse = Pulse(3)

    async def beat() -> None:
        await sleep(10)
        pulse.advance(4)

    assert await beyond_within(pulse, 2, 0.0)
    assert not await beyond_within(pulse, 3, 5)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(beat)
        assert await beyond_within(pulse, 3, None)
    assert trio.current_time() == 15.0


async def test_until_moment(autojump_clock: MockClock) -> None:
    """A date or a pulse."""
    clock, pulse = VirtualClock(EPOCH), Pulse()
    times: list[float] = []

    async def wait(moment: datetime | None) -> None:
        await until_moment(clock, moment, pulse, pulse.value)
        times.append(trio.current_time())

    await wait(EPOCH + timedelta(seconds=30))
    await wait(EPOCH - timedelta(days=1))
    await wait(EPOCH + timedelta(days=1))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait, None)
        nursery.start_soon(wait, EPOCH + timedelta(days=2))
        await trio.sleep(1)
        pulse.advance(1)
    pulse.advance(2)
    await until_moment(clock, EPOCH + timedelta(days=9), pulse, 1)

    assert [30.0, 30.0, 86_400.0, 86_401.0, 86_401.0] == times
    assert trio.current_time() == 86_401.0


async def test_calendar_is_set(autojump_clock: MockClock) -> None:
    """When the calendar is set forward, a date that has come is noticed at the next look."""
    clock, pulse = VirtualClock(EPOCH), Pulse()

    async def set_forward() -> None:
        await trio.sleep(10)
        clock._start += timedelta(days=30)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(set_forward)
        await until_moment(clock, EPOCH + timedelta(days=30), pulse, 0)

    assert LOOK_AGAIN_SECONDS == trio.current_time()
