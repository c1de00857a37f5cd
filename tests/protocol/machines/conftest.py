# SPDX-License-Identifier: Apache-2.0
"""Pairs of sessions, as most tests of the machines begin."""

from __future__ import annotations

import pytest

from tests.protocol.machines.pair import Pair


@pytest.fixture
def pair() -> Pair:
    """Both sides made, nothing carried yet."""
    return Pair()


@pytest.fixture
def greeted(pair: Pair) -> Pair:
    """Both sides past the greeting, with nothing in their lists."""
    pair.carry()
    assert pair.device.is_open
    assert pair.server.is_open
    pair.device_saw.clear()
    pair.server_saw.clear()
    return pair
