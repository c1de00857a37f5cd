# SPDX-License-Identifier: Apache-2.0
"""Time as an argument: monotonic seconds for durations, UTC for dates, kept apart.

The monotonic time is Trio's clock, so that `trio.testing.MockClock` makes both virtual.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import UTC, datetime, timedelta

import trio


class Clock(ABC):
    """Tells the time, both kinds."""

    def monotonic(self) -> float:
        """Seconds on a clock that only runs forward; its zero means nothing."""
        return trio.current_time()

    async def sleep(self, seconds: float) -> None:
        """Wait so long by the monotonic clock."""
        await trio.sleep(seconds)

    @abstractmethod
    def utc(self) -> datetime:
        """The calendar: an aware datetime in UTC."""


class SystemClock(Clock):
    """The machine's own calendar."""

    def utc(self) -> datetime:
        """The machine's date and time."""
        return datetime.now(UTC)


class VirtualClock(Clock):
    """A calendar that starts at a given moment and runs with Trio's (mock) clock."""

    def __init__(self, start: datetime, *, skew: timedelta = timedelta()) -> None:
        """`skew` is how far this clock is ahead of the right one: a device whose battery died has another."""
        self._start = start + skew

    def utc(self) -> datetime:
        """The start plus the virtual seconds since Trio's clock was 0."""
        return self._start + timedelta(seconds=trio.current_time())


class SkewedClock(Clock):
    """A calendar that goes wrong by so much: ahead of the right one, or behind it."""

    def __init__(self, right: Clock, skew: timedelta) -> None:
        self._right = right
        self._skew = skew

    def utc(self) -> datetime:
        """What the right clock says, and the skew."""
        return self._right.utc() + self._skew
