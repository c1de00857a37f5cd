# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab.cli.scan_output."""

from __future__ import annotations

from typing import Any

import pytest

from umslab.cli.scan_output import Progress, print_report


def test_progress_is_told_a_tenth_at_a_time(capsys: pytest.CaptureFixture[str]) -> None:
    """And not at all where machines listen."""
    for quiet, lines in ((False, 10), (True, 0)):
        progress = Progress(quiet=quiet)
        for asked in range(101):
            progress.take({"addresses": 100, "asked": asked, "found": 0})
        assert lines == len(capsys.readouterr().err.splitlines())


def test_progress_of_those_that_are_to_register(capsys: pytest.CaptureFixture[str]) -> None:
    """How many have come, when it is another tenth of them."""
    progress = Progress(quiet=False)
    for registered in range(31):
        progress.take({"addresses": 1, "asked": 1, "found": 30, "ordered": 30, "registered": registered})
    told = capsys.readouterr().err.splitlines()

    assert ("30 devices ordered to register, 0 have", "30 devices ordered to register, 30 have") == (told[0], told[-1])
    assert 11 == len(told)


def test_odd_answers_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    """How many of which kind; what is new is not odd."""
    report: dict[str, Any] = {
        "devices": [],
        "registrations": [],
        "asked": 1,
        "answers": {"new": 1, "forged": 2},
        "refused": {},
    }
    with pytest.raises(SystemExit) as ended:
        print_report(report, as_json=False)

    assert 3 == ended.value.code
    assert "answers that did not count: 2 forged" in capsys.readouterr().out
