# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_runtime.clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
import trio

from umslab_runtime.clock import SkewedClock, SystemClock, VirtualClock

if TYPE_CHECKING:
    from trio.testing import MockClock

START = datetime(2026, 1, 1, tzinfo=UTC)


async def test_system_clock_has_the_machines_date() -> None:
    """The real calendar is the machine's, in UTC."""
    before = datetime.now(UTC)

    now = SystemClock().utc()

    assert before <= now <= datetime.now(UTC)
    assert UTC is now.tzinfo


async def test_system_clock_counts_on_trios_clock(mock_clock: MockClock) -> None:
    """Durations are measured on Trio's clock, so that a test's clock rules them, too."""
    clock = SystemClock()
    began = clock.monotonic()
    mock_clock.jump(7.5)

    assert pytest.approx(clock.monotonic() - began) == 7.5


async def test_virtual_calendar_runs_with_virtual_time(autojump_clock: MockClock) -> None:
    """A virtual day is a day later in the calendar at once."""
    clock = VirtualClock(START)
    before = clock.utc()
    await trio.sleep(86_400)

    assert before == START
    assert START + timedelta(days=1) == clock.utc()
    assert clock.monotonic() == 86_400


async def test_skewed_calendar_counts_the_same_seconds(autojump_clock: MockClock) -> None:
    """A clock that is wrong is wrong by the same amount for ever, and its durations are right."""
    clock = VirtualClock(START, skew=timedelta(days=-400))
    await trio.sleep(60)

    assert START - timedelta(days=400) + timedelta(minutes=1) == clock.utc()
    assert clock.monotonic() == 60


async def test_a_skewed_clock_is_wrong_about_the_date_only(autojump_clock: MockClock) -> None:
    """Its calendar is off by the skew, and goes on with the right one."""
    clock = SkewedClock(VirtualClock(START), timedelta(days=-3))
    await clock.sleep(60)

    assert START - timedelta(days=3) + timedelta(seconds=60) == clock.utc()
    assert 60 == clock.monotonic()
