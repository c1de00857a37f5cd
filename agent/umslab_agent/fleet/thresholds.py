# SPDX-License-Identifier: Apache-2.0
"""What a run is to keep: `managed.p99 < 5s`, `failed < 1%`, `managed >= 99.9%`, one sentence each.

    METRIC OPERATOR VALUE          operators are < <= > >=

    STEP.STAT                      latency of a step from its intended start; steps are those of `Step`
    STEP.service.STAT              the same from its actual start
    late.STAT                      how late the generator started devices
    until.pN                       time until N % of the devices are managed, in the first phase
    PHASE.until.pN                 the same in the first phase of that name, counted from its beginning
    managed, failed, offline       devices managed at least once; given up, or offline, at the end: a number or percent
    missed                         devices that were to come and never started: a number or percent
    failures, failures.SIDE        failed tries, retries included: a number; sides are client, proxy, server, unknown

STAT is p and a percentile (`p50`, `p99.9`), `max` or `mean`. Values of times have a unit: us, ms, s, m, h.
What was never measured, or never reached, keeps no threshold.
"""

from __future__ import annotations

import operator
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta

from umslab_agent.fleet.blame import Side
from umslab_agent.fleet.measured import Condition, Step
from umslab_agent.fleet.reaching import time_until
from umslab_agent.fleet.units import duration
from umslab_protocol.errors import InvalidValueError

if TYPE_CHECKING:
    from collections.abc import Callable

    from umslab_agent.fleet.histogram import Histogram
    from umslab_agent.fleet.measured import Measured

MAX_THRESHOLD = 120
"""Characters of one."""
ThresholdText = Annotated[str, Meta(max_length=MAX_THRESHOLD)]

_SENTENCE = re.compile(r"\s*([A-Za-z0-9_.-]+?)\s*(<=|>=|<|>)\s*([0-9]+(?:\.[0-9]+)?)\s*([a-z%]*)\s*", re.ASCII)
_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_TIMES = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_SHARES = ("managed", "failed", "offline", "missed")
_EXAMPLE = "such as `managed.p99 < 5s`, `failed < 1%` or `managed >= 99.9%`"


class ThresholdResult(msgspec.Struct, forbid_unknown_fields=True):
    """What became of a threshold."""

    text: ThresholdText
    met: bool
    said: Annotated[str, Meta(max_length=200)]
    """What was measured, in words."""
    about_time: bool = False
    """It is about a latency: nothing about the server when the generator was the bottleneck."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """One, understood."""

    text: str
    metric: tuple[str, ...]
    """The parts of its name."""
    comparison: str
    limit: float
    """Seconds, devices, percent or failures."""
    percent: bool

    def judge(self, measured: Measured) -> ThresholdResult:
        """Compare with what was measured."""
        if self.metric[0] == "failures":
            return self._judge_number(float(_failures(measured, self.metric[1:])))
        if self.metric[0] in _SHARES and len(self.metric) == 1:
            return self._judge_share(_devices(measured, self.metric[0]), measured.devices)
        seconds = _seconds(measured, self.metric)
        if seconds is None:
            return ThresholdResult(self.text, met=False, said="never", about_time=True)
        met = _OPERATORS[self.comparison](seconds, self.limit)
        return ThresholdResult(self.text, met=met, said=duration(seconds), about_time=True)

    def _judge_share(self, count: int, devices: int) -> ThresholdResult:
        if not self.percent:
            return self._judge_number(float(count))
        share = 100 * count / devices if devices else 0.0
        met = devices > 0 and _OPERATORS[self.comparison](share, self.limit)
        return ThresholdResult(self.text, met=met, said=f"{share:.4g} % ({count} of {devices})")

    def _judge_number(self, number: float) -> ThresholdResult:
        return ThresholdResult(self.text, met=_OPERATORS[self.comparison](number, self.limit), said=f"{number:.0f}")


def parse_threshold(text: str) -> Threshold:
    """Understand a sentence. Raises `InvalidValueError`, which says what would be right."""
    found = _SENTENCE.fullmatch(text) if len(text) <= MAX_THRESHOLD else None
    if found is None:
        raise InvalidValueError(f"a threshold is METRIC < VALUE, {_EXAMPLE}, not {text[:60]!r}")
    name, comparison, number, unit = found.groups()
    metric = tuple(name.split("."))
    # A percentile has a dot of its own: p99.9.
    if len(metric) > 1 and re.fullmatch(r"p\d+", metric[-2]) and metric[-1].isdecimal():
        metric = (*metric[:-2], f"{metric[-2]}.{metric[-1]}")
    kind = _check_metric(metric, text)
    return Threshold(
        text=" ".join(text.split()),
        metric=metric,
        comparison=comparison,
        limit=_limit(kind, number, unit, text),
        percent=unit == "%",
    )


def _check_metric(metric: tuple[str, ...], text: str) -> str:
    """Return what its value is: `time`, `share` or `number`."""
    match metric:
        case ("managed" | "failed" | "offline" | "missed",):
            return "share"
        case ("failures",):
            return "number"
        case ("failures", side) if side in set(Side):
            return "number"
        case (step, stat) | (step, "service", stat) if step in set(Step) and _is_stat(stat):
            return "time"
        case ("late", stat) if _is_stat(stat):
            return "time"
        case ("until", stat) | (_, "until", stat) if _percentile(stat) is not None:
            return "time"
    name = ".".join(metric)
    raise InvalidValueError(
        f"threshold {text[:60]!r}: there is no metric {name[:40]!r}; there are {', '.join(_SHARES)}, "
        f"failures[.{'|'.join(Side)}], [PHASE.]until.pN, late.STAT and STEP[.service].STAT, where STEP is "
        f"{', '.join(Step)} and STAT is p50, p99.9, max or mean"
    )


def _limit(kind: str, number: str, unit: str, text: str) -> float:
    value = float(number)
    if kind == "time":
        if unit not in _TIMES:
            raise InvalidValueError(
                f"threshold {text[:60]!r}: {number}{unit} needs a unit of time: {', '.join(_TIMES)}"
            )
        return value * _TIMES[unit]
    if unit and not (kind == "share" and unit == "%"):
        right = "a number or a percentage" if kind == "share" else "a number"
        raise InvalidValueError(f"threshold {text[:60]!r}: {number}{unit} is to be {right}")
    if unit == "%" and value > 100:
        raise InvalidValueError(f"threshold {text[:60]!r}: {number}% is more than all")
    return value


def _is_stat(stat: str) -> bool:
    return stat in {"max", "mean"} or _percentile(stat) is not None


def _percentile(stat: str) -> float | None:
    if not re.fullmatch(r"p\d{1,3}(\.\d{1,6})?", stat, re.ASCII):
        return None
    percent = float(stat[1:])
    return percent if 0 < percent <= 100 else None


# Reading what was measured.


def _seconds(measured: Measured, metric: tuple[str, ...]) -> float | None:
    match metric:
        case ("late", stat):
            return _stat(measured.arrivals.late, stat)
        case ("until", stat):
            return _until(measured, None, stat)
        case (phase, "until", stat):
            return _until(measured, phase, stat)
        case (step, *service, stat):
            times = measured.steps.get(Step(step))
            if times is None:
                return None
            return _stat(times.service if service else times.latency, stat)
        case _:
            return None


def _stat(histogram: Histogram, stat: str) -> float | None:
    if not histogram.count:
        return None
    if stat == "mean":
        return histogram.mean
    return histogram.maximum if stat == "max" else histogram.percentile(_percentile(stat) or 100.0)


def _until(measured: Measured, name: str | None, stat: str) -> float | None:
    for phase in measured.phases:
        if name is None or phase.name == name:
            return time_until(phase, measured.devices, _percentile(stat) or 100.0)
    return None


def _devices(measured: Measured, name: str) -> int:
    if name == "managed":
        return measured.managed_once
    if name == "missed":
        return measured.arrivals.missed
    changes = measured.conditions.get(Condition(name))
    return changes.total if changes is not None else 0


def _failures(measured: Measured, side: tuple[str, ...]) -> int:
    return sum(group.count for group in measured.failures if not side or group.cause.side == side[0])
