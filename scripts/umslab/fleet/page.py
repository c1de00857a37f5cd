# SPDX-License-Identifier: Apache-2.0
"""A run as one HTML page: nothing is loaded from anywhere, and nothing runs in it.

Whatever a peer or a file said is made printable and escaped. The page forbids itself scripts and requests by a policy
of its own, should somebody find a way around that.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from umslab.fleet.drawings import (
    arrivals_over_time,
    devices_over_time,
    failures_over_time,
    generator_charts,
    latency_curves,
)
from umslab.fleet.page_style import STYLE
from umslab.fleet.summary import NO_STATEMENT, NOT_THE_SERVERS, Spread, Summary, said, summarise
from umslab.fleet.telling import backend, spread_cells
from umslab.printable import printable
from umslab_agent.fleet.report import outcome
from umslab_agent.fleet.units import duration, number, share, size

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from umslab.fleet.charts import Figure
    from umslab_agent.fleet.report import RunReport, ShardRun

_SHORT = 24
"""Characters of a cell that is not broken into lines."""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def page(report: RunReport) -> str:
    """Return the whole page."""
    summary = summarise(report)
    title = _text(f"{summary.scenario}: {number(summary.devices)} devices")
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{title} - umslab fleet</title><style>{STYLE}</style></head><body><main>",
        _header(report, summary),
        _warnings(summary),
        _figures(summary),
        _thresholds(report, summary),
        _section("Devices over time", _drawn(devices_over_time(report.measured)) + _until_table(summary)),
        _section("Arrivals", _drawn(arrivals_over_time(report.measured)) + _lateness(summary)),
        _section("Latency", _drawn(latency_curves(report.measured)) + _latency_table(summary)),
        _section("Failed tries", _drawn(failures_over_time(report.measured)) + _failure_table(summary)),
        _section("The generator", _generator(report, summary)),
        _section("This run", _about(report, summary)),
        "</main></body></html>",
    ]
    return "\n".join(part for part in parts if part) + "\n"


def _header(report: RunReport, summary: Summary) -> str:
    came = outcome(report)
    if came.missed:
        word, kind = f"{came.missed} of {len(report.thresholds)} thresholds missed", "bad"
    elif came.failed:
        word, kind = "not everything succeeded", "bad"
    elif report.thresholds:
        word, kind = "all thresholds met", "good"
    else:
        word, kind = "all devices managed", "good"
    line = f"against {summary.target} ({backend(summary)}), {_moment(summary.started)}, {duration(summary.seconds)}"
    return (
        '<header><p class="over">umslab fleet run &middot; a simulation, not affiliated with IGEL</p>'
        f'<h1>{_text(summary.scenario)} <span class="verdict {kind}">{word}</span></h1><p>{_text(line)}</p></header>'
    )


def _warnings(summary: Summary) -> str:
    found = []
    if summary.bottlenecks:
        found.append(("bad", NOT_THE_SERVERS, summary.bottlenecks))
    if summary.missing_shards:
        numbers = ", ".join(map(str, summary.missing_shards[:20]))
        found.append(("bad", f"Incomplete: it has {summary.shards} shards.", [f"missing: {numbers}"]))
    if summary.interrupted:
        found.append(("bad", "Interrupted: somebody stopped the run, or one of its processes died.", []))
    if summary.notes:
        found.append(("", "Note", summary.notes))
    if summary.simulated:
        found.append(("", NO_STATEMENT, []))
    return "".join(
        f'<aside class="{kind}"><p>{_text(head)}</p>{_list(sentences)}</aside>' for kind, head, sentences in found
    )


def _list(sentences: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{_text(one)}</li>' for one in sentences)}</ul>" if sentences else ""


def _figures(summary: Summary) -> str:
    """The four numbers to take home."""
    moved = next((phase for phase in summary.phases if phase.moved), None)
    managed = next((one.latency for one in summary.steps if one.step == "managed"), None)
    cards = [
        (
            "devices managed",
            share(summary.managed, summary.devices),
            f"{number(summary.managed)} of {number(summary.devices)}",
        ),
        (
            "99 % managed after",
            duration(moved.until["99"]) if moved else "never",
            f"all after {duration(moved.until['100'])}" if moved else "",
        ),
        (
            "way to managed, p99",
            duration(managed.p99) if managed else "-",
            f"median {duration(managed.p50)}, from the intended arrival" if managed else "",
        ),
        (
            "failed tries",
            number(summary.failures),
            ", ".join(f"{number(count)} {side}" for side, count in summary.failures_by_side.items()),
        ),
    ]
    return (
        '<dl class="figures">'
        + "".join(
            f"<div><dt>{_text(name)}</dt><dd><strong>{_text(value)}</strong>{_text(more)}</dd></div>"
            for name, value, more in cards
        )
        + "</dl>"
    )


def _thresholds(report: RunReport, summary: Summary) -> str:
    if not report.thresholds:
        return ""
    rows = [("met" if one.met else "missed", one.text, said(one, summary)) for one in report.thresholds]
    return _section("Thresholds", _table(("is", "threshold", "measured"), rows, marked=True))


def _until_table(summary: Summary) -> str:
    phases = [phase for phase in summary.phases if phase.moved]
    if not phases:
        return ""
    percents = list(phases[0].until)
    rows = [
        (phase.phase, duration(phase.began), *(duration(phase.until[percent]) for percent in percents))
        for phase in phases
    ]
    headings = ("phase", "began at", *(f"{percent} % managed after" for percent in percents))
    return _table(headings, rows, numbers_from=1)


def _lateness(summary: Summary) -> str:
    late = summary.late
    if not late.count:
        return ""
    told = f"Devices started {duration(late.p50)} late in the median, {duration(late.p99)} at the 99th percentile"
    missed = f"; {number(summary.missed)} never started" if summary.missed else ""
    return f"<p>{_text(told + missed)}.</p>"


def _latency_table(summary: Summary) -> str:
    if not summary.steps:
        return "<p>No step was completed.</p>"
    headings = ("step", "counted from", "count", "mean", "p50", "p90", "p99", "p99.9", "max")
    rows: list[Sequence[str]] = []
    for one in summary.steps:
        counted = "start" if one.service == one.latency else "intended start"
        rows.append((one.step, counted, *_counted(one.latency)))
        if one.service.count and one.service != one.latency:
            rows.append(("", "actual start", *_counted(one.service)))
    return _table(headings, rows, numbers_from=2)


def _counted(spread: Spread) -> list[str]:
    return [number(spread.count), *spread_cells(spread)]


def _failure_table(summary: Summary) -> str:
    if not summary.causes:
        return "<p>None.</p>"
    headings = ("count", "side", "phase", "reason", "HTTP", "IGEL code", "the first one", "what to do", "request")
    rows = [
        (
            number(one.count),
            one.side,
            one.phase,
            one.reason,
            str(one.status or ""),
            str(one.code or ""),
            one.example,
            one.hint,
            one.request,
        )
        for one in summary.causes
    ]
    more = f"<p>... and {summary.more_causes} more causes.</p>" if summary.more_causes else ""
    return _table(headings, rows, numbers_from=0, numbers_to=1) + more


def _generator(report: RunReport, summary: Summary) -> str:
    rows = [
        (
            str(place),
            f"{one.cpu_peak:.0%}",
            f"{one.busy:.0%}",
            duration(one.lag_p99),
            size(one.memory_peak),
            number(one.descriptors_peak),
        )
        for place, one in enumerate(summary.generators, start=1)
    ]
    headings = (
        "process",
        "processor peak",
        "time above 90 %",
        "event loop late, p99",
        "memory peak",
        "descriptors peak",
    )
    words = "" if summary.bottlenecks else "<p>It kept up: no sign that it was the bottleneck.</p>"
    charts = f'<div class="pair">{generator_charts(report.measured)}</div>'
    return words + charts + _table(headings, rows, numbers_from=1)


def _about(report: RunReport, summary: Summary) -> str:
    pairs = [
        ("scenario", summary.scenario),
        ("seed", str(summary.seed)),
        ("plan", summary.digest),
        ("retry policy", report.plan.retry),
        ("shards", summary.shards),
        ("server", backend(summary)),
        ("through a proxy", "yes" if report.backend.proxied else "no"),
    ]
    pairs += [
        (f"shard {shard.number}", f"{_moment(shard.started)}, {duration(shard.seconds)}, {_machine(shard)}")
        for shard in report.shards[:20]
    ]
    rows = "".join(f"<div><dt>{_text(name)}</dt><dd>{_text(value)}</dd></div>" for name, value in pairs if value)
    return f'<dl class="about">{rows}</dl>'


def _machine(shard: ShardRun) -> str:
    one = shard.machine
    made = f"{one.processors} processors, {size(one.memory)}, Python {one.python}, {one.openssl}, umslab {one.umslab}"
    return f"{shard.processes} process{'es' * (shard.processes > 1)} on {one.system}, {made}"


def _moment(started: str) -> str:
    """A start, to the second."""
    return f"{started[:10]} {started[11:19]} UTC"


def _drawn(figure: Figure | None) -> str:
    return "" if figure is None else figure.html()


def _section(heading: str, content: str) -> str:
    return f"<section><h2>{heading}</h2>{content}</section>"


def _table(
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    numbers_from: int | None = None,
    numbers_to: int | None = None,
    marked: bool = False,
) -> str:
    """A table; columns from `numbers_from` to before `numbers_to` stand right, `marked` colours the first column."""
    columns = range(len(headings))[numbers_from:numbers_to] if numbers_from is not None else range(0)
    head = "".join(
        f'<th scope="col"{_side(place, columns)}>{_text(heading)}</th>' for place, heading in enumerate(headings)
    )
    body = []
    for row in rows:
        cells = [f"<td{_side(place, columns) or _room(cell)}>{_text(cell)}</td>" for place, cell in enumerate(row)]
        if marked:
            kind = "good" if row[0] == "met" else "bad"
            cells[0] = f'<td><span class="verdict {kind}">{_text(row[0])}</span></td>'
        body.append(f"<tr>{''.join(cells)}</tr>")
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{"".join(body)}</tbody></table></div>'


def _side(place: int, numbers: range) -> str:
    return ' class="number"' if place in numbers else ""


def _room(cell: str) -> str:
    """What is short stays in one line, and sentences have some room, however many columns there are."""
    return ' class="short"' if len(cell) <= _SHORT else ' class="long"'


def _text(text: str) -> str:
    """Whatever it is, as text."""
    return escape(printable(str(text)))
