# SPDX-License-Identifier: Apache-2.0
"""How late the event loop is: what every connection feels when something computes for too long."""

from __future__ import annotations

import trio

from umslab_runtime.latencies import Latencies

EVERY_SECONDS = 0.01


class LagProbe:
    """Sleeps a little again and again and keeps how late it woke; keep `run` running.

    On the real clock a wake-up is up to a millisecond late by itself: the kernel's timer has no finer steps.
    """

    def __init__(self, every: float = EVERY_SECONDS) -> None:
        """`every` is the length of a sleep in seconds."""
        self._every = every
        self.late = Latencies()

    async def run(self) -> None:
        """Measure for ever."""
        while True:
            due = trio.current_time() + self._every
            await trio.sleep_until(due)
            self.late.record(trio.current_time() - due)
