# SPDX-License-Identifier: Apache-2.0
"""How long it took until so many devices were managed: the question that a power cut asks.

Counted from the beginning of a phase: the first moment after the phase's deepest point at which so many are managed. So
a fleet that is managed, lost and managed again has its recovery counted, and a device that blinks later does not.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from umslab_agent.fleet.measured import PhaseTimes

SHARES = (50.0, 90.0, 99.0, 100.0)
"""Percent of the fleet that reports tell."""


def time_until(phase: PhaseTimes, devices: int, percent: float) -> float | None:
    """Seconds from the beginning of the phase until `percent` of `devices` are managed; None when they never were."""
    wanted = max(1, math.ceil(devices * percent / 100 - 1e-9))
    changes = [(at, -count) for at, count in phase.lost.items()] + list(phase.gained.items())
    changes.sort()  # at the same moment, losses come first
    level = deepest = phase.managed_before
    reached = 0.0 if level >= wanted else None
    for at, change in changes:
        level += change
        if level < deepest:
            deepest, reached = level, None
        if reached is None and level >= wanted:
            reached = at
    return reached
