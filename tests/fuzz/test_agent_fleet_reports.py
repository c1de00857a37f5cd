# SPDX-License-Identifier: Apache-2.0
"""Reports of fleets from anybody: they are read, told, drawn and merged, or refused in a sentence."""

from __future__ import annotations

import random
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.fleet_runs import run_report
from umslab.fleet.comparing import compare
from umslab.fleet.junit import junit
from umslab.fleet.page import page
from umslab_agent.fleet.histogram import Histogram, HistogramError
from umslab_agent.fleet.merging import merge_reports
from umslab_agent.fleet.report import ReportError, decode_report, encode_report, outcome

ORIGINAL = encode_report(run_report(thresholds=("managed.p99 < 5s", "failed < 1%")))
LARGE = [2**53] * 9
VALUES: list[Any] = [
    None, 0, -1, 1, 40, 1024, 2**53, 2**63, 2**64, 1e308, -0.5, 0.1, "", "x", "<b>\x00\u202e", [], {}, [1], LARGE, True,
]  # fmt: skip


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 2**32), changes=st.integers(1, 3))
def test_values_in_wrong_places(seed: int, changes: int) -> None:
    """Any value anywhere in a report that was right."""
    chance = random.Random(seed)
    document = msgspec.json.decode(ORIGINAL)
    for _ in range(changes):
        _change(document, chance)
    _use(msgspec.json.encode(document))


def _change(document: Any, chance: random.Random) -> None:
    place = document
    while True:
        key = chance.choice(list(place) if isinstance(place, dict) else range(len(place)))
        inside = place[key]
        if not isinstance(inside, dict | list) or not inside or chance.random() < 0.05:
            place[key] = chance.choice(VALUES)
            return
        place = inside


def _use(data: bytes) -> None:
    """Everything that is done with a report."""
    try:
        report = decode_report(data)
    except ReportError:
        return
    page(report)
    junit(report)
    compare(report, report)
    outcome(report)
    try:
        merge_reports([report, run_report(number=1, of=1)])
    except ReportError:
        return


@settings(deadline=None, max_examples=60)
@given(start=st.integers(0, len(ORIGINAL)), length=st.integers(0, 200), put=st.binary(max_size=40))
def test_damaged_bytes(start: int, length: int, put: bytes) -> None:
    """A piece lost, or replaced by another."""
    _use(ORIGINAL[:start] + put + ORIGINAL[start + length :])


@settings(deadline=None, max_examples=150)
@given(place=st.integers(0, 400), put=st.text(max_size=8))
def test_damaged_histograms(place: int, put: str) -> None:
    """Any text is a histogram that can be used, or none."""
    text = Histogram.of([0.001, 0.5, 3_000.0]).encode()
    try:
        histogram = Histogram.decode(text[:place] + put + text[place + len(put) :])
    except HistogramError:
        return
    assert histogram.percentile(50) >= 0
    assert histogram == Histogram.decode(histogram.encode())
