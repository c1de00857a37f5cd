# SPDX-License-Identifier: Apache-2.0
"""The numbers of a run that people ask for: what the text, the page, the comparison and `--json` all tell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from umslab_agent.fleet.measured import Condition, Step
from umslab_agent.fleet.reaching import SHARES, time_until

if TYPE_CHECKING:
    from umslab_agent.fleet.histogram import Histogram
    from umslab_agent.fleet.measured import FailureGroup, Generator, PhaseTimes
    from umslab_agent.fleet.report import RunReport
    from umslab_agent.fleet.thresholds import ThresholdResult

PERCENTILES = (50.0, 90.0, 99.0, 99.9)
MOST_FAILURES = 50
"""Causes that are told one by one, the most frequent first."""

DRAIN = "drain"
"""The phase in which a run ends its devices, as plans call it."""
NO_STATEMENT = "The server was a simulation, umslab: this is no statement about a real UMS."
NOT_THE_SERVERS = "The generator was the bottleneck: the latencies below are its own, not the server's."


class Spread(msgspec.Struct, frozen=True, rename="camel"):
    """Durations in seconds."""

    count: int
    mean: float
    p50: float
    p90: float
    p99: float
    p999: float
    max: float


class StepSummary(msgspec.Struct, frozen=True, rename="camel"):
    """One step."""

    step: Step
    latency: Spread
    """From the intended start."""
    service: Spread
    """From the actual one."""


class PhaseSummary(msgspec.Struct, frozen=True, rename="camel"):
    """How long after the beginning of a phase so many percent of the devices were managed."""

    phase: str
    began: float
    until: dict[str, float | None]
    moved: bool
    """Devices became managed in it, or ceased to be before the run ended them."""


class FailureSummary(msgspec.Struct, frozen=True, rename="camel"):
    """Failures of one cause."""

    side: str
    phase: str
    reason: str
    status: int | None
    code: int | None
    count: int
    example: str
    hint: str
    request: str


class GeneratorSummary(msgspec.Struct, frozen=True, rename="camel"):
    """One process."""

    cpu_peak: float
    busy: float
    """Share of the samples with the processor in use above the limit."""
    lag_p99: float
    memory_peak: int
    descriptors_peak: int


class Summary(msgspec.Struct, frozen=True, rename="camel"):
    """All of it."""

    scenario: str
    seed: int
    digest: str
    shards: str
    missing_shards: list[int]
    started: str
    seconds: float
    interrupted: bool
    target: str
    product: str
    product_version: str
    simulated: bool
    devices: int
    managed: int
    failed: int
    offline: int
    missed: int
    late: Spread
    phases: list[PhaseSummary]
    steps: list[StepSummary]
    failures: int
    failures_by_side: dict[str, int]
    causes: list[FailureSummary]
    more_causes: int
    generators: list[GeneratorSummary]
    bottlenecks: list[str]
    notes: list[str]


def summarise(report: RunReport) -> Summary:
    """Compute it."""
    measured = report.measured
    groups = sorted(
        measured.failures, key=lambda group: (-group.count, *map(str, msgspec.structs.astuple(group.cause)))
    )
    sides: dict[str, int] = {}
    for group in groups:
        sides[group.cause.side] = sides.get(group.cause.side, 0) + group.count
    return Summary(
        scenario=report.plan.scenario,
        seed=report.plan.seed,
        digest=report.plan.digest,
        shards=f"{len(report.shards)} of {report.of_shards}",
        missing_shards=report.missing,
        started=report.started,
        seconds=measured.seconds,
        interrupted=any(shard.interrupted for shard in report.shards),
        target=report.backend.target,
        product=report.backend.product,
        product_version=report.backend.version,
        simulated=report.backend.simulated,
        devices=measured.devices,
        managed=measured.managed_once,
        failed=at_end(report, Condition.FAILED),
        offline=at_end(report, Condition.OFFLINE),
        missed=measured.arrivals.missed,
        late=spread(measured.arrivals.late),
        phases=[_phase(phase, measured.devices) for phase in measured.phases],
        steps=[
            StepSummary(step, spread(times.latency), spread(times.service))
            for step in Step
            if (times := measured.steps.get(step)) and times.latency.count
        ],
        failures=sum(sides.values()),
        failures_by_side=sides,
        causes=[_failure(group) for group in groups[:MOST_FAILURES]],
        more_causes=max(0, len(groups) - MOST_FAILURES),
        generators=[_generator(one) for one in measured.generators],
        bottlenecks=report.bottlenecks,
        notes=report.notes,
    )


def document(report: RunReport) -> dict[str, Any]:
    """The same for `--json`, with what became of the thresholds."""
    return {**msgspec.to_builtins(summarise(report)), "thresholds": msgspec.to_builtins(report.thresholds)}


def said(result: ThresholdResult, summary: Summary) -> str:
    """What was measured for a threshold, and whose it is when the generator was the bottleneck."""
    return f"{result.said}: the generator's" if result.about_time and summary.bottlenecks else result.said


def at_end(report: RunReport, condition: Condition) -> int:
    """How many devices were in a condition when the run ended."""
    changes = report.measured.conditions.get(condition)
    return 0 if changes is None else changes.total


def spread(histogram: Histogram) -> Spread:
    """The usual percentiles."""
    p50, p90, p99, p999, most = histogram.percentiles([*PERCENTILES, 100.0])
    return Spread(histogram.count, histogram.mean, p50, p90, p99, p999, most)


def _phase(phase: PhaseTimes, devices: int) -> PhaseSummary:
    moved = bool(phase.gained.count or (phase.lost.count and phase.name != DRAIN))
    until = {f"{percent:g}": time_until(phase, devices, percent) for percent in SHARES}
    return PhaseSummary(phase.name, phase.began, until, moved=moved)


def _failure(group: FailureGroup) -> FailureSummary:
    cause = group.cause
    return FailureSummary(
        cause.side, cause.phase, cause.reason, cause.status, cause.code, group.count, group.example, group.hint,
        group.request,
    )  # fmt: skip


def _generator(one: Generator) -> GeneratorSummary:
    return GeneratorSummary(
        cpu_peak=max(one.cpu.bins, default=0) / 1000,
        busy=one.busy / one.samples if one.samples else 0.0,
        lag_p99=one.lag.percentile(99),
        memory_peak=max(one.memory.bins, default=0),
        descriptors_peak=max(one.descriptors.bins, default=0),
    )
