# SPDX-License-Identifier: Apache-2.0
"""When the devices of a plan arrive while somebody steers: as planned, later by every pause, or at another rate.

Pure: every moment is an argument, seconds of one monotonic clock. What this says is what a device's latency counts
from: a pause that a person asked for is no lateness of the generator.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class Pacing:
    """The moments of arrivals, of which the first `arrived` are over."""

    def __init__(self, planned: Sequence[float], start: float) -> None:
        """`planned` are seconds from `start`, in order."""
        self.arrived = 0
        """How many devices have arrived; whoever lets them arrive counts."""
        self.paused_since: float | None = None
        self._due = [start + at for at in planned]

    @property
    def next_due(self) -> float | None:
        """When the next device arrives; None while arrivals are paused, and when there is none left."""
        if self.paused_since is not None or self.arrived == len(self._due):
            return None
        return self._due[self.arrived]

    @property
    def last_due(self) -> float | None:
        """When the last device arrives; None while arrivals are paused, and without a device."""
        return self._due[-1] if self._due and self.paused_since is None else None

    @property
    def left(self) -> int:
        """How many are to arrive yet."""
        return len(self._due) - self.arrived

    def due(self, position: int) -> float:
        """When the device at this position of the plan arrives, or did, pauses up to now included."""
        return self._due[position]

    def due_by(self, now: float) -> int:
        """How many were to have arrived by now."""
        return bisect_right(self._due, now if self.paused_since is None else min(now, self.paused_since))

    def pause(self, now: float) -> bool:
        """No device arrives from now on; tells whether that is new."""
        if self.paused_since is not None:
            return False
        self.paused_since = now
        return True

    def resume(self, now: float) -> bool:
        """Go on, everything later by the pause; tells whether there was one."""
        if self.paused_since is None:
            return False
        pause, self.paused_since = now - self.paused_since, None
        self._due[self.arrived :] = [at + pause for at in self._due[self.arrived :]]
        return True

    def set_rate(self, per_second: float, now: float, after: float = 0.0) -> None:
        """Those who are to arrive yet do so evenly, so many a second.

        The first of them does `after` seconds from now, or from the end of a pause.
        """
        begin = after + (now if self.paused_since is None else self.paused_since)
        self._due[self.arrived :] = [begin + position / per_second for position in range(self.left)]
