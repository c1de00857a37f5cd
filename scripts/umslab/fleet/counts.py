# SPDX-License-Identifier: Apache-2.0
"""What the metrics of a fleet are made of: what a process has counted so far, and how that of several is added up."""

from __future__ import annotations

import resource
from collections import Counter
from typing import TYPE_CHECKING, Self

from msgspec import Struct

from umslab.fleet.health import open_descriptors, resident_bytes
from umslab_runtime.latencies import TOLD

if TYPE_CHECKING:
    from collections.abc import Sequence

    from umslab_agent.fleet.histogram import Histogram
    from umslab_agent.fleet.recorder import Recorder
    from umslab_agent.fleet.running import Fleet
    from umslab_runtime.latencies import Latencies


class Buckets(Struct, frozen=True):
    """Durations, counted."""

    counts: tuple[int, ...] = (0,) * len(TOLD)
    """How many were at most as long as each of `TOLD`."""
    count: int = 0
    total: float = 0.0
    """Seconds, all added up."""

    @classmethod
    def of_histogram(cls, histogram: Histogram) -> Self:
        """Of what the recorder keeps."""
        return cls(tuple(histogram.within(TOLD)), histogram.count, histogram.total)

    @classmethod
    def of_latencies(cls, latencies: Latencies) -> Self:
        """Of what a probe keeps."""
        return cls(tuple(latencies.within(bound) for bound in TOLD), latencies.count, latencies.total)

    def within(self, bound: float) -> int:
        """How many were at most so long; `bound` is one of `TOLD`."""
        return self.counts[TOLD.index(bound)]

    def and_those(self, other: Buckets) -> Buckets:
        """Return both together."""
        counts = tuple(a + b for a, b in zip(self.counts, other.counts, strict=True))
        return Buckets(counts, self.count + other.count, self.total + other.total)


class ProcessCounts(Struct, frozen=True):
    """One process that runs devices."""

    cpu_seconds: float
    memory: int
    """Resident bytes."""
    descriptors: int


class Counts(Struct, frozen=True, kw_only=True):
    """What one process has counted, or all of them."""

    phase: str
    devices: dict[str, int]
    """How many are in each condition."""
    due: int
    """Devices that were to have arrived."""
    arrived: int
    paused: bool
    managed: int
    """Devices that were managed at least once."""
    steps: dict[str, Buckets]
    """Latencies from the intended start."""
    failures: list[tuple[str, str, str, int]]
    """Side, phase, reason, how many."""
    lag: Buckets
    processes: dict[str, ProcessCounts]
    """By the number of their shard."""


def count(recorder: Recorder, fleet: Fleet, now: float, lag: Latencies, shard: int) -> Counts:
    """Look at a running fleet; takes some milliseconds, however many devices there are."""
    measured, used = recorder.measured, resource.getrusage(resource.RUSAGE_SELF)
    failures: Counter[tuple[str, str, str]] = Counter()
    for group in measured.failures:
        failures[str(group.cause.side), str(group.cause.phase), str(group.cause.reason)] += group.count
    return Counts(
        phase="" if fleet.phase is None else fleet.phase.kind,
        devices={str(condition): level for condition, level in recorder.levels.items()},
        due=fleet.pacing.due_by(now),
        arrived=fleet.pacing.arrived,
        paused=fleet.pacing.paused_since is not None,
        managed=measured.managed_once,
        steps={str(step): Buckets.of_histogram(times.latency) for step, times in measured.steps.items()},
        failures=[(*cause, times) for cause, times in failures.items()],
        lag=Buckets.of_latencies(lag),
        processes={
            str(shard): ProcessCounts(used.ru_utime + used.ru_stime, resident_bytes(), open_descriptors()),
        },
    )


def add_up(parts: Sequence[Counts]) -> Counts:
    """Return what processes have counted together; there is at least one."""
    devices: Counter[str] = Counter()
    failures: Counter[tuple[str, str, str]] = Counter()
    steps: dict[str, Buckets] = {}
    lag = Buckets()
    processes: dict[str, ProcessCounts] = {}
    for part in parts:
        devices.update(part.devices)
        for *cause, times in part.failures:
            failures[tuple(cause)] += times  # type: ignore[index]
        for step, buckets in part.steps.items():
            steps[step] = buckets.and_those(steps.get(step, Buckets()))
        lag = lag.and_those(part.lag)
        processes |= part.processes
    return Counts(
        phase=parts[0].phase,
        devices=dict(devices),
        due=sum(part.due for part in parts),
        arrived=sum(part.arrived for part in parts),
        paused=any(part.paused for part in parts),
        managed=sum(part.managed for part in parts),
        steps=steps,
        failures=[(*cause, times) for cause, times in failures.items()],
        lag=lag,
        processes=processes,
    )
