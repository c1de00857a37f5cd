# SPDX-License-Identifier: Apache-2.0
"""Arrivals come when their distribution says, never in batches, and always the same from one seed."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from umslab_agent.fleet.arrivals import BARS, arrival_times, busiest_second, picture
from umslab_agent.fleet.scenario import AtOnce, ConstantRate, Poisson, Ramp, Replay


def test_all_at_once() -> None:
    """Everybody at 0."""
    assert [0.0] * 3 == arrival_times(AtOnce(), 3, 1)


def test_a_ramp_is_even() -> None:
    """The same time between any two, over the whole of it."""
    times = arrival_times(Ramp(seconds=60), 240, 1)

    assert (0.0, 59.75) == (times[0], times[-1])
    assert {0.25} == {round(later - earlier, 9) for earlier, later in pairwise(times)}
    assert 4 == busiest_second(times)


def test_a_constant_rate() -> None:
    """One every quarter of a second."""
    assert [0.0, 0.25, 0.5, 0.75] == arrival_times(ConstantRate(per_second=4), 4, 1)


def test_poisson_gaps_are_exponential() -> None:
    """Mean and deviation of the gaps are both 1/rate; a share of exp(-1) is longer than the mean."""
    count, rate = 20_000, 50.0
    times = arrival_times(Poisson(per_second=rate), count, 7)
    gaps = [later - earlier for earlier, later in pairwise([0.0, *times])]
    mean = sum(gaps) / count
    deviation = math.sqrt(sum((gap - mean) ** 2 for gap in gaps) / count)

    assert 1 / rate == pytest.approx(mean, rel=0.03)
    assert 1 / rate == pytest.approx(deviation, rel=0.03)
    assert math.exp(-1) == pytest.approx(sum(gap > 1 / rate for gap in gaps) / count, abs=0.02)
    assert times == sorted(times)


def test_poisson_has_no_batches() -> None:
    """Fractions of seconds are spread evenly: no tick of any length."""
    times = arrival_times(Poisson(per_second=100), 10_000, 3)
    tenths = [0] * 10
    for at in times:
        tenths[int(at % 1 * 10)] += 1

    assert all(850 < count < 1150 for count in tenths)
    assert 10_000 == len(set(times))


def test_chance_comes_from_the_seed() -> None:
    """The same seed, the same arrivals; another one, others."""
    poisson = Poisson(per_second=5)

    assert arrival_times(poisson, 20, 1) == arrival_times(poisson, 20, 1)
    assert arrival_times(poisson, 20, 1) != arrival_times(poisson, 20, 2)


def test_a_recording_is_played_as_it_is() -> None:
    """The first so many; too few are refused."""
    recording = Replay(seconds=(0.0, 0.5, 7.0))

    assert [0.0, 0.5] == arrival_times(recording, 2, 1)
    with pytest.raises(ValueError, match="3 arrivals are recorded for 4"):
        arrival_times(recording, 4, 1)


@given(st.lists(st.floats(0, 100), min_size=1, max_size=40))
def test_the_busiest_second(times: list[float]) -> None:
    """The most arrivals that any second holds, wherever it begins."""
    times.sort()

    assert max(sum(begin <= at and at - begin < 1 for at in times) for begin in times) == busiest_second(times)


def test_the_picture() -> None:
    """High where many are, blank where none is, and as wide as asked for."""
    drawn = picture([0.0, 0.1, 0.2, 0.3, 5.0, 10.0], width=10)

    assert 10 == len(drawn)
    assert (BARS[-1], " ") == (drawn[0], drawn[2])
    assert drawn[0] > drawn[-1] > " "
    assert (BARS[-1], "") == (picture([0.0, 0.0]), picture([]))
