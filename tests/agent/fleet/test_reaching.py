# SPDX-License-Identifier: Apache-2.0
"""How long until so many are managed: also after a loss, also for those that blink."""

from __future__ import annotations

import pytest

from umslab_agent.fleet.histogram import Histogram
from umslab_agent.fleet.measured import PhaseTimes
from umslab_agent.fleet.reaching import time_until


def _phase(gained: list[float], lost: list[float] | None = None, before: int = 0) -> PhaseTimes:
    return PhaseTimes("one", 0.0, before, Histogram.of(gained), Histogram.of(lost or []))


@pytest.mark.parametrize(("percent", "seconds"), [(10, 1.0), (50, 5.0), (91, 10.0), (100, 10.0)])
def test_a_ramp(percent: float, seconds: float) -> None:
    """Ten devices, one a second."""
    found = time_until(_phase([float(second) for second in range(1, 11)]), 10, percent)

    assert seconds == pytest.approx(found, rel=0.001)


def test_never() -> None:
    """Nine of ten are not all, and without devices nothing is reached."""
    assert time_until(_phase([1.0] * 9), 10, 100) is None
    assert time_until(_phase([]), 0, 50) is None


def test_recovery_counts_from_the_deepest_point() -> None:
    """All are managed, all are lost one after the other, all come back: the moment before the loss does not count."""
    phase = _phase([5.0, 6.0, 7.0, 20.0], [1.0, 2.0, 3.0, 4.0], before=4)

    assert [5.0, 6.0, 20.0] == pytest.approx([time_until(phase, 4, percent) for percent in (25, 50, 100)], rel=0.001)


def test_nothing_lost_is_reached_at_once() -> None:
    """A phase that begins with all and loses none took no time."""
    assert 0.0 == time_until(_phase([], before=4), 4, 100)


def test_a_device_that_blinks() -> None:
    """What is lost and found after all were there does not count again."""
    assert 2.0 == pytest.approx(time_until(_phase([1.0, 2.0, 31.0], [30.0]), 2, 100), rel=0.001)
