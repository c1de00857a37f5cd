# SPDX-License-Identifier: Apache-2.0
"""Runs the shards of a fleet: one in this process, several in processes of their own that start at one moment."""

from __future__ import annotations

import signal
import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import trio

from umslab.fleet.crowd import Crowd, WorkerError
from umslab.fleet.recording import make_report
from umslab.fleet.shard import Shard
from umslab_agent.fleet.merging import merge_measured

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from contextlib import AbstractAsyncContextManager

    from umslab.fleet.job import Job, Told
    from umslab.fleet.steering import Answer
    from umslab_agent.fleet.plan import Plan
    from umslab_agent.fleet.report import RunReport

    AskedBy = Callable[[Answer], AbstractAsyncContextManager[None]]
    """Lets somebody ask a fleet while it runs."""

START_SECONDS = 0.3
"""From the moment at which the last process is ready until all begin."""


@asynccontextmanager
async def unasked(_: Answer) -> AsyncIterator[None]:
    """Let nobody ask."""
    yield


async def run_here(
    job: Job,
    tell: Callable[[Told], None],
    *,
    moment: Callable[[], Awaitable[float]] | None = None,
    asked: AskedBy = unasked,
) -> RunReport:
    """Run one shard in this process; `moment`, asked when it is ready, tells when to begin on the monotonic clock.

    Inside `asked` it can be asked and steered meanwhile.

    Raises `FleetStateError`, and `ValueError` for an owned host without an address.
    """
    shard = Shard(job, tell)
    async with asked(shard.steer), trio.open_nursery() as nursery:
        nursery.start_soon(_on_signal, shard.stop)
        await trio.to_thread.run_sync(shard.prepare)
        if moment is not None:
            await trio.sleep(max(0.0, await moment() - time.monotonic()))
        started = datetime.now(UTC)
        result = await shard.run()
        nursery.cancel_scope.cancel()
    return make_report(
        shard.plan,
        result.measured,
        backend=job.backend,
        started=started,
        notes=result.notes,
        interrupted=result.interrupted,
    )


async def _on_signal(stop: Callable[[], None]) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            stop()


async def run_in_processes(
    plan: Plan, jobs: list[Job], tell: Callable[[Told], None], *, asked: AskedBy = unasked
) -> RunReport:
    """Run each job in a process of its own and merge what they measured; inside `asked` all can be asked together.

    A process that dies on the way takes its devices with it: they are planned, and nothing is known of them. Raises
    `WorkerError` for one that cannot run at all, and when none is left.
    """
    crowd = Crowd(plan, jobs, tell)
    workers = crowd.workers
    async with asked(crowd.answer), trio.open_nursery() as nursery:
        nursery.start_soon(_on_signal, crowd.stop)
        async with trio.open_nursery() as listening:
            for worker in workers:
                await worker.start()
                listening.start_soon(worker.listen)
            for worker in workers:
                await worker.ready.wait()
            started = datetime.now(UTC)
            begin = time.monotonic() + START_SECONDS
            for worker in workers:
                await worker.say(str(begin).encode())
        nursery.cancel_scope.cancel()
    reports = [worker.report for worker in workers if worker.report is not None]
    lost = [worker for worker in workers if worker.lost]
    if not reports:
        raise WorkerError(lost[0].lost)
    measured = merge_measured([report.measured for report in reports])
    measured.devices += sum(worker.devices for worker in lost)
    return make_report(
        plan,
        measured,
        backend=jobs[0].backend,
        started=started,
        notes=[*(worker.lost for worker in lost), *(note for report in reports for note in report.notes)],
        interrupted=bool(lost) or any(shard.interrupted for report in reports for shard in report.shards),
        processes=len(jobs),
    )
