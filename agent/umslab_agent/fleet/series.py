# SPDX-License-Identifier: Apache-2.0
"""Numbers over time, in bins of one width: bounded however long a run is, and merged without loss.

A bin is an eighth of a second wide. When a series would need more than `MOST_BINS`, neighbours become one and the width
doubles. So two series of different widths merge exactly: the finer one is made as coarse as the other.
"""

from __future__ import annotations

from itertools import accumulate, zip_longest
from typing import Annotated

import msgspec
from msgspec import Meta

MOST_BINS = 1024
FINEST = 1 / 8
"""Seconds of the narrowest bin."""
MOST_DOUBLINGS = 40
"""More than four thousand years."""


class Series(msgspec.Struct, forbid_unknown_fields=True):
    """Counts: a bin is the sum of what fell into it."""

    doublings: Annotated[int, Meta(ge=0, le=MOST_DOUBLINGS)] = 0
    bins: Annotated[list[Annotated[int, Meta(ge=-(2**53), le=2**53)]], Meta(max_length=MOST_BINS)] = []

    @property
    def width(self) -> float:
        """Seconds of a bin."""
        return FINEST * (1 << self.doublings)

    def add(self, at: float, count: int = 1) -> None:
        """Count something `at` seconds after the start; what was before the start counts as at the start."""
        bins = self.bins
        index = int(at * 8) >> self.doublings if at > 0 else 0
        if index >= len(bins):
            while index >= MOST_BINS:
                self._widen()
                index >>= 1
            bins = self.bins
            if index >= len(bins):
                bins.extend([0] * (index + 1 - len(bins)))
        bins[index] = self._join(bins[index], count)

    def merge(self, other: Series) -> None:
        """Take all that the other has; both began at the same moment."""
        while self.doublings < other.doublings:
            self._widen()
        more = other.coarser(self.doublings).bins
        self.bins = [self._join(a, b) for a, b in zip_longest(self.bins, more, fillvalue=0)]

    def coarser(self, doublings: int) -> Series:
        """Return a copy whose bins are as wide as this says, or as they are when that is wider."""
        bins = list(self.bins)
        for _ in range(doublings - self.doublings):
            bins = self._halve(bins)
        return type(self)(max(doublings, self.doublings), bins)

    def levels(self) -> list[int]:
        """The running sum: of changes, what there was at the end of each bin."""
        return list(accumulate(self.bins))

    @property
    def total(self) -> int:
        """Of all bins."""
        return sum(self.bins)

    def _widen(self) -> None:
        self.bins = self._halve(self.bins)
        self.doublings += 1

    def _halve(self, bins: list[int]) -> list[int]:
        return [self._join(a, b) for a, b in zip_longest(bins[::2], bins[1::2], fillvalue=0)]

    def _join(self, a: int, b: int) -> int:
        return a + b


class Peaks(Series, forbid_unknown_fields=True):
    """Measured values, none negative: a bin is the highest that fell into it."""

    def _join(self, a: int, b: int) -> int:
        return max(a, b)
