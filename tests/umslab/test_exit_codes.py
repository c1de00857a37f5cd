# SPDX-License-Identifier: Apache-2.0
"""The exit codes are the documented ones, all different."""

from __future__ import annotations

from umslab import exit_codes


def test_the_table() -> None:
    """0, 1, 2, 3 and 99: the same for every verb."""
    codes = (exit_codes.OK, exit_codes.ERROR, exit_codes.USAGE, exit_codes.FAILED, exit_codes.MISSED)

    assert (0, 1, 2, 3, 99) == codes
