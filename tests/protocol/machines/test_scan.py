# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_protocol.machines.scan."""

from __future__ import annotations

from dataclasses import replace

import pytest

from umslab_protocol.machines import scan as scans
from umslab_protocol.machines.scan import Scan, ScanVerdict
from umslab_protocol.values.unit_id import MacAddress, UnitId
from umslab_protocol.wire.probes import ScanAnswer, read_probe, write_scan_answer

NONCE = bytes(range(16))
ANSWER = ScanAnswer(
    nonce=NONCE,
    unit_id=UnitId("020000000001"),
    mac=MacAddress("020000000001"),
    name="ITC",
    product="p",
    firmware="11.10.210",
    has_ums=False,
)


def test_every_address_is_asked_and_then_waited_for() -> None:
    """The scan is over so long after the last probe (N11)."""
    scan = Scan(["127.0.0.1", "127.0.0.2"], nonce=NONCE, reply_port=9, seconds=6.0)
    (first,) = scan.output(1.0, 1)

    assert ("127.0.0.1", 9, None) == (first.host, (probe := read_probe(first.payload)).reply_port, probe.unit_id)
    assert scan.deadline() is None
    assert not scan.is_over(100.0)
    assert ["127.0.0.2"] == [one.host for one in scan.output(2.0, 10)]
    assert [] == scan.output(2.0, 10)
    assert scan.deadline() == 8.0
    assert not scan.is_over(7.9)
    assert scan.is_over(8.0)


def test_answers_are_told_apart() -> None:
    """New, repeated, from another address, forged, malformed."""
    scan = Scan(["127.255.255.255"], nonce=NONCE, reply_port=9)
    scan.output(0.0, 1)
    data = write_scan_answer(ANSWER)

    assert ScanVerdict.NEW is scan.receive(data, "127.0.0.1")
    assert ScanVerdict.DUPLICATE is scan.receive(data, "127.0.0.1")
    assert ScanVerdict.ELSEWHERE is scan.receive(data, "127.0.0.2")
    assert ScanVerdict.FORGED is scan.receive(write_scan_answer(replace(ANSWER, nonce=bytes(16))), "127.0.0.1")
    assert ScanVerdict.MALFORMED is scan.receive(data[:-1], "127.0.0.1")
    assert ["127.0.0.1"] == [one.host for one in scan.found.values()]


def test_what_is_found_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who knows the nonce cannot fill the memory either."""
    monkeypatch.setattr(scans, "MAX_FOUND", 2)
    scan = Scan(["127.0.0.1"], nonce=NONCE, reply_port=9)
    verdicts = [
        scan.receive(write_scan_answer(replace(ANSWER, unit_id=UnitId(f"02{number:010X}"))), "127.0.0.1")
        for number in range(3)
    ]

    assert [ScanVerdict.NEW, ScanVerdict.NEW, ScanVerdict.SURPLUS] == verdicts


def test_nobody_to_ask_and_a_bad_nonce() -> None:
    """An empty scan is over at once."""
    assert Scan([], nonce=NONCE, reply_port=9).is_over(0.0)
    with pytest.raises(ValueError, match="16 bytes"):
        Scan([], nonce=b"", reply_port=9)
