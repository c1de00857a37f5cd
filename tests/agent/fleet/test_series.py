# SPDX-License-Identifier: Apache-2.0
"""Bins stay few however long a run is, and merge without loss."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from umslab_agent.fleet.series import MOST_BINS, Peaks, Series

events = st.lists(st.tuples(st.floats(0, 100_000), st.integers(-5, 50)), max_size=20)


def _series(found: list[tuple[float, int]]) -> Series:
    series = Series()
    for at, count in found:
        series.add(at, count)
    return series


def test_bins_are_eighths_of_a_second() -> None:
    """What falls into one bin is summed; before the start counts as at the start."""
    series = _series([(0.0, 1), (0.124, 2), (0.125, 3), (-9.0, 4)])

    assert [7, 3] == series.bins
    assert [7, 10] == series.levels()
    assert (0.125, 10) == (series.width, series.total)


def test_a_long_run_has_wider_bins() -> None:
    """A day is kept in at most `MOST_BINS`, and nothing is lost on the way there."""
    series = Series()
    for second in range(0, 86_400, 7):
        series.add(float(second))

    assert len(series.bins) <= MOST_BINS
    assert 128.0 == series.width
    assert len(range(0, 86_400, 7)) == series.total


@settings(deadline=None, max_examples=50)
@given(events, events)
def test_merging_is_adding_everything(left: list[tuple[float, int]], right: list[tuple[float, int]]) -> None:
    """Two merged are the same as one that had counted everything, in either order."""
    one, other = _series(left), _series(right)
    one.merge(_series(right))
    other.merge(_series(left))

    assert _series([*left, *right]) == one == other


@settings(deadline=None, max_examples=50)
@given(events)
def test_coarser_bins(found: list[tuple[float, int]]) -> None:
    """A coarser copy has the same sum, and the same level at its end; it is never finer than it was."""
    series = _series(found)
    coarse = series.coarser(series.doublings + 3)

    assert series.total == coarse.total
    assert series.width * 8 == coarse.width
    assert series == coarse.coarser(0).coarser(series.doublings) or series.doublings < coarse.doublings


def test_peaks_keep_the_highest() -> None:
    """In a bin, when bins become wider, and when two are merged."""
    peaks, other = Peaks(), Peaks()
    for at, value in ((0.0, 3), (0.01, 9), (0.125, 4), (1_000.0, 1)):
        peaks.add(at, value)
    other.add(0.0, 7)
    other.add(2.0, 8)
    peaks.merge(other)

    assert 1.0 == peaks.width
    assert [9, 0, 8] == peaks.bins[:3]
    assert 1 == peaks.bins[1000]
    assert isinstance(peaks.coarser(9), Peaks)
