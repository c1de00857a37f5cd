# SPDX-License-Identifier: Apache-2.0
"""Durations counted in buckets: bounded memory however many come, and percentiles at most a ninth too high."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from itertools import accumulate

_STEPS = (
    1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.65, 1.8, 2.0, 2.2, 2.4, 2.5, 2.7, 3.0, 3.3, 3.6, 3.9, 4.2, 4.6, 5.0, 5.5, 6.0,
    6.5, 7.0, 7.5, 8.2, 9.0,
)  # fmt: skip
BOUNDS = tuple(round(step * 10.0**power, 9) for power in range(-5, 2) for step in _STEPS)
"""Upper edges of the buckets in seconds, 10 us to 90 s, edges included; one more bucket takes what is longer."""

TOLD = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Edges of the buckets that metrics tell, of those above."""


class Latencies:
    """A histogram of durations in seconds."""

    __slots__ = ("_counts", "count", "longest", "total")

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._counts = array("Q", bytes(8 * (len(BOUNDS) + 1)))
        self.count = 0
        self.total = 0.0
        """Seconds, all durations added up."""
        self.longest = 0.0

    def record(self, seconds: float) -> None:
        """Count one duration; a negative one counts as none at all."""
        seconds = max(0.0, seconds)
        self._counts[bisect_left(BOUNDS, seconds)] += 1
        self.count += 1
        self.total += seconds
        self.longest = max(self.longest, seconds)

    def percentile(self, percent: float) -> float:
        """Seconds that this share of the durations (0-100) did not exceed; 0 before there is one."""
        wanted = self.count * percent / 100
        for bound, so_far in zip(BOUNDS, accumulate(self._counts), strict=False):
            if so_far and so_far >= wanted:
                return min(bound, self.longest)
        return self.longest

    def within(self, bound: float) -> int:
        """How many were at most so long; `bound` is one of `BOUNDS`."""
        return sum(self._counts[: BOUNDS.index(bound) + 1])
