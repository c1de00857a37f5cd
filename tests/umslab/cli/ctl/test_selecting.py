# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab.cli.ctl.selecting."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from umslab import exit_codes
from umslab.cli.ctl.selecting import moment, pairs, seconds, selector
from umslab.cli.output import UserError


def test_selector() -> None:
    """One way, and names on top of any."""
    assert {"unit_ids": ["A"], "directory": None, "everyone": False, "view": None} == selector(
        ["A"], None, None, everyone=False
    )
    assert {"unit_ids": [], "directory": "/x", "everyone": False, "view": None} == selector(
        None, "/x", None, everyone=False
    )
    assert selector(["A"], None, None, everyone=True)["everyone"]


@pytest.mark.parametrize(
    ("ways", "everyone"), [((None, None, None), False), ((None, "/", "v"), False), ((["A"], "/", None), True)]
)
def test_no_selector(ways: tuple[Any, Any, Any], *, everyone: bool) -> None:
    """Nothing said, or too much: a usage error."""
    with pytest.raises(UserError) as caught:
        selector(*ways, everyone=everyone)

    assert exit_codes.USAGE == caught.value.exit_code


def test_pairs() -> None:
    """Words with an equals sign; the value may hold more of them, or be empty."""
    assert {"text": "a=b", "x": ""} == pairs(["text=a=b", "x="])
    assert {} == pairs(None)
    for bad in ("text", "=x"):
        with pytest.raises(UserError, match="write NAME=VALUE"):
            pairs([bad])


@pytest.mark.parametrize(
    ("text", "expected"),
    [("90", 90), ("45s", 45), ("10m", 600), ("1.5h", 5400), ("1d", 86_400), ("2w", 1_209_600), ("0", 0)],
)
def test_seconds(text: str, expected: float) -> None:
    """A number with a unit."""
    assert expected == seconds(text)


@pytest.mark.parametrize("text", ["", "-1", "1 hour", "1y", "h", "1e9", "٣m"])
def test_no_seconds(text: str) -> None:
    """Anything else is a usage error."""
    assert seconds(None) is None
    with pytest.raises(UserError, match="is no duration"):
        seconds(text)


def test_moment() -> None:
    """With its zone, or in local time."""
    assert moment(None) is None
    there, here = moment("2026-11-21T20:40:00Z"), moment("2026-11-21T20:40")

    assert timedelta(0) == datetime.fromisoformat(there or "") - datetime.fromisoformat("2026-11-21T20:40:00+00:00")
    assert datetime.fromisoformat("2026-11-21T20:40").astimezone() == datetime.fromisoformat(here or "")
    for bad in ("tomorrow", "2026-13-01", "0001-01-01T00:00:00+14:00"):
        with pytest.raises(UserError, match="is no date"):
            moment(bad)
