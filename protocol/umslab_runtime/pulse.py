# SPDX-License-Identifier: Apache-2.0
"""A number that only grows, and tasks that wait for it: the heartbeat of feeds."""

from __future__ import annotations

import trio


class Pulse:
    """Holds the newest number of a feed."""

    def __init__(self, value: int = 0) -> None:
        self._value = value
        self._beat = trio.Event()

    @property
    def value(self) -> int:
        """The newest number."""
        return self._value

    def advance(self, value: int) -> None:
        """Set a newer number and wake everybody; an older one is ignored."""
        if value > self._value:
            self._value = value
            self._beat.set()
            self._beat = trio.Event()

    async def beyond(self, seen: int) -> int:
        """Wait until the number is greater than `seen`; return it."""
        await trio.lowlevel.checkpoint()
        while self._value <= seen:
            await self._beat.wait()
        return self._value
