# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_protocol.wire.close_codes."""

from __future__ import annotations

import pytest

from umslab_protocol.wire.close_codes import REFUSAL_HEADER, CloseCode, Refusal

STANDARD = {
    "NORMAL": 1000,
    "GOING_AWAY": 1001,
    "PROTOCOL_ERROR": 1002,
    "ABNORMAL": 1006,
    "INVALID_DATA": 1007,
    "POLICY": 1008,
    "TOO_BIG": 1009,
    "INTERNAL_ERROR": 1011,
    "BUSY": 1013,
}


def test_standard_codes() -> None:
    """Below 4000 every number is the registered one."""
    assert STANDARD == {code.name: code.value for code in CloseCode if code < 4000}


@pytest.mark.parametrize("code", [code for code in CloseCode if code.name not in STANDARD])
def test_our_codes_are_private(code: CloseCode) -> None:
    """What we made up stands in the range that RFC 6455 section 7.4.2 keeps for private use."""
    assert 4000 <= code <= 4999


def test_a_device_can_tell_unknown_from_refused() -> None:
    """What L7 implies: no two refusals are the same on the wire."""
    assert list(Refusal.__members__) == [refusal.name for refusal in Refusal]


def test_the_refusal_header_is_marked_as_ours() -> None:
    """Nobody takes it for the vendor's."""
    assert "Umslab-Refusal" == REFUSAL_HEADER
