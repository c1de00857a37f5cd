# SPDX-License-Identifier: Apache-2.0
"""Makes one report of those of a plan's shards, exactly: as if one process had measured everything.

Only two things are not sums: which of several examples of a failure is told, and above `MOST_CAUSES` causes which HTTP
statuses are told apart.
"""

from __future__ import annotations

from functools import reduce
from itertools import pairwise
from typing import TYPE_CHECKING

import msgspec

from umslab_agent.fleet.measured import (
    MOST_GENERATORS,
    Arrivals,
    FailureGroup,
    Failures,
    Measured,
    PhaseTimes,
    StepTimes,
)
from umslab_agent.fleet.report import ReportError, RunReport, decode_report, encode_report, judge_thresholds
from umslab_agent.fleet.series import Series

if TYPE_CHECKING:
    from collections.abc import Sequence


def merge_reports(reports: Sequence[RunReport]) -> RunReport:
    """Merge reports of shards of one plan; what is still missing, `RunReport.missing` tells.

    Raises `ReportError` for shards of different plans, backends or thresholds, and for a shard that comes twice.
    """
    first, *others = reports
    for other in others:
        _check_same(first, other)
    shards = sorted((shard for report in reports for shard in report.shards), key=lambda shard: shard.number)
    for before, after in pairwise(shards):
        if before.number == after.number:
            raise ReportError(f"shard {after.number}/{first.of_shards} is in two of the reports")
    in_order = sorted(reports, key=lambda report: report.shards[0].number)
    measured = merge_measured([report.measured for report in in_order])
    measured.generators.sort(key=lambda generator: generator.shard)
    measured.failures.sort(key=lambda group: str(group.cause))
    texts = [result.text for result in first.thresholds]
    merged = msgspec.structs.replace(
        first,
        shards=shards,
        measured=measured,
        thresholds=judge_thresholds(texts, measured),
        notes=list(dict.fromkeys(note for report in in_order for note in report.notes)),
    )
    return decode_report(encode_report(merged))  # what is too large to be read again is refused here


def merge_measured(parts: Sequence[Measured]) -> Measured:
    """Merge what several processes measured, in this order. Raises `ReportError` for phases with different names."""
    return reduce(_add, parts, Measured())


def _check_same(a: RunReport, b: RunReport) -> None:
    if a.plan != b.plan:
        raise ReportError(
            f"these are runs of different plans: {a.plan.scenario}, {a.plan.digest[:12]}, and "
            f"{b.plan.scenario}, {b.plan.digest[:12]}; `umslab fleet compare` sets them side by side"
        )
    if a.of_shards != b.of_shards:
        raise ReportError(f"one report is a shard of {a.of_shards}, another a shard of {b.of_shards}")
    if (a.backend.product, a.backend.version) != (b.backend.product, b.backend.version):
        raise ReportError(f"the shards ran against different servers: {a.backend.product} and {b.backend.product}")
    if [one.text for one in a.thresholds] != [one.text for one in b.thresholds]:
        raise ReportError("the shards ran with different thresholds")


def _add(whole: Measured, part: Measured) -> Measured:
    whole.devices += part.devices
    whole.seconds = max(whole.seconds, part.seconds)
    whole.managed_once += part.managed_once
    _add_arrivals(whole.arrivals, part.arrivals)
    for step, times in part.steps.items():
        into = whole.steps.setdefault(step, StepTimes())
        into.latency.merge(times.latency)
        into.service.merge(times.service)
    for condition, changes in part.conditions.items():
        whole.conditions.setdefault(condition, Series()).merge(changes)
    _add_phases(whole.phases, part.phases)
    _add_failures(whole.failures, part.failures)
    whole.generators += part.generators
    if len(whole.generators) > MOST_GENERATORS:
        raise ReportError(f"a report tells of at most {MOST_GENERATORS} processes")
    return whole


def _add_arrivals(whole: Arrivals, part: Arrivals) -> None:
    whole.intended.merge(part.intended)
    whole.started.merge(part.started)
    whole.late.merge(part.late)
    whole.missed += part.missed


def _add_phases(whole: list[PhaseTimes], part: Sequence[PhaseTimes]) -> None:
    """An interrupted shard has fewer phases than the others."""
    for number, phase in enumerate(part):
        if number == len(whole):
            whole.append(PhaseTimes(phase.name, phase.began, 0))
        into = whole[number]
        if into.name != phase.name:
            raise ReportError(f"the shards have different phases: {into.name} and {phase.name}")
        into.began = min(into.began, phase.began)
        into.managed_before += phase.managed_before
        into.gained.merge(phase.gained)
        into.lost.merge(phase.lost)


def _add_failures(whole: list[FailureGroup], part: Sequence[FailureGroup]) -> None:
    groups = Failures(whole)
    for group in part:
        into = groups.group(group.cause, example=group.example, hint=group.hint, request=group.request)
        into.count += group.count
        into.over_time.merge(group.over_time)
