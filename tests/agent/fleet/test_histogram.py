# SPDX-License-Identifier: Apache-2.0
"""Durations are counted to three digits, merged without loss, and read only from texts that are right."""

from __future__ import annotations

import base64
import math
import struct
import zlib

import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given, settings
from hypothesis import strategies as st

from umslab_agent.fleet.histogram import MAX_TEXT, Histogram, HistogramError

durations = st.lists(st.floats(0, 3_600), min_size=1, max_size=200)
MILLISECONDS = [number / 1000 for number in range(1, 10_001)]


def test_known_data() -> None:
    """Of 1 to 10,000 ms, each percentile is what it is, to 0.1 %; nothing is lost, and the mean is right."""
    histogram = Histogram.of(MILLISECONDS)

    assert 10_000 == histogram.count
    for percent, seconds in ((0.01, 0.001), (50, 5.0), (90, 9.0), (99, 9.9), (99.9, 9.99), (100, 10.0)):
        assert seconds == pytest.approx(histogram.percentile(percent), rel=0.001)
    assert 5.0005 == pytest.approx(histogram.mean, rel=0.001)
    assert histogram.maximum == histogram.percentile(100)


@settings(deadline=None, max_examples=50)
@given(durations, st.floats(0, 100))
def test_percentiles_against_a_sorted_list(values: list[float], percent: float) -> None:
    """A percentile is the value of that rank, or at most a bucket above it."""
    found = Histogram.of(values).percentile(percent)
    rank = max(1, math.ceil(len(values) * percent / 100 - 1e-9))
    exact = sorted(values)[rank - 1]

    assert exact - 1e-6 <= found <= exact * (1 + 1 / 1000) + 1e-6


@settings(deadline=None, max_examples=50)
@given(durations, durations)
def test_merging_loses_nothing(left: list[float], right: list[float]) -> None:
    """Two merged are the same as one that had recorded everything, and a copy stays as it was."""
    merged = Histogram.of(left)
    before = merged.copy()
    merged.merge(Histogram.of(right))

    assert Histogram.of([*left, *right]) == merged
    assert Histogram.of(left) == before


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(0, 3_600), max_size=200))
def test_text_and_back(values: list[float]) -> None:
    """What is written is read back, by us and by the library that others use."""
    histogram = Histogram.of(values)
    text = histogram.encode()
    other = HdrHistogram.decode(text)

    assert histogram == Histogram.decode(text)
    assert histogram.count == other.get_total_count()
    if values:
        assert round(histogram.maximum * 1e6) == min(other.get_max_value(), 3_600_000_000)


def test_text_of_others_is_read() -> None:
    """A text that the library wrote is read."""
    other = HdrHistogram(1, 3_600_000_000, 3)
    other.record_value(1_500, 7)
    other.record_value(3_600_000_000)

    read = Histogram.decode(other.encode().decode())

    assert [(0.0015, 7), (3600.0, 1)] == list(read.items())


def test_ends_of_the_range() -> None:
    """Below nothing counts as nothing, above an hour as an hour; an empty one answers 0."""
    histogram = Histogram()
    assert (0, 0.0, 0.0, [0.0, 0.0]) == (
        histogram.count,
        histogram.mean,
        histogram.maximum,
        histogram.percentiles([50, 99]),
    )

    histogram.record(-1.0)
    histogram.record(1e9, 3)

    assert [(0.0, 1), (3600.0, 3)] == list(histogram.items())
    assert "<Histogram of 4>" == repr(histogram)


def _text(body: bytes, *, cookie: int = 0x1C849314, length: int | None = None) -> str:
    packed = zlib.compress(body)
    head = struct.pack(">II", cookie, len(packed) if length is None else length)
    return base64.b64encode(head + packed).decode()


def _body(counts: bytes, *, cookie: int = 0x1C849313, digits: int = 3, highest: int = 3_600_000_000) -> bytes:
    return struct.pack(">IIIIQQd", cookie, len(counts), 0, digits, 1, highest, 1.0) + counts


def test_a_handmade_text() -> None:
    """The builder of the next test makes texts that are right: two zeros, then 3 times 2 microseconds."""
    assert [(0.000002, 3)] == list(Histogram.decode(_text(_body(b"\x03\x06"))).items())


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "HDR"),
        ("not base64!", "base64"),
        ("ä", "base64"),
        ("A" * (MAX_TEXT + 4), "at most"),
        (_text(_body(b"")[:-1]), "cut off"),
        (_text(_body(b""), cookie=1), "HDR"),
        (_text(_body(b""), length=3), "HDR"),
        (_text(_body(b"", cookie=7)), "HDR"),
        (_text(_body(b"", digits=5)), "3 significant"),
        (_text(_body(b"", highest=2**62)), "1 hour"),
        (_text(_body(b"\x80")), "cut off"),
        (_text(_body(b"\xff" * 8)), "cut off"),
        (_text(_body(b"\xff" * 9)), "counters"),
        (_text(_body(b"\xfe" * 8 + b"\xff")), "at most"),
        (_text(_body(b"\x02" * 23_553)), "counters"),
        (_text(_body(b"\xff\xff\xff\x0f")), "counters"),
        (_text(bytes(50 * 1024 * 1024)), "too large"),
        (base64.b64encode(struct.pack(">II", 0x1C849314, 4) + b"zzzz").decode(), "damaged"),
    ],
)
def test_hostile_texts(text: str, why: str) -> None:
    """Everything else is refused with a reason, in little memory."""
    with pytest.raises(HistogramError, match=why):
        Histogram.decode(text)
