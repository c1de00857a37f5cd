# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_runtime.latencies."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from umslab_runtime.latencies import BOUNDS, Latencies


def recorded(*seconds: float) -> Latencies:
    """A histogram of these durations."""
    latencies = Latencies()
    for one in seconds:
        latencies.record(one)
    return latencies


def test_the_bounds_grow_by_a_ninth_at_most() -> None:
    """From ten microseconds to ninety seconds, with the round numbers that graphs have."""
    assert (0.00001, 90.0) == (BOUNDS[0], BOUNDS[-1])
    assert all(1.0 < after / before < 1.112 for before, after in pairwise(BOUNDS))
    assert {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0} < set(BOUNDS)


def test_count_total_and_longest() -> None:
    """Exact, whatever the buckets are; a negative duration is none."""
    latencies = recorded(0.5, 0.25, -1.0, 200.0)

    assert (4, 200.75, 200.0) == (latencies.count, latencies.total, latencies.longest)


def test_nothing_yet() -> None:
    """Percentiles of nothing are 0."""
    assert 0.0 == Latencies().percentile(99)


@pytest.mark.parametrize(("percent", "seconds"), [(0, 0.01), (50, 0.01), (90, 0.01), (91, 0.1), (99, 0.1), (100, 3.7)])
def test_percentiles_of_known_data(percent: float, seconds: float) -> None:
    """Ninety short ones, nine longer ones, and one that is the longest."""
    assert seconds == recorded(*[0.01] * 90, *[0.1] * 9, 3.7).percentile(percent)


def test_percentiles_are_at_most_a_ninth_too_high() -> None:
    """Against the sorted list, for durations of all sizes."""
    chance = random.Random(1)
    durations = sorted(10 ** chance.uniform(-4.5, 1.5) for _ in range(10_000))
    latencies = recorded(*durations)

    for percent in (1, 10, 50, 90, 99, 99.9):
        exact = durations[int(len(durations) * percent / 100) - 1]
        assert exact <= latencies.percentile(percent) <= exact * 1.112


def test_longer_than_all_bounds() -> None:
    """What is longer than the last bound is the longest."""
    assert 1000.0 == recorded(1.0, 1000.0).percentile(99)


def test_within_a_bound() -> None:
    """The edge counts."""
    latencies = recorded(0.04, 0.05, 0.0501, 100.0)

    assert (2, 3) == (latencies.within(0.05), latencies.within(90.0))


def test_reset() -> None:
    """As new."""
    latencies = recorded(1.0)
    latencies.reset()

    assert (0, 0.0, 0.0, 0.0) == (latencies.count, latencies.total, latencies.longest, latencies.percentile(50))
