# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_protocol.machines.retrying."""

from __future__ import annotations

import pytest

from umslab_protocol.machines.retrying import MAY_PASS, RetryPolicy
from umslab_protocol.values.failure import Reason


@pytest.mark.parametrize(("attempt", "wait"), [(1, 1.0), (2, 2.0), (5, 16.0), (9, 256.0), (10, 300.0), (10_000, 300.0)])
def test_waits_double_up_to_the_most(attempt: int, wait: float) -> None:
    """Without luck; any number of attempts."""
    assert wait == RetryPolicy().wait(attempt, 0.0)


def test_chance_shortens() -> None:
    """By at most the share that is its own."""
    assert 0.5 == RetryPolicy(jitter=0.5).wait(1, 1.0)
    assert 1.0 == RetryPolicy(jitter=0.0).wait(1, 1.0)


def test_what_needs_somebody_does_not_pass() -> None:
    """Another server, a wrong key: no wait helps."""
    assert not MAY_PASS & {Reason.PIN_MISMATCH, Reason.KEY_REFUSED, Reason.ENROL_REFUSED, Reason.STATE_DAMAGED}
