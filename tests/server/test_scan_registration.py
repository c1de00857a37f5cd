# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.scan_registration; whole stories are in tests/integration/test_scan_registration.py."""

from __future__ import annotations

import pytest

from umslab_protocol.errors import InvalidValueError
from umslab_server.scan_registration import choose
from umslab_server.scan_report import ScannedDevice, ScanWish


def _found(number: int, known: str | None, *, has_ums: bool = False) -> ScannedDevice:
    unit_id = f"02000000000{number}"
    return ScannedDevice(
        unit_id=unit_id, mac=unit_id, name="x", address="127.0.0.9", product="x", firmware="12.8.4",
        has_ums=has_ums, known=known,
    )  # fmt: skip


NEW, IMPORTED, BINNED = _found(1, "new"), _found(2, "never-registered"), _found(3, "in-bin")
KNOWN, ELSEWHERE = _found(4, "known", has_ums=True), _found(5, "new", has_ums=True)
ALL = (NEW, IMPORTED, BINNED, KNOWN, ELSEWHERE)


def test_all_new() -> None:
    """Those without a UMS that this server has never registered; nobody else is touched or complained of."""
    refused, chosen = choose(ScanWish(register_all_new=True), ALL)

    assert ({}, [NEW, IMPORTED]) == (refused, chosen)


def test_by_unit_id() -> None:
    """Each that cannot be ordered gets its reason; one that is named twice is ordered once."""
    names = [one.unit_id for one in ALL]
    refused, chosen = choose(ScanWish(register=[*names, names[0], "020000000009"], register_all_new=True), ALL)

    assert [NEW, IMPORTED] == chosen
    assert {
        BINNED.unit_id: "it is in the recycle bin: restore it or delete it for good",
        KNOWN.unit_id: "it is registered already, here or elsewhere",
        ELSEWHERE.unit_id: "it is registered already, here or elsewhere",
        "020000000009": "the scan has not found it",
    } == refused


def test_no_unit_id() -> None:
    """A text that is none is refused before anything is sent."""
    with pytest.raises(InvalidValueError):
        choose(ScanWish(register=["printer"]), ALL)
