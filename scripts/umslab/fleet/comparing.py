# SPDX-License-Identifier: Apache-2.0
"""Two runs side by side, with ratios: flat retry against back-off with jitter, one server against another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from umslab.fleet.summary import NO_STATEMENT, Summary, summarise
from umslab_agent.fleet.units import duration, number

if TYPE_CHECKING:
    from umslab_agent.fleet.report import RunReport


class Row(msgspec.Struct, frozen=True, rename="camel"):
    """One quantity of both runs."""

    what: str
    unit: str
    """`s` or nothing."""
    a: float | None
    b: float | None

    @property
    def ratio(self) -> float | None:
        """How many times B has what A has."""
        return self.b / self.a if self.a and self.b is not None else None

    def told(self, value: float | None) -> str:
        """One of the values as people read it."""
        return duration(value) if self.unit == "s" else "-" if value is None else number(value)


class Comparison(msgspec.Struct, frozen=True, rename="camel"):
    """Both."""

    a: Summary
    b: Summary
    differences: list[str]
    """What else is different between the runs: all but one, and ratios say little."""
    rows: list[Row]
    remarks: list[str]


def compare(first: RunReport, second: RunReport) -> Comparison:
    """Set two runs side by side."""
    a, b = summarise(first), summarise(second)
    return Comparison(
        a, b, _differences(first, second), [*_totals(a, b), *_phases(a, b), *_steps(a, b)], _remarks(a, b)
    )


def _differences(a: RunReport, b: RunReport) -> list[str]:
    pairs: list[tuple[str, object, object]] = [
        ("scenario", a.plan.scenario, b.plan.scenario),
        ("devices", a.plan.devices, b.plan.devices),
        ("seed", a.plan.seed, b.plan.seed),
        ("plan", a.plan.digest[:12], b.plan.digest[:12]),
        ("retry", a.plan.retry, b.plan.retry),
        ("shards", len(a.shards), len(b.shards)),
        ("target", a.backend.target, b.backend.target),
        ("server", f"{a.backend.product} {a.backend.version}", f"{b.backend.product} {b.backend.version}"),
    ]
    machines = [msgspec.structs.asdict(run.shards[0].machine) for run in (a, b)]
    pairs += [(f"machine's {name}", x, machines[1][name]) for name, x in machines[0].items()]
    return [f"{name}: {x} | {y}" for name, x, y in pairs if x != y]


def _totals(a: Summary, b: Summary) -> list[Row]:
    rows = [
        Row("devices managed", "", a.managed, b.managed),
        Row("devices given up", "", a.failed, b.failed),
        Row("devices offline at the end", "", a.offline, b.offline),
        Row("failed tries", "", a.failures, b.failures),
    ]
    sides = sorted({*a.failures_by_side, *b.failures_by_side})
    return rows + [
        Row(f"  laid at the {side}" if side != "unknown" else "  nobody knows whose", "", left, right)
        for side in sides
        for left, right in [(a.failures_by_side.get(side, 0), b.failures_by_side.get(side, 0))]
    ]


def _phases(a: Summary, b: Summary) -> list[Row]:
    """Phases that both have, by place and name, and in which something moved."""
    return [
        Row(f"{left.phase}: {percent} % managed after", "s", left.until[percent], right.until[percent])
        for left, right in zip(a.phases, b.phases, strict=False)
        if left.phase == right.phase and (left.moved or right.moved)
        for percent in left.until
    ]


def _steps(a: Summary, b: Summary) -> list[Row]:
    others = {one.step: one.latency for one in b.steps}
    rows = []
    for one in a.steps:
        other = others.get(one.step)
        if other is not None:
            rows += [
                Row(f"{one.step} p50", "s", one.latency.p50, other.p50),
                Row(f"{one.step} p99", "s", one.latency.p99, other.p99),
            ]
    return rows


def _remarks(a: Summary, b: Summary) -> list[str]:
    lines = []
    for name, one in (("A", a), ("B", b)):
        if one.bottlenecks:
            lines.append(f"In {name} the generator was the bottleneck: its latencies are not the server's.")
        if one.missing_shards:
            lines.append(f"{name} is incomplete: it has {one.shards} shards.")
        if one.interrupted:
            lines.append(f"{name} was interrupted.")
    if a.simulated or b.simulated:
        lines.append(NO_STATEMENT)
    return lines
