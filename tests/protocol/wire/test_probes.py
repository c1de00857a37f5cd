# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_protocol.wire.probes."""

from __future__ import annotations

import pytest

from umslab_protocol.errors import LocalProtocolError, RemoteProtocolError
from umslab_protocol.values.unit_id import MacAddress, UnitId
from umslab_protocol.wire import probes
from umslab_protocol.wire.probes import (
    HEAD_BYTES,
    MAX_ANSWER_BYTES,
    OnlineAnswer,
    Probe,
    RegisterOrder,
    ScanAnswer,
    answer_length,
    is_register_order,
    read_online_answer,
    read_probe,
    read_register_order,
    read_scan_answer,
    write_online_answer,
    write_online_check,
    write_register_order,
    write_scan,
    write_scan_answer,
)

UNIT = UnitId("020000000001")
POCKET = UnitId("856410001234567890")
NONCE = bytes(range(16))
ANSWER = ScanAnswer(
    nonce=NONCE,
    unit_id=UNIT,
    mac=MacAddress("0200000000FE"),
    name="Kiosk ü",
    product="UD3",
    firmware="11.10.210",
    has_ums=True,
)


def test_the_bytes_are_those_of_the_document() -> None:
    """The example in docs/protocol.md, byte for byte."""
    unit = b"020000000001" + bytes(6)

    assert b"uSIM\x01\x01\x7a\x3c" + NONCE + unit == write_online_check(UNIT, NONCE, 31_292)
    assert b"uSIM\x01\x81\x00\x00" + NONCE + unit == write_online_answer(UNIT, NONCE)
    assert b"uSIM\x01\x02\x7a\x3c" + NONCE + bytes(18) == write_scan(NONCE, 31_292)


@pytest.mark.parametrize("unit_id", [UNIT, POCKET])
def test_what_is_written_is_read(unit_id: UnitId) -> None:
    """Probes and answers, also of a UD Pocket, whose unit ID fills its field."""
    assert Probe(NONCE, 0, unit_id) == read_probe(write_online_check(unit_id, NONCE, 0))
    assert Probe(NONCE, 65_535, None) == read_probe(write_scan(NONCE, 65_535))
    assert OnlineAnswer(NONCE, unit_id) == read_online_answer(write_online_answer(unit_id, NONCE))


def test_scan_answer_both_ways() -> None:
    """With all its texts; on a stream the head says how long it is."""
    data = write_scan_answer(ANSWER)

    assert ANSWER == read_scan_answer(data)
    assert len(data) - HEAD_BYTES == answer_length(data[:HEAD_BYTES])


def test_long_texts_are_cut_between_characters() -> None:
    """An answer fits into 512 bytes whatever a device is called."""
    longest = ScanAnswer(
        nonce=NONCE, unit_id=UNIT, mac=ANSWER.mac, name="ü" * 200, product="é" * 65, firmware="x" * 129, has_ums=False
    )
    data = write_scan_answer(longest)

    assert len(data) <= MAX_ANSWER_BYTES
    assert ("ü" * 64, "é" * 64, "x" * 128) == (
        (read := read_scan_answer(data)).name,
        read.product,
        read.firmware,
    )
    with pytest.raises(LocalProtocolError, match="not printable"):
        write_scan_answer(
            ScanAnswer(nonce=NONCE, unit_id=UNIT, mac=ANSWER.mac, name="\a", product="", firmware="", has_ums=False)
        )


CHECK = write_online_check(UNIT, NONCE, 1)
REPLY = write_online_answer(UNIT, NONCE)
FOUND = write_scan_answer(ANSWER)


def _with(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "bad-length"),
        (CHECK[:-1], "bad-length"),
        (CHECK + b"\0", "bad-length"),
        (_with(CHECK, 0, b"USIM"), "bad-magic"),
        (_with(CHECK, 4, b"\2"), "bad-version"),
        (REPLY, "bad-kind"),
        (_with(CHECK, 24, b"02000000000x"), "bad-unit-id"),
        (_with(CHECK, 24, bytes(18)), "bad-unit-id"),
        (_with(CHECK, 24, b"\xff"), "bad-unit-id"),
        (_with(write_scan(NONCE, 1), 41, b"1"), "bad-unit-id"),
    ],
)
def test_malformed_probes(data: bytes, code: str) -> None:
    """Each is refused with a reason."""
    with pytest.raises(RemoteProtocolError) as caught:
        read_probe(data)

    assert code == caught.value.code


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "bad-length"),
        (REPLY + b"\0", "bad-length"),
        (_with(REPLY, 6, b"\0\1"), "bad-length"),
        (CHECK, "bad-kind"),
        (_with(REPLY, 3, b"m"), "bad-magic"),
        (_with(REPLY, 24, b" "), "bad-unit-id"),
    ],
)
def test_malformed_answers_to_online_checks(data: bytes, code: str) -> None:
    """Each is refused with a reason."""
    with pytest.raises(RemoteProtocolError) as caught:
        read_online_answer(data)

    assert code == caught.value.code


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "bad-length"),
        (REPLY, "bad-kind"),
        (FOUND[:-1], "bad-length"),
        (FOUND + b"\0", "bad-length"),
        (_with(FOUND[:HEAD_BYTES], 6, b"\0\6") + bytes(6), "bad-length"),
        (_with(FOUND[:HEAD_BYTES], 6, b"\1\xd7") + bytes(471), "bad-length"),
        (_with(FOUND, 49, b"\x81"), "bad-text"),
        (_with(FOUND, 49, b"\x7f"), "bad-text"),
        (_with(FOUND, 49, b"\7"), "bad-text"),
        (_with(FOUND, 50, b"\xff"), "bad-text"),
        (_with(FOUND, 50, b"\x1b"), "bad-text"),
        (_with(FOUND, 49, b"\0\0\0"), "bad-length"),
        (_with(FOUND, 24, b"x"), "bad-unit-id"),
    ],
)
def test_malformed_answers_to_scans(data: bytes, code: str) -> None:
    """Each is refused with a reason: lengths that lie, texts that are none, control characters."""
    with pytest.raises(RemoteProtocolError) as caught:
        read_scan_answer(data)

    assert code == caught.value.code


def test_reading_keeps_a_bounded_memory() -> None:
    """Unit IDs that were read once are known, but not all that ever came."""
    for number in range(40_000):
        read_online_answer(write_online_answer(UnitId(f"02{number:010X}"), NONCE))

    assert 1 << 15 == probes._read_unit.cache_info().currsize


def test_order_to_register() -> None:
    """As written; whatever is cut off or added makes it none."""
    order = RegisterOrder(nonce=NONCE, unit_id=UNIT, web_port=8443, os11_port=30_001, token=bytes(32))
    data = write_register_order(order)

    assert is_register_order(data)
    assert order == read_register_order(data)
    for broken in (data[:-1], data + b"x", data[:6] + b"\0\1" + data[8:], b"x" + data[1:]):
        with pytest.raises(RemoteProtocolError):
            read_register_order(broken)
    with pytest.raises(LocalProtocolError):
        write_register_order(RegisterOrder(nonce=NONCE, unit_id=UNIT, web_port=1, os11_port=1, token=b""))
