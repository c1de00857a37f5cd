# SPDX-License-Identifier: Apache-2.0
"""How a run goes, in plain lines on standard error: what happens at once, how many are where every few seconds."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from umslab.printable import printable
from umslab_agent.fleet.measured import Condition

if TYPE_CHECKING:
    from umslab.fleet.job import Told

EVERY_SECONDS = 5.0
UNCHANGED_SECONDS = 30.0
"""Until a line comes that says the same as the last one."""
WORDS = {
    Condition.MANAGED: "managed",
    Condition.CONNECTED: "connected",
    Condition.ONBOARDING: "on the way",
    Condition.OFFLINE: "offline",
    Condition.FAILED: "failed",
    Condition.STOPPED: "stopped",
    Condition.PLANNED: "to come",
}


class Progress:
    """Prints lines."""

    def __init__(self) -> None:
        self._next = 0.0
        self._last: tuple[float, object] = (-UNCHANGED_SECONDS, None)

    def told(self, told: Told) -> None:
        """Take what a shard tells."""
        if told.say:
            print(printable(told.say), file=sys.stderr, flush=True)
        if told.levels is not None and told.seconds >= self._next:
            self._next = told.seconds + EVERY_SECONDS
            same = (told.phase, told.levels, told.failures)
            if same == self._last[1] and told.seconds < self._last[0] + UNCHANGED_SECONDS:
                return
            self._last = told.seconds, same
            print(in_a_line(told), file=sys.stderr, flush=True)


def in_a_line(told: Told) -> str:
    """Return how many devices are in which condition."""
    levels = told.levels or {}
    counts = [f"{levels[condition]} {word}" for condition, word in WORDS.items() if levels.get(condition)]
    failures = f"; {told.failures} failed tries" if told.failures else ""
    return f"{told.seconds:6.0f} s  {told.phase}: {', '.join(counts)}{failures}"
