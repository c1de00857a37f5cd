# SPDX-License-Identifier: Apache-2.0
"""Plain lines: what is said at once, how many are where every few seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from umslab.fleet.job import Told
from umslab.fleet.progress import EVERY_SECONDS, Progress, in_a_line

if TYPE_CHECKING:
    import pytest

LEVELS = {"planned": 5, "onboarding": 2, "managed": 30, "failed": 0}


def test_a_line() -> None:
    """Who is where, and how many tries failed; nobody is not told."""
    told = Told(levels=LEVELS, phase="onboard", seconds=12.4, failures=3)

    assert "    12 s  onboard: 30 managed, 2 on the way, 5 to come; 3 failed tries" == in_a_line(told)


def test_lines_come_every_few_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    """Of levels that are told each second; sentences come at once, and harmless."""
    progress = Progress()
    for second in range(11):
        progress.told(Told(levels=LEVELS, seconds=second, failures=second))
    progress.told(Told(say="phase 2: \x1b[31mstorm"))
    out, error = capsys.readouterr()

    assert "" == out
    assert 1 + 10 // EVERY_SECONDS == error.count("managed")
    assert "\x1b" not in error
    assert "phase 2: " in error.splitlines()[-1]


def test_what_does_not_change_is_said_less_often(capsys: pytest.CaptureFixture[str]) -> None:
    """A fleet that waits for a server says so, but not in every line."""
    progress = Progress()
    for second in range(61):
        progress.told(Told(levels=LEVELS, seconds=second))
    progress.told(Told(levels=LEVELS, seconds=65, phase="drain"))

    assert ["0 s", "30 s", "60 s", "65 s"] == [line[:8].strip() for line in capsys.readouterr().err.splitlines()]
