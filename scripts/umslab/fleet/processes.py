# SPDX-License-Identifier: Apache-2.0
"""Runs the shards of a fleet: one in this process, several in processes of their own that start at one moment."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec
import trio

from umslab.fleet.glance import together
from umslab.fleet.job import Job, Told
from umslab.fleet.recording import make_report
from umslab.fleet.shard import Shard
from umslab.fleet.steering import steered
from umslab_agent.fleet.merging import merge_measured
from umslab_agent.fleet.report import RunReport, decode_report

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from umslab_agent.fleet.plan import Plan

START_SECONDS = 0.3
"""From the moment at which the last process is ready until all begin."""


class WorkerError(Exception):
    """A process of the fleet could not run; the message says why."""


async def run_here(
    job: Job,
    tell: Callable[[Told], None],
    *,
    moment: Callable[[], Awaitable[float]] | None = None,
    control: str = "",
) -> RunReport:
    """Run one shard in this process; `moment`, asked when it is ready, tells when to begin on the monotonic clock.

    In the folder `control`, if there is one, it can be asked and steered meanwhile.

    Raises `FleetStateError`, and `ValueError` for an owned host without an address.
    """
    shard = Shard(job, tell)
    async with steered(control, shard.steer), trio.open_nursery() as nursery:
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


async def run_in_processes(plan: Plan, jobs: list[Job], tell: Callable[[Told], None]) -> RunReport:
    """Run each job in a process of its own and merge what they measured. Raises `WorkerError`."""
    crowd = _Crowd(tell)
    crowd.workers = workers = [_Worker(job, crowd) for job in jobs]
    async with trio.open_nursery() as nursery:
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
    return make_report(
        plan,
        merge_measured([report.measured for report in reports]),
        backend=jobs[0].backend,
        started=started,
        notes=[note for report in reports for note in report.notes],
        interrupted=any(shard.interrupted for report in reports for shard in report.shards),
        processes=len(jobs),
    )


class _Crowd:
    """The workers together: what they tell, added up."""

    def __init__(self, tell: Callable[[Told], None]) -> None:
        self.workers: list[_Worker] = []
        self._tell = tell
        self._said: set[str] = set()

    def stop(self) -> None:
        for worker in self.workers:
            worker.stop()

    def told(self, told: Told) -> None:
        """Pass sentences on, each once; add levels up when the slowest has told its own."""
        if told.say and told.say not in self._said:
            self._said.add(told.say)
            self._tell(Told(say=told.say))
        latest = [worker.latest for worker in self.workers]
        if told.levels is not None and all(one is not None for one in latest):
            known = [one for one in latest if one is not None]
            levels: Counter[str] = Counter()
            for one in known:
                levels.update(one.levels or {})
            failures = sum(one.failures for one in known)
            glances = [one.glance for one in known if one.glance is not None]
            if self.workers[0].latest is told:
                self._tell(
                    Told(
                        levels=dict(levels),
                        phase=told.phase,
                        failures=failures,
                        seconds=told.seconds,
                        glance=together(glances) if glances else None,
                    )
                )


class _Worker:
    """One process."""

    def __init__(self, job: Job, crowd: _Crowd) -> None:
        self.ready = trio.Event()
        self.report: RunReport | None = None
        self.latest: Told | None = None
        self._job = job
        self._crowd = crowd
        self._process: trio.Process | None = None

    async def start(self) -> None:
        # A session of its own: Ctrl-C reaches this process, which passes it on once.
        self._process = await trio.lowlevel.open_process(
            [sys.executable, "-m", "umslab.fleet.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        await self.say(msgspec.json.encode(self._job))

    async def say(self, line: bytes) -> None:
        assert self._process is not None and self._process.stdin is not None  # noqa: PT018, S101 - it was started
        with contextlib.suppress(trio.BrokenResourceError):  # it has ended; `listen` tells why
            await self._process.stdin.send_all(line + b"\n")

    def stop(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(signal.SIGINT)

    async def listen(self) -> None:
        """Take what it tells, to its end. Raises `WorkerError` when it ends without a report."""
        process = self._process
        assert process is not None and process.stdout is not None  # noqa: PT018, S101 - it was started
        buffer = bytearray()
        try:
            async for data in process.stdout:
                buffer += data
                *lines, rest = buffer.split(b"\n")
                buffer = rest
                for line in lines:
                    self._told(msgspec.json.decode(line, type=Told))
            code = await process.wait()
        finally:
            await end_process(process)
        if self.report is None:
            raise WorkerError(f"a process of the fleet ended with code {code} and without a report")

    def _told(self, told: Told) -> None:
        if told.error:
            raise WorkerError(told.error)
        if told.ready:
            self.ready.set()
        if told.levels is not None:
            self.latest = told
        if told.report:
            self.report = decode_report(bytes(told.report))
        self._crowd.told(told)


async def end_process(process: trio.Process) -> None:
    """See to it that a process is gone."""
    with trio.CancelScope(shield=True):
        if process.returncode is None:
            process.kill()
        await process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                await pipe.aclose()
