# SPDX-License-Identifier: Apache-2.0
"""Deadlines of ten thousand idle connections without a task or a cancel scope for each."""

from __future__ import annotations

import heapq
import math
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Protocol

import trio

from umslab_runtime.defects import run_guarded

if TYPE_CHECKING:
    from umslab_runtime.clock import Clock
    from umslab_runtime.defects import OnDefect


_SLACK = 64  # forgotten entries the heap may hold beyond the number of live ones


class Wakeable(Protocol):
    """Something with a deadline that can be woken."""

    def deadline(self) -> float | None:
        """When to be woken next, in monotonic seconds; None for never."""
        ...

    def wake(self) -> None:
        """The deadline has come; must not wait and must not raise."""
        ...


class Timers:
    """One heap and one task; each `Wakeable` has at most one live entry."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._heap: list[_Entry] = []
        self._live: dict[int, _Entry] = {}
        self._order = count()
        self._earlier = trio.Event()

    def watch(self, sleeper: Wakeable, on_defect: OnDefect | None = None) -> None:
        """Look at the deadline of this one again: call it after anything that may have brought it forward.

        A deadline that moved *back* needs no call: it is noticed when the old one comes. With `on_defect`, which gets
        the error, a waking that raises ends nobody else; the sleeper is forgotten.
        """
        deadline = sleeper.deadline()
        known = self._live.get(id(sleeper))
        if deadline is None or (known is not None and known.at <= deadline):
            return
        self.forget(sleeper)
        entry = self._live[id(sleeper)] = _Entry(deadline, next(self._order), sleeper, on_defect)
        heapq.heappush(self._heap, entry)
        if self._heap[0] is entry:
            self._earlier.set()

    def forget(self, sleeper: Wakeable) -> None:
        """Never wake this one again, and keep nothing of it alive."""
        entry = self._live.pop(id(sleeper), None)
        if entry is not None:
            entry.sleeper = None
            if len(self._heap) > 2 * len(self._live) + _SLACK:  # storms of short sessions leave nothing but these
                self._heap = [known for known in self._heap if known.sleeper is not None]
                heapq.heapify(self._heap)

    async def run(self) -> None:
        """Wake whoever is due, for ever."""
        while True:
            self._earlier = trio.Event()
            self._wake_due()
            with trio.move_on_at(self._heap[0].at if self._heap else math.inf):
                await self._earlier.wait()

    def _wake_due(self) -> None:
        now = self._clock.monotonic()
        while self._heap and self._heap[0].at <= now:
            entry = heapq.heappop(self._heap)
            if entry.sleeper is None:
                continue  # forgotten, or brought forward since
            del self._live[id(entry.sleeper)]
            run_guarded(partial(self._wake, entry.sleeper, entry.on_defect, now), entry.on_defect)

    def _wake(self, sleeper: Wakeable, on_defect: OnDefect | None, now: float) -> None:
        deadline = sleeper.deadline()
        if deadline is not None and deadline <= now:
            sleeper.wake()
        self.watch(sleeper, on_defect)


class _Entry:
    __slots__ = ("at", "on_defect", "order", "sleeper")

    def __init__(self, at: float, order: int, sleeper: Wakeable, on_defect: OnDefect | None) -> None:
        self.at = at
        self.order = order
        self.sleeper: Wakeable | None = sleeper
        self.on_defect = on_defect

    def __lt__(self, other: _Entry) -> bool:
        return (self.at, self.order) < (other.at, other.order)
