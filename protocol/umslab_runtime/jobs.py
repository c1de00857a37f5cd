# SPDX-License-Identifier: Apache-2.0
"""Short-lived tasks that belong to somebody: started without waiting, ended together.

An owner without jobs costs an empty dictionary: no nursery and no cancel scope for each of ten thousand idle devices.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from umslab_runtime.defects import guarded

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from umslab_runtime.defects import OnDefect


class Jobs:
    """The jobs of one owner, by name; a name has at most one job."""

    __slots__ = ("_nursery", "_on_defect", "_running")

    def __init__(self, nursery: trio.Nursery, on_defect: OnDefect | None = None) -> None:
        """`nursery` must outlive the owner; an error that leaves a job goes to `on_defect`, or ends the nursery."""
        self._nursery = nursery
        self._on_defect = on_defect
        self._running: dict[str, _Job] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._running

    def start(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Start a job; does nothing when one of this name is running."""
        if name not in self._running:
            job = self._running[name] = _Job(work)
            self._nursery.start_soon(self._run, name, job)

    async def stop(self, name: str) -> None:
        """Cancel the job of this name, if there is one, and wait until it is over; also when cancelled itself."""
        job = self._running.get(name)
        if job is not None:
            job.scope.cancel()
            with trio.CancelScope(shield=True):
                await job.over.wait()

    async def stop_all(self) -> None:
        """Cancel every job and wait until all are over."""
        for job in self._running.values():
            job.scope.cancel()
        for name in list(self._running):
            await self.stop(name)

    async def _run(self, name: str, job: _Job) -> None:
        try:
            with job.scope:
                await guarded(job.work, self._on_defect)
        finally:
            del self._running[name]
            job.over.set()


class _Job:
    __slots__ = ("over", "scope", "work")

    def __init__(self, work: Callable[[], Awaitable[None]]) -> None:
        self.work = work
        self.scope = trio.CancelScope()
        self.over = trio.Event()
