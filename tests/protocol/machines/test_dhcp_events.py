# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_protocol.machines.dhcp_events."""

from __future__ import annotations

import pytest

from umslab_protocol.machines.dhcp_events import Timing


@pytest.mark.parametrize(("attempt", "full"), [(1, 4), (2, 8), (5, 64), (6, 64), (10_000, 64)])
def test_waits(attempt: int, full: float) -> None:
    """RFC 2131 section 4.1: doubled up to 64 s, and one second of chance either way."""
    timing = Timing()

    assert (full - 1, full, full + 1) == (
        timing.wait(attempt, 0.0), timing.wait(attempt, 0.5), timing.wait(attempt, 1.0),
    )  # fmt: skip


def test_a_wait_is_never_negative() -> None:
    """Whatever the settings."""
    assert 0.0 == Timing(first_wait=0.1).wait(1, 0.0)
