# SPDX-License-Identifier: Apache-2.0
"""How a run goes at one moment: read off what is recorded anyway, never off the devices, and small.

The glances of several processes make one of the whole: what is counted is added up, and of latencies, which cannot be
joined without their histograms, the slowest process's are told.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Sequence

    from umslab_agent.fleet.recorder import Recorder
    from umslab_agent.fleet.running import Fleet

MOST_CAUSES = 5
"""That are told of each process, the most frequent ones."""
PERCENTS = (50.0, 90.0, 99.0)


class StepGlance(Struct, frozen=True):
    """Latencies of one step so far, in seconds."""

    count: int
    p50: float
    p90: float
    p99: float


class Glance(Struct, frozen=True, kw_only=True):
    """What one process of a fleet, or all of them, have come to."""

    due: int
    """Devices that were to have arrived."""
    arrived: int
    paused: bool
    left: float | None
    """Seconds until the phase ends at the latest; None: nobody can know."""
    steps: dict[str, StepGlance]
    """Those that were done, in the order of a device's way."""
    causes: dict[str, int]
    """Failed tries by cause."""
    cpu: float
    """Of one processor: 1.0 is all of it; of several processes, the busiest's."""
    lag: float
    """Seconds that the event loop was late at the last look; likewise."""
    memory: int
    """Resident bytes, together."""
    processes: int = 1


def glance(recorder: Recorder, fleet: Fleet, now: float) -> Glance:
    """Look at a running fleet; takes a few milliseconds, however many devices there are."""
    health = recorder.health
    most = sorted(recorder.measured.failures, key=lambda group: -group.count)[:MOST_CAUSES]
    causes: Counter[str] = Counter()
    for group in most:
        status = f" {group.cause.status}" if group.cause.status is not None else ""
        causes[f"{group.cause.side}: {group.cause.phase} {group.cause.reason}{status}"] += group.count
    return Glance(
        due=fleet.pacing.due_by(now),
        arrived=fleet.pacing.arrived,
        paused=fleet.pacing.paused_since is not None,
        left=None if fleet.ends_by == math.inf else max(0.0, fleet.ends_by - now),
        steps={
            str(step): StepGlance(times.latency.count, *times.latency.percentiles(PERCENTS))
            for step, times in recorder.measured.steps.items()
            if times.latency.count
        },
        causes=dict(causes),
        cpu=health.cpu if health else 0.0,
        lag=health.lag if health else 0.0,
        memory=health.memory if health else 0,
    )


def together(glances: Sequence[Glance]) -> Glance:
    """Join the glances of processes; there is at least one."""
    causes: Counter[str] = Counter()
    steps: dict[str, StepGlance] = {}
    for one in glances:
        causes.update(one.causes)
        for name, step in one.steps.items():
            steps[name] = _slowest(steps[name], step) if name in steps else step
    known = [one.left for one in glances if one.left is not None]
    return Glance(
        due=sum(one.due for one in glances),
        arrived=sum(one.arrived for one in glances),
        paused=any(one.paused for one in glances),
        left=max(known) if len(known) == len(glances) else None,
        steps=steps,
        causes=dict(causes.most_common(MOST_CAUSES)),
        cpu=max(one.cpu for one in glances),
        lag=max(one.lag for one in glances),
        memory=sum(one.memory for one in glances),
        processes=sum(one.processes for one in glances),
    )


def _slowest(one: StepGlance, other: StepGlance) -> StepGlance:
    return StepGlance(
        one.count + other.count, max(one.p50, other.p50), max(one.p90, other.p90), max(one.p99, other.p99)
    )
