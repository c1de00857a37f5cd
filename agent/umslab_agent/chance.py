# SPDX-License-Identifier: Apache-2.0
"""A device's own chance: seeded, repeatable, and eight bytes of state where `random.Random` has 2,500.

Provenance: standard (SplitMix64; Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
"""

from __future__ import annotations

import hashlib
from typing import Any

_MASK = 2**64 - 1


class Chance:
    """Numbers that look like chance; the same seed gives the same ones."""

    __slots__ = ("_state",)

    def __init__(self, seed: str) -> None:
        self._state = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8], "big")

    def random(self) -> float:
        """Return a number from 0 up to, and without, 1."""
        return (self._next() >> 11) / 2**53

    def shuffle(self, items: list[Any]) -> None:
        """Put the items into any order (Fisher and Yates)."""
        for last in range(len(items) - 1, 0, -1):
            other = int(self.random() * (last + 1))
            items[last], items[other] = items[other], items[last]

    def _next(self) -> int:
        self._state = (self._state + 0x9E3779B97F4A7C15) & _MASK
        mixed = ((self._state ^ (self._state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
        return mixed ^ (mixed >> 31)
