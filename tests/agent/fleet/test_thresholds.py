# SPDX-License-Identifier: Apache-2.0
"""Thresholds are short sentences: understood, judged, or refused with what would be right."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from umslab_agent.fleet.blame import Side
from umslab_agent.fleet.histogram import Histogram
from umslab_agent.fleet.measured import Arrivals, Cause, Condition, FailureGroup, Measured, PhaseTimes, Step, StepTimes
from umslab_agent.fleet.series import Series
from umslab_agent.fleet.thresholds import parse_threshold
from umslab_protocol.errors import InvalidValueError
from umslab_protocol.values.failure import Phase, Reason

MEASURED = Measured(
    devices=200,
    managed_once=199,
    arrivals=Arrivals(late=Histogram.of([0.05]), missed=1),
    steps={
        Step.MANAGED: StepTimes(latency=Histogram.of([number / 100 for number in range(1, 101)])),
        Step.TLS: StepTimes(latency=Histogram.of([0.2]), service=Histogram.of([0.1])),
    },
    conditions={Condition.FAILED: Series(0, [4, -3]), Condition.OFFLINE: Series(0, [2])},
    phases=[
        PhaseTimes("onboard", 0.0, 0, gained=Histogram.of([8.0] * 198)),
        PhaseTimes("restart", 9.0, 198, Histogram.of([30.0] * 198), Histogram.of([1.0] * 198)),
    ],
    failures=[
        FailureGroup(Cause(Side.SERVER, Phase.ENROL, Reason.BUSY), 7),
        FailureGroup(Cause(Side.PROXY, Phase.ENROL, Reason.BUSY), 5),
    ],
)


@pytest.mark.parametrize(
    ("text", "met", "said"),
    [
        ("managed.p99 < 1s", True, "990 ms"),
        ("managed.p50<100ms", False, "500 ms"),
        ("managed.p99.9 <= 1.1s", True, "1.00 s"),
        ("managed.max > 0.01m", True, "1.00 s"),
        ("managed.mean < 1h", True, "505 ms"),
        ("tls.p99 < 150ms", False, "200 ms"),
        ("tls.service.p99 < 150ms", True, "100 ms"),
        ("late.p99 < 10us", False, "50.0 ms"),
        ("enrol.p99 < 1h", False, "never"),
        ("until.p99 < 8.1s", True, "8.00 s"),
        ("until.p100 < 1h", False, "never"),
        ("restart.until.p99 < 10s", False, "30.0 s"),
        ("monsoon.until.p99 < 10s", False, "never"),
        ("managed >= 99.9%", False, "99.5 % (199 of 200)"),
        ("managed >= 199", True, "199"),
        ("failed < 1%", True, "0.5 % (1 of 200)"),
        ("offline < 1", False, "2"),
        ("missed <= 0.5%", True, "0.5 % (1 of 200)"),
        ("failures < 12", False, "12"),
        ("failures.server < 8", True, "7"),
        ("failures.unknown <= 0", True, "0"),
    ],
)
def test_judged(text: str, met: bool, said: str) -> None:  # noqa: FBT001 - a column of the table
    """What was measured is said beside the verdict."""
    result = parse_threshold(text).judge(MEASURED)

    assert (met, said) == (result.met, result.said)
    name = re.split("[<>]", text)[0]
    assert ("." in name and not name.startswith("failures")) == result.about_time


def test_nothing_measured_keeps_nothing() -> None:
    """A run without devices has kept no share."""
    assert not parse_threshold("managed >= 0%").judge(Measured()).met


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "METRIC < VALUE"),
        ("managed", "METRIC < VALUE"),
        ("managed.p99 < ", "METRIC < VALUE"),
        ("managed.p99 == 5s", "METRIC < VALUE"),
        ("managed.p99 < -5s", "METRIC < VALUE"),
        ("managed.p99 < 5s and more", "METRIC < VALUE"),
        ("x" * 500, "METRIC < VALUE"),
        ("managed.p99 < 5", "unit of time"),
        ("managed.p99 < 5%", "unit of time"),
        ("managed.p99 < 5y", "unit of time"),
        ("managed.p0 < 5s", "no metric"),
        ("managed.p101 < 5s", "no metric"),
        ("managed.median < 5s", "no metric"),
        ("lunch.p99 < 5s", "tcp, tls, cacerts"),
        ("failures.wife < 5", "no metric"),
        ("failed < 5s", "a number or a percentage"),
        ("failed < 101%", "more than all"),
        ("failures < 5%", "a number"),
    ],
)
def test_refused(text: str, why: str) -> None:
    """What is not understood is refused with what would be right, in one short line."""
    with pytest.raises(InvalidValueError, match=why) as refused:
        parse_threshold(text)

    assert len(str(refused.value)) < 400


@settings(deadline=None, max_examples=50)
@given(st.text(max_size=60) | st.from_regex(r"[a-z.]{1,20} ?[<>]=? ?[0-9.]{1,6}[a-z%]{0,2}", fullmatch=True))
def test_any_text(text: str) -> None:
    """It is a threshold that can be judged, or an `InvalidValueError`."""
    try:
        threshold = parse_threshold(text)
    except InvalidValueError:
        return
    threshold.judge(MEASURED)
