# SPDX-License-Identifier: Apache-2.0
"""Numbers are short, and all and nothing are only that."""

from __future__ import annotations

import pytest

from umslab_agent.fleet.units import duration, number, share, size, tick


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "never"),
        (0, "0 s"),
        (0.0000123, "12 µs"),
        (0.00123, "1.23 ms"),
        (0.999, "999 ms"),
        (1.5, "1.50 s"),
        (59.94, "59.9 s"),
        (599, "599 s"),
        (600, "10.0 min"),
        (36_000, "10.0 h"),
    ],
)
def test_durations(seconds: float | None, words: str) -> None:
    """Three digits and a unit."""
    assert words == duration(seconds)


def test_sizes_and_numbers() -> None:
    """Binary units; thousands apart; fractions only of small numbers."""
    assert ["512 KiB", "1.50 MiB", "2.00 GiB"] == [size(512 * 1024), size(1.5 * 1024**2), size(2 * 1024**3)]
    assert ["0", "12,345", "0.25", "100"] == [number(0), number(12_345), number(0.25), number(100.4)]


@pytest.mark.parametrize(
    ("part", "whole", "words"),
    [
        (1, 0, "-"),
        (0, 5, "0 %"),
        (5, 5, "100 %"),
        (1, 3, "33.3 %"),
        (1, 100_000, "0.01 %"),
        (99_999, 100_000, "99.99 %"),
    ],
)
def test_shares(part: int, whole: int, words: str) -> None:
    """One of a hundred thousand is not nothing, and all but one not all."""
    assert words == share(part, whole)


def test_ticks() -> None:
    """Round numbers stay round."""
    assert ["0", "1 µs", "20 ms", "500 ms", "100 s"] == [
        tick(0), tick(1e-6), tick(0.02), tick(0.5), tick(100),
    ]  # fmt: skip
