# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_protocol.values.firmware."""

from __future__ import annotations

import re

import pytest

from umslab_protocol.errors import InvalidValueError
from umslab_protocol.values.firmware import DEFAULT_FIRMWARE, Behaviour, FirmwareVersion, behaves


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("12.8.4", FirmwareVersion(12, 8, 4)),
        ("12.01.110", FirmwareVersion(12, 1, 110)),
        ("12.3", FirmwareVersion(12, 3, 0)),
        ("12", FirmwareVersion(12, 0, 0)),
        ("9999.9999.9999", FirmwareVersion(9999, 9999, 9999)),
    ],
)
def test_parse(text: str, expected: FirmwareVersion) -> None:
    """One to three numbers; leading zeros mean nothing, missing parts are 0."""
    assert expected == FirmwareVersion.parse(text)


@pytest.mark.parametrize(
    "text", ["", ".", "12.", ".8", "12.8.4.1", "12.8.x", "v12", " 12", "12\n", "-1", "12345", "\u0661\u0662"]
)
def test_parse_refuses(text: str) -> None:
    """The message shows the text and an example."""
    with pytest.raises(
        InvalidValueError, match=re.escape(f"{text!r} is not a firmware version: expected one such as 12.8.4")
    ):
        FirmwareVersion.parse(text)


def test_a_long_text_is_cut() -> None:
    """The message shows only its beginning."""
    with pytest.raises(InvalidValueError) as caught:
        FirmwareVersion.parse("1" * 100_000)

    assert len(str(caught.value)) < 120


def test_versions_compare_as_numbers() -> None:
    """12.10 is newer than 12.9, and 12.01 is 12.1."""
    assert FirmwareVersion.parse("12.9.9") < FirmwareVersion.parse("12.10.0")
    assert FirmwareVersion.parse("12.1.0") == FirmwareVersion.parse("12.01.0")


def test_text_is_canonical() -> None:
    """Three parts without leading zeros; parsing it gives the same version."""
    assert "12.1.0" == str(FirmwareVersion.parse("12.01"))
    assert "12.0.0" == str(FirmwareVersion(12))
    assert "12.8.4" == str(DEFAULT_FIRMWARE)
    assert DEFAULT_FIRMWARE == FirmwareVersion.parse(str(DEFAULT_FIRMWARE))


def test_the_table_is_sorted_by_version() -> None:
    """Rows stand in the order in which the vendor brought them out."""
    assert sorted(row.since for row in Behaviour) == [row.since for row in Behaviour]


def test_no_two_rows_are_the_same() -> None:
    """An enumeration silently makes equal rows one."""
    assert list(Behaviour.__members__) == [row.name for row in Behaviour]


@pytest.mark.parametrize("row", Behaviour)
def test_every_row_cites_a_fact(row: Behaviour) -> None:
    """Each row names a fact and says in a few words what it is."""
    assert re.fullmatch(r"[A-Z]{1,2}[0-9]{1,2}|[0-9]+\.[0-9]+", row.fact)
    assert row.sentence
    assert not row.sentence.endswith(".")


@pytest.mark.parametrize(
    ("row", "since", "before"),
    [
        (Behaviour.DHCP_VENDOR_CLASS, "11.4.100", "11.4.99"),
        (Behaviour.UNIFIED_PROTOCOL, "12.0.0", "11.99.999"),
        (Behaviour.REPORTS_SERIAL_AT_FIRST_CONTACT, "12.2.0", "12.1.999"),
        (Behaviour.COMPLETES_PUBLIC_CHAINS, "12.3.0", "12.2.999"),
        (Behaviour.PINS_PUBLIC_ROOTS, "12.3.0", "12.2.999"),
        (Behaviour.CHOOSES_KEY_TYPE, "12.3.2", "12.3.1"),
        (Behaviour.RENEWS_RELIABLY, "12.4.1", "12.4.0"),
        (Behaviour.REMEMBERS_CONNECTORS, "12.6.0", "12.5.999"),
        (Behaviour.DHCP_SERVER_DETAILS, "12.7.2", "12.7.1"),
        (Behaviour.DHCP_VENDOR_FIXED, "12.7.6", "12.7.5"),
        (Behaviour.RELEASE_RULE, "12.8.4", "12.8.3"),
    ],
)
def test_first_version(row: Behaviour, since: str, before: str) -> None:
    """Versions as in the facts (0.3, W22, C31, C32, X7, X9, W8, L5, D3, D11, D12): from that one on, and not before."""
    assert since == str(row.since)
    assert behaves(FirmwareVersion.parse(since), row)
    assert not behaves(FirmwareVersion.parse(before), row)


def test_default_has_the_newest_behaviour() -> None:
    """A simulated device behaves like the newest version whose behaviour is documented."""
    assert all(behaves(DEFAULT_FIRMWARE, row) for row in Behaviour)
