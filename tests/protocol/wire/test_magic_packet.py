# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_protocol.wire.magic_packet."""

from __future__ import annotations

import pytest

from umslab_protocol.values.unit_id import MacAddress
from umslab_protocol.wire.magic_packet import woken_by, write_magic_packet

MAC = MacAddress("020000000001")
PACKET = b"\xff" * 6 + bytes.fromhex(MAC) * 16


def test_the_packet_is_102_bytes_that_everybody_knows() -> None:
    """Six bytes FF and 16 times the MAC address."""
    assert PACKET == write_magic_packet(MAC)
    assert 102 == len(PACKET)


@pytest.mark.parametrize(
    "payload",
    [PACKET, b"front" + PACKET, PACKET + b"a password", b"\xff" * 9 + PACKET, b"\xff" * 6 + bytes(96)[:50] + PACKET],
)
def test_the_pattern_may_stand_anywhere(payload: bytes) -> None:
    """Also behind more bytes FF, and behind the beginning of another one."""
    assert MAC == woken_by(payload)


@pytest.mark.parametrize(
    "payload", [b"", PACKET[:-1], PACKET[1:], b"\xff" * 102, b"\xff" * 60_000, PACKET[:-6] + bytes(6)]
)
def test_anything_else_wakes_nobody(payload: bytes) -> None:
    """Too short, not repeated, or the address of a group."""
    assert woken_by(payload) is None
