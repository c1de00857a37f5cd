# SPDX-License-Identifier: Apache-2.0
"""Bounded concurrency and waits for services, which do not import the event loop themselves.

`Workers` does many small jobs, a bounded number at a time. A job that is submitted gets a task when one is free and
waits in a queue otherwise; a task takes one job after the other and ends when the queue is empty, so that nothing is
there while there is nothing to do.
"""

from __future__ import annotations

from collections import deque
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import structlog
import trio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from umslab_runtime.clock import Clock
    from umslab_runtime.mailbox import Reply
    from umslab_runtime.pulse import Pulse

T = TypeVar("T")
Job: TypeAlias = "Callable[[], Awaitable[None]]"

LOOK_AGAIN_SECONDS = 1800.0
"""A calendar may be set; who waits for a moment looks at it again so often."""

log = structlog.get_logger(__name__)


class Workers:
    """Does jobs, at most `threads` at a time, with at most `queue` that wait (None: any number)."""

    def __init__(self, threads: int, queue: int | None = None) -> None:
        self._threads = threads
        self._queue = queue
        self._busy = 0
        self._waiting: deque[Job] = deque()
        self._beside: list[Job] = []
        self._nursery: trio.Nursery | None = None

    @property
    def busy(self) -> int:
        """Jobs under way."""
        return self._busy

    @property
    def waiting(self) -> int:
        """Jobs in the queue."""
        return len(self._waiting)

    def submit(self, job: Job, *, always: bool = False) -> bool:
        """Do a job when it is its turn; False: rejected, because the queue is full.

        `always` is for jobs that were accepted before: they wait even when the queue is full.
        """
        free = self._threads - self._busy
        if self._nursery is not None and free > 0:
            self._busy += 1
            self._nursery.start_soon(self._work, job)
            return True
        if not always and self._queue is not None and len(self._waiting) >= self._queue + free:
            return False
        self._waiting.append(job)
        return True

    def beside(self, job: Job) -> None:
        """Run a job that only waits and hands out others: it takes nobody's turn."""
        if self._nursery is None:
            self._beside.append(job)
        else:
            self._nursery.start_soon(_guarded, job)

    async def run(self) -> None:
        """Work for ever; what was submitted before begins now."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            try:
                for job in self._beside:
                    nursery.start_soon(_guarded, job)
                self._beside.clear()
                while self._waiting and self._busy < self._threads:
                    self._busy += 1
                    nursery.start_soon(self._work, self._waiting.popleft())
                await trio.sleep_forever()
            finally:
                self._nursery = None

    async def _work(self, job: Job) -> None:
        try:
            await _guarded(job)
            while self._waiting:
                await _guarded(self._waiting.popleft())
        finally:
            self._busy -= 1


async def _guarded(job: Job) -> None:
    """Do a job; a defect ends this one and no other."""
    await trio.lowlevel.checkpoint()
    try:
        await job()
    except Exception:
        log.exception("defect: a job ended by an error of ours")


class Places:
    """A number of places; who wants one waits until one is free."""

    def __init__(self, number: int) -> None:
        self._semaphore = trio.Semaphore(number)

    async def take(self) -> None:
        """Wait for a place and take it."""
        await self._semaphore.acquire()

    def free(self) -> None:
        """Give a place back; anybody may, and it need not be who took it."""
        self._semaphore.release()


async def get_within(reply: Reply[T], seconds: float) -> T:
    """Wait for an answer; raises `TimeoutError` when there is none in time, and what the answer raises."""
    with trio.move_on_after(max(0.0, seconds)):
        return await reply.get()
    raise TimeoutError


async def beyond_within(pulse: Pulse, seen: int, seconds: float | None) -> bool:
    """Wait until a pulse is beyond `seen`; False when that does not happen in time."""
    with trio.move_on_after(float("inf") if seconds is None else max(0.0, seconds)):
        await pulse.beyond(seen)
    return pulse.value > seen


async def sleep(seconds: float) -> None:
    """Wait."""
    await trio.sleep(seconds)


async def until_moment(clock: Clock, moment: datetime | None, pulse: Pulse, seen: int) -> None:
    """Wait for a date (None: for no date), or until a pulse is beyond `seen`, whichever comes first."""
    if moment is None:
        await pulse.beyond(seen)
        return
    while pulse.value <= seen:
        left = (moment - clock.utc()) / timedelta(seconds=1)
        with trio.move_on_after(min(max(0.0, left), LOOK_AGAIN_SECONDS)):
            await pulse.beyond(seen)
        if left <= LOOK_AGAIN_SECONDS:
            return
