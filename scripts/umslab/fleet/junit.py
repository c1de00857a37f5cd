# SPDX-License-Identifier: Apache-2.0
"""A run as JUnit XML: a test case for each threshold, and one for each cause of failures."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.sax.saxutils import escape, quoteattr

from umslab.fleet.summary import NO_STATEMENT, said, summarise
from umslab.printable import printable
from umslab_agent.fleet.report import outcome

if TYPE_CHECKING:
    from umslab.fleet.summary import FailureSummary, Summary
    from umslab_agent.fleet.report import RunReport
    from umslab_agent.fleet.thresholds import ThresholdResult


def junit(report: RunReport) -> str:
    """Return the document. Without thresholds every cause is a failed test; with some, they decide what may fail."""
    summary = summarise(report)
    cases = [_threshold(result, summary) for result in report.thresholds]
    strict = not report.thresholds
    if strict:
        cases.append(_whole(summary, failed=outcome(report).failed))
    cases += [_cause(cause, failed=strict) for cause in summary.causes]
    failed = sum("<failure" in case for case in cases)
    name = _attribute(f"umslab fleet {summary.scenario}")
    head = f'tests="{len(cases)}" failures="{failed}" errors="0" time="{summary.seconds:.3f}"'
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f"<testsuites name={name} {head}>",
        f"  <testsuite name={name} {head} timestamp={_attribute(summary.started.removesuffix('Z'))}>",
        "    <properties>",
        *(f"      <property name={_attribute(key)} value={_attribute(value)}/>" for key, value in _about(summary)),
        "    </properties>",
        *cases,
        "  </testsuite>",
        "</testsuites>",
    ]
    return "\n".join(lines) + "\n"


def _about(summary: Summary) -> list[tuple[str, str]]:
    pairs = [
        ("seed", str(summary.seed)),
        ("plan", summary.digest),
        ("shards", summary.shards),
        ("target", summary.target),
        ("backend", f"{summary.product} {summary.product_version}".strip() or "unknown"),
    ]
    pairs += [("bottleneck", sentence) for sentence in summary.bottlenecks]
    return [*pairs, ("note", NO_STATEMENT)] if summary.simulated else pairs


def _threshold(result: ThresholdResult, summary: Summary) -> str:
    return _case("umslab.fleet.threshold", result.text, f"measured: {said(result, summary)}", failed=not result.met)


def _whole(summary: Summary, *, failed: bool) -> str:
    words = (
        f"{summary.managed} of {summary.devices} devices were managed; at the end {summary.failed} had given up, "
        f"{summary.offline} were offline"
    )
    return _case("umslab.fleet", "every device is managed", words, failed=failed)


def _cause(cause: FailureSummary, *, failed: bool) -> str:
    name = f"{cause.side}: {cause.phase} {cause.reason}" + (f" HTTP {cause.status}" if cause.status else "")
    often = "once" if cause.count == 1 else f"{cause.count} times, the first"
    words = f"{often}: {cause.example}" + (f" ({cause.hint})" if cause.hint else "")
    return _case("umslab.fleet.failures", name, words, failed=failed)


def _case(kind: str, name: str, words: str, *, failed: bool) -> str:
    inside = (
        f"<failure message={_attribute(words)}/>" if failed else f"<system-out>{escape(printable(words))}</system-out>"
    )
    return f"    <testcase classname={_attribute(kind)} name={_attribute(name)}>{inside}</testcase>"


def _attribute(text: str) -> str:
    return quoteattr(printable(text))
