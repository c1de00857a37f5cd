# SPDX-License-Identifier: Apache-2.0
"""Jobs run beside their owner and end when it says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from umslab_runtime.jobs import Jobs

if TYPE_CHECKING:
    from trio.testing import MockClock


class _Log:
    def __init__(self) -> None:
        self.entries: list[str] = []

    async def work(self) -> None:
        self.entries.append("begun")
        try:
            await trio.sleep(10)
            self.entries.append("done")
        finally:
            self.entries.append("over")


async def test_a_job_runs_to_its_end(autojump_clock: MockClock) -> None:
    """Nobody waits for it, and afterwards its name is free again."""
    log = _Log()
    async with trio.open_nursery() as nursery:
        jobs = Jobs(nursery)
        jobs.start("one", log.work)
        assert "one" in jobs

    assert ["begun", "done", "over"] == log.entries
    assert "one" not in jobs


async def test_a_name_has_one_job(autojump_clock: MockClock) -> None:
    """A second start while it runs does nothing."""
    log = _Log()
    async with trio.open_nursery() as nursery:
        jobs = Jobs(nursery)
        jobs.start("one", log.work)
        jobs.start("one", log.work)

    assert 1 == log.entries.count("begun")


async def test_stop_waits_for_the_end(autojump_clock: MockClock) -> None:
    """After `stop` nothing of the job runs any more; stopping nothing is fine."""
    log = _Log()
    async with trio.open_nursery() as nursery:
        jobs = Jobs(nursery)
        jobs.start("one", log.work)
        await trio.sleep(1)
        await jobs.stop("one")
        await jobs.stop("another")

        assert ["begun", "over"] == log.entries
        assert 1 == trio.current_time()


async def test_stop_all_also_when_cancelled(autojump_clock: MockClock) -> None:
    """An owner that is being cancelled still sees its jobs end."""
    first, second = _Log(), _Log()
    async with trio.open_nursery() as nursery:
        jobs = Jobs(nursery)
        jobs.start("one", first.work)
        jobs.start("two", second.work)
        await trio.sleep(1)
        with trio.CancelScope() as scope:
            scope.cancel()
            await jobs.stop_all()

        assert ["begun", "over"] == first.entries == second.entries
