# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab.cli.ctl.changing; the verbs that use it have their own."""

from __future__ import annotations

import pytest

from umslab.cli.ctl.changing import pairs, print_outcome
from umslab.cli.output import UserError


def test_pairs() -> None:
    """A value may hold an equals sign, or nothing."""
    assert {"a": "1=2", "b": ""} == pairs(["a=1=2", "b="])
    with pytest.raises(UserError, match="c is not NAME=VALUE"):
        pairs(["c"])


def test_outcome(capsys: pytest.CaptureFixture[str]) -> None:
    """How many devices, and each warning on its line, harmless for a terminal."""
    print_outcome({"devices": 1, "warnings": ["too \x1b[31m many"]})
    print_outcome({"devices": 2, "warnings": []})
    first, warning, second = capsys.readouterr().out.splitlines()

    assert ("1 device is to have something else now", "2 devices are to have something else now") == (first, second)
    assert "\x1b" not in warning
