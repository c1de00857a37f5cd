# SPDX-License-Identifier: Apache-2.0
"""The charts of a run: which numbers are drawn how. What has no numbers is not drawn."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from umslab.fleet.charts import (
    Axis,
    Figure,
    Frame,
    Line,
    Mark,
    line_chart,
    linear_axis,
    log_axis,
    nines_axis,
    nines_of,
    stacked_chart,
    stairs,
    time_axis,
)
from umslab_agent.fleet.blame import Side
from umslab_agent.fleet.measured import Condition, Step
from umslab_agent.fleet.series import FINEST, Peaks, Series
from umslab_agent.fleet.units import duration, number, size, tick

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from umslab_agent.fleet.measured import Generator, Measured

MOST_BINS_DRAWN = 240
_SMALL = (470, 200)
_STACK = (
    (Condition.MANAGED, "managed"),
    (Condition.CONNECTED, "connected"),
    (Condition.ONBOARDING, "onboarding"),
    (Condition.OFFLINE, "offline"),
    (Condition.FAILED, "failed"),
)
_DASHES = {Step.TCP: "2 3", Step.CACERTS: "8 3", Step.WEBSOCKET: "8 3 2 3", Step.COMMAND: "3 3"}


def devices_over_time(measured: Measured) -> Figure:
    """How many devices were in which condition."""
    seconds = _seconds(measured)
    names = [condition for condition, _ in _STACK]
    changes = _aligned([measured.conditions.get(one, Series()) for one in names], seconds)
    width = changes[0].width
    layers = [
        Line(str(name), colour, stairs([max(0, level) for level in one.levels()], width))
        for (name, colour), one in zip(_STACK, changes, strict=True)
    ]
    frame = Frame(
        "Devices over time",
        f"{number(measured.managed_once)} of {number(measured.devices)} devices were managed at least once",
        time_axis(seconds),
        linear_axis(max(measured.devices, 1), number, "devices"),
    )
    return Figure(frame, stacked_chart(frame, layers, _marks(measured)), layers, filled=True)


def arrivals_over_time(measured: Measured) -> Figure:
    """How many devices were to start a second, and how many did."""
    arrivals = measured.arrivals
    seconds = _seconds(measured)
    intended, started = _aligned([arrivals.intended, arrivals.started], seconds)
    lines = [
        Line("started", "started", stairs([count / started.width for count in started.bins], started.width)),
        Line(
            "intended", "intended", stairs([count / intended.width for count in intended.bins], intended.width), "5 4"
        ),
    ]
    high = max((y for line in lines for _, y in line.points), default=0.0)
    told = f"{number(arrivals.started.total)} of {number(arrivals.intended.total)} devices started"
    frame = Frame("Arrivals", told, time_axis(seconds), linear_axis(max(high, 1.0), number, "devices a second"))
    return Figure(frame, line_chart(frame, lines, _marks(measured)), lines)


def latency_curves(measured: Measured) -> Figure | None:
    """Latency of each step by percentile, both axes so that the tail shows."""
    found = [(step, measured.steps[step].latency) for step in Step if step in measured.steps]
    found = [(step, histogram) for step, histogram in found if histogram.count]
    if not found:
        return None
    nines = min(5.0, max(math.log10(max(2, histogram.count)) for _, histogram in found))
    lines = []
    for step, histogram in found:
        most = min(nines, math.log10(max(2, histogram.count)))
        percents = [100 * (1 - 10 ** -(most * place / 100)) for place in range(101)]
        values = histogram.percentiles(percents)
        points = [(nines_of(percent), max(value, 1e-6)) for percent, value in zip(percents, values, strict=True)]
        lines.append(Line(str(step), f"step-{step}", points, _DASHES.get(step, ""), heavy=step is Step.MANAGED))
    low = min(y for line in lines for _, y in line.points)
    high = max(y for line in lines for _, y in line.points)
    frame = Frame(
        "Latency by percentile",
        "the table below has the numbers",
        nines_axis(nines),
        log_axis(low, max(high, low * 10), tick, "latency from the intended start"),
        height=340,
    )
    return Figure(frame, line_chart(frame, lines), lines)


def failures_over_time(measured: Measured) -> Figure | None:
    """How many tries failed a second, by side."""
    if not measured.failures:
        return None
    seconds = _seconds(measured)
    by_side = {side: Series() for side in Side}
    for group in measured.failures:
        by_side[group.cause.side].merge(group.over_time)
    layers = [
        Line(str(side), f"side-{side}", stairs([max(0, count) / one.width for count in one.bins], one.width))
        for side, one in zip(by_side, _aligned(list(by_side.values()), seconds), strict=True)
        if any(one.bins)
    ]
    if not layers:
        return None
    sums = [sum(ys) for ys in zip(*([y for _, y in layer.points] for layer in layers), strict=True)]
    frame = Frame(
        "Failed tries",
        f"{number(sum(group.count for group in measured.failures))} in all",
        time_axis(seconds),
        linear_axis(max(sums), number, "failed tries a second"),
        height=230,
    )
    return Figure(frame, stacked_chart(frame, layers, _marks(measured)), layers, filled=True)


def generator_charts(measured: Measured) -> str:
    """Processor, event loop, memory and descriptors of the busiest process at each moment, as HTML."""
    watched = [one for one in measured.generators if one.samples]
    if not watched:
        return ""
    seconds = _seconds(measured)
    kinds: list[tuple[str, Callable[[Generator], Series], float, Callable[[float], str]]] = [
        ("Processor", lambda one: one.cpu, 1000.0, lambda value: f"{value * 100:.0f} %"),
        ("Event loop late", lambda one: one.lag_peaks, 1_000_000.0, tick),
        ("Resident memory", lambda one: one.memory, 1.0, lambda value: size(value) if value else "0"),
        ("Open descriptors", lambda one: one.descriptors, 1.0, number),
    ]
    return "".join(
        _small(title, [pick(one) for one in watched], scale, words, seconds) for title, pick, scale, words in kinds
    )


def _small(title: str, of_each: Sequence[Series], scale: float, words: Callable[[float], str], seconds: float) -> str:
    highest: Series = Peaks()
    for one in of_each:
        highest.merge(one)
    (highest,) = _aligned([highest], seconds, pad=False)
    values = [max(0, value) / scale for value in highest.bins]
    peak = max(values, default=0.0)
    width, height = _SMALL
    axis = _memory_axis(peak) if title == "Resident memory" else linear_axis(max(peak, 1e-3), words, ticks=4)
    most = duration(peak) if words is tick else words(peak)
    frame = Frame(title, f"at most {most}", time_axis(seconds), axis, width, height)
    line = Line(title, "generator", stairs(values, highest.width))
    caption = f"<strong>{title}</strong> at most {most}"
    return f"<figure><figcaption>{caption}</figcaption>{line_chart(frame, [line])}</figure>"


def _memory_axis(peak: float) -> Axis:
    mebi = 1024**2
    inner = linear_axis(max(peak / mebi, 1.0), lambda value: f"{value:g} MiB" if value else "0", ticks=4)
    return Axis(0.0, inner.high * mebi, [(value * mebi, words) for value, words in inner.ticks])


def _aligned(series: Sequence[Series], seconds: float, *, pad: bool = True) -> list[Series]:
    """Copies of one width, few enough to draw, as long as the run."""
    doublings = max(one.doublings for one in series)
    longest = max(seconds, *(len(one.bins) * one.width for one in series))
    while longest / (FINEST * 2**doublings) > MOST_BINS_DRAWN:
        doublings += 1
    found = [one.coarser(doublings) for one in series]
    if pad:
        bins = max(math.ceil(seconds / found[0].width), *(len(one.bins) for one in found), 1)
        for one in found:
            one.bins.extend([0] * (bins - len(one.bins)))
    return found


def _seconds(measured: Measured) -> float:
    return min(max(measured.seconds, 1.0), 1e9)


def _marks(measured: Measured) -> list[Mark]:
    return [Mark(phase.began, phase.name) for phase in measured.phases if phase.began <= measured.seconds]
