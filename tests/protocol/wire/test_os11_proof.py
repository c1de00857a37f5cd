# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_protocol.wire.os11_proof."""

from __future__ import annotations

import hashlib
import hmac

import pytest

from umslab_protocol.values.device_key import DeviceKey
from umslab_protocol.values.unit_id import UnitId
from umslab_protocol.wire.os11_proof import Speaker, is_same, make_file_ticket, make_proof

KEY = DeviceKey(bytes(range(32)))
UNIT_ID = UnitId("020000000001")
UNIT = b"\x00" + b"020000000001" + b"\x00"
CALLER, CALLED = "11" * 32, "22" * 32
DIGEST = hashlib.sha256(b"hello\n").hexdigest()


@pytest.mark.parametrize(
    ("speaker", "label"),
    [
        (Speaker.CALLING_DEVICE, b"umslab 30001 device"),
        (Speaker.ANSWERING_SERVER, b"umslab 30001 server"),
        (Speaker.CALLING_SERVER, b"umslab 30005 server"),
        (Speaker.ANSWERING_DEVICE, b"umslab 30005 device"),
    ],
)
def test_what_a_proof_covers(speaker: Speaker, label: bytes) -> None:
    """Byte by byte, as docs/protocol.md says."""
    covered = label + UNIT + b"\x11" * 32 + b"\x22" * 32

    assert hmac.new(KEY.secret, covered, "sha256").hexdigest() == make_proof(
        KEY, speaker, UNIT_ID, caller=CALLER, called=CALLED
    )


def test_everything_counts() -> None:
    """Another key, speaker, device or nonce, and nonces that change places, give another proof."""
    proofs = {
        make_proof(KEY, Speaker.CALLING_DEVICE, UNIT_ID, caller=CALLER, called=CALLED),
        make_proof(DeviceKey(bytes(32)), Speaker.CALLING_DEVICE, UNIT_ID, caller=CALLER, called=CALLED),
        make_proof(KEY, Speaker.ANSWERING_SERVER, UNIT_ID, caller=CALLER, called=CALLED),
        make_proof(KEY, Speaker.CALLING_DEVICE, UnitId("020000000002"), caller=CALLER, called=CALLED),
        make_proof(KEY, Speaker.CALLING_DEVICE, UNIT_ID, caller="33" * 32, called=CALLED),
        make_proof(KEY, Speaker.CALLING_DEVICE, UNIT_ID, caller=CALLED, called=CALLER),
        make_file_ticket(KEY, UNIT_ID, DIGEST, 1_800_000_000),
        make_file_ticket(KEY, UNIT_ID, DIGEST, 1_800_000_001),
        make_file_ticket(KEY, UNIT_ID, CALLER, 1_800_000_000),
    }

    assert 9 == len(proofs)


def test_what_a_ticket_covers() -> None:
    """Byte by byte; times that no clock shows are no crash."""
    covered = b"umslab ums_filetransfer" + UNIT + bytes.fromhex(DIGEST) + (1_800_000_000).to_bytes(8, "big")

    assert hmac.new(KEY.secret, covered, "sha256").hexdigest() == make_file_ticket(KEY, UNIT_ID, DIGEST, 1_800_000_000)
    assert make_file_ticket(KEY, UNIT_ID, DIGEST, 0) == make_file_ticket(KEY, UNIT_ID, DIGEST, -5)
    assert make_file_ticket(KEY, UNIT_ID, DIGEST, 2**63) == make_file_ticket(KEY, UNIT_ID, DIGEST, 2**99)


def test_comparing() -> None:
    """Only the same text is the same, and any text may be asked about."""
    assert is_same(CALLER, CALLER)
    for other in ("", "ü", "\ud800", CALLED, CALLER + "1"):
        assert not is_same(other, CALLER)
