# SPDX-License-Identifier: Apache-2.0
"""The place where sessions live: one nursery for their helpers, one set of timers."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio

from umslab_runtime.jobs import Jobs
from umslab_runtime.pump import SessionPump
from umslab_runtime.timers import Timers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from umslab_protocol.machines.session import SessionMachine
    from umslab_runtime.clock import Clock
    from umslab_runtime.defects import OnDefect
    from umslab_runtime.streams import Stream
    from umslab_runtime.timers import Wakeable


class SessionHost:
    """Makes pumps; get one from `open_session_host`."""

    __slots__ = ("_nursery", "_on_defect", "_write_seconds", "clock", "timers")

    def __init__(
        self,
        clock: Clock,
        timers: Timers,
        nursery: trio.Nursery,
        write_seconds: float,
        on_defect: OnDefect | None = None,
    ) -> None:
        self.clock = clock
        self.timers = timers
        self._nursery = nursery
        self._write_seconds = write_seconds
        self._on_defect = on_defect

    def owned(self, on_defect: OnDefect) -> SessionHost:
        """Return the host for one of its owners, who alone is told when what runs for it here raises."""
        return SessionHost(self.clock, self.timers, self._nursery, self._write_seconds, on_defect)

    def pump(self, machine: SessionMachine, stream: Stream) -> SessionPump:
        """Return the pump that will carry this machine on this stream."""
        return SessionPump(
            machine,
            stream,
            clock=self.clock,
            timers=self.timers,
            nursery=self._nursery,
            write_seconds=self._write_seconds,
            on_defect=self._on_defect,
        )

    def watch(self, sleeper: Wakeable) -> None:
        """Wake this one at its deadline; see `Timers.watch`."""
        self.timers.watch(sleeper, self._on_defect)

    def jobs(self) -> Jobs:
        """Return an empty set of short-lived tasks; they end with the host at the latest."""
        return Jobs(self._nursery, self._on_defect)


@asynccontextmanager
async def open_session_host(clock: Clock, *, write_seconds: float) -> AsyncIterator[SessionHost]:
    """Open a host; leaving the block cancels what its sessions still had to send."""
    async with trio.open_nursery() as nursery:
        timers = Timers(clock)
        nursery.start_soon(timers.run)
        yield SessionHost(clock, timers, nursery, write_seconds)
        nursery.cancel_scope.cancel()
