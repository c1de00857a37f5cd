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
