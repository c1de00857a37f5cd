# SPDX-License-Identifier: Apache-2.0
"""When the devices of a fleet are switched on: seconds from the start of the run, one for each, never in batches."""

from __future__ import annotations

import random
from itertools import accumulate
from typing import TYPE_CHECKING, assert_never

from umslab_agent.fleet.scenario import AtOnce, ConstantRate, Poisson, Ramp, Replay

if TYPE_CHECKING:
    from collections.abc import Sequence

    from umslab_agent.fleet.scenario import Arrivals

BARS = "▁▂▃▄▅▆▇█"


def arrival_times(arrivals: Arrivals, count: int, seed: int) -> list[float]:
    """Return the moments of `count` devices in their order. Raises `ValueError` for a recording that was not read."""
    match arrivals:
        case AtOnce():
            return [0.0] * count
        case Ramp(seconds=seconds):
            return [seconds * position / count for position in range(count)]
        case ConstantRate(per_second=rate):
            return [position / rate for position in range(count)]
        case Poisson(per_second=rate):
            chance = random.Random(f"umslab arrivals {seed}")  # noqa: S311 - repeatable
            return list(accumulate(chance.expovariate(rate) for _ in range(count)))
        case Replay(seconds=seconds):
            if len(seconds) < count:
                raise ValueError(f"{len(seconds)} arrivals are recorded for {count} devices")
            return list(seconds[:count])
    assert_never(arrivals)


def busiest_second(times: Sequence[float]) -> int:
    """Return how many arrive within one second, at most; `times` are in order."""
    most = first = 0
    for last, at in enumerate(times):
        while at - times[first] >= 1.0:
            first += 1
        most = max(most, last - first + 1)
    return most


def picture(times: Sequence[float], width: int = 60) -> str:
    """Draw arrivals over time, one character for each `width`-th part of it; no arrival is a space."""
    span = max(times, default=0.0)
    if not times or span == 0:
        return BARS[-1] if times else ""
    counts = [0] * width
    for at in times:
        counts[min(width - 1, int(at / span * width))] += 1
    most = max(counts)
    return "".join(BARS[(count * len(BARS) - 1) // most] if count else " " for count in counts)
