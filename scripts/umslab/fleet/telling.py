# SPDX-License-Identifier: Apache-2.0
"""A run in sentences and tables, for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from umslab.cli.output import print_table
from umslab.fleet.summary import NO_STATEMENT, NOT_THE_SERVERS, Spread, Summary, said, summarise
from umslab.printable import printable
from umslab_agent.fleet.units import duration, number, share
from umslab_protocol.values.failure import Reason

if TYPE_CHECKING:
    from umslab_agent.fleet.report import RunReport

DEFECTS = "Devices that a defect of umslab itself ended: {}; please report it. No server did that."
MOST_HINTS = 3
"""Of the most frequent causes; the page has all."""


def print_report(report: RunReport) -> None:
    """Print what a person should know."""
    summary = summarise(report)
    for line in headline(summary):
        print(printable(line))
    if summary.steps:
        print()
        _print_steps(summary)
    if summary.causes:
        print()
        _print_failures(summary)
    if report.thresholds:
        print()
        _print_thresholds(report, summary)
    print()
    for line in remarks(summary):
        print(printable(line))


def headline(summary: Summary) -> list[str]:
    """What came of it, in sentences."""
    managed = f"{number(summary.managed)} of {number(summary.devices)} devices were managed"
    run = f"in a run of {duration(summary.seconds)} against {summary.target} ({backend(summary)})"
    lines = [f"{summary.scenario}: {managed} ({share(summary.managed, summary.devices)}) {run}."]
    at_end = [f"{number(count)} {word}" for count, word in _ends(summary) if count]
    if at_end:
        lines.append(f"At the end: {', '.join(at_end)}.")
    for phase in summary.phases:
        if phase.moved:
            told = ", ".join(f"{percent} % after {duration(at)}" for percent, at in phase.until.items())
            lines.append(f"Managed in phase {phase.phase}: {told}.")
    return lines


def remarks(summary: Summary) -> list[str]:
    """What a reader of the numbers has to know."""
    lines = []
    if summary.missing_shards:
        missing = ", ".join(map(str, summary.missing_shards[:20]))
        lines.append(f"Incomplete: it has {summary.shards} shards; missing: {missing}.")
    if summary.interrupted:
        lines.append("Interrupted: somebody stopped the run, or one of its processes died.")
    lines += [f"Note: {note}" for note in summary.notes]
    defects = sum(one.count for one in summary.causes if one.reason == Reason.DEFECT)
    if defects:
        lines.append(DEFECTS.format(number(defects)))
    if summary.bottlenecks:
        lines.append(NOT_THE_SERVERS)
        lines += [f"  {sentence}" for sentence in summary.bottlenecks]
    else:
        lines.append("The generator kept up: no sign that it was the bottleneck.")
    if summary.simulated:
        lines.append(NO_STATEMENT)
    return lines


def backend(summary: Summary) -> str:
    """The server, as it named itself."""
    return f"{summary.product} {summary.product_version}".strip() or "a server that did not name itself"


def _ends(summary: Summary) -> list[tuple[int, str]]:
    return [
        (summary.failed, "had given up"),
        (summary.offline, "were offline"),
        (summary.missed, "had never started"),
    ]


def _print_steps(summary: Summary) -> None:
    headings = ("step", "count", "mean", "p50", "p90", "p99", "p99.9", "max", "p99 from actual start")
    rows = [
        (
            one.step,
            number(one.latency.count),
            *spread_cells(one.latency),
            duration(one.service.p99) if one.service.count else "",
        )
        for one in summary.steps
    ]
    print("Latencies, from the intended start of each step:")
    print_table(headings, rows, empty="")


def spread_cells(spread: Spread) -> list[str]:
    """Mean, percentiles and maximum of a row."""
    return [duration(value) for value in (spread.mean, spread.p50, spread.p90, spread.p99, spread.p999, spread.max)]


def _print_failures(summary: Summary) -> None:
    sides = ", ".join(f"{number(count)} {side}" for side, count in summary.failures_by_side.items())
    print(f"Failed tries, by cause ({sides}):")
    rows = [(one.count, one.side, one.phase, one.reason, one.status, one.code, one.example) for one in summary.causes]
    print_table(("count", "side", "phase", "reason", "HTTP", "IGEL code", "the first one"), rows, empty="")
    if summary.more_causes:
        print(f"... and {summary.more_causes} more causes")
    hints = dict.fromkeys(one.hint for one in summary.causes if one.hint)
    for hint in list(hints)[:MOST_HINTS]:
        print(f"What to do: {printable(hint)}")


def _print_thresholds(report: RunReport, summary: Summary) -> None:
    rows = [("met" if one.met else "MISSED", one.text, said(one, summary)) for one in report.thresholds]
    print_table(("threshold", "is", "measured"), rows, empty="")
