# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.importing."""

from __future__ import annotations

import re

import pytest

from umslab_protocol.values.unit_id import UnitId
from umslab_server import importing
from umslab_server.importing import ImportedDevice, ImportRefusedError, read_csv

LONG = "/Bremen/Hall 1;00E0C5000002;UD3;11.09;Kiosk;Bremen;Sales;by the door;A-17;2026-01-01;SN-2;12,13;CC-5"


def refusal(data: bytes | str) -> str:
    """The message with which a file is refused."""
    with pytest.raises(ImportRefusedError) as caught:
        read_csv(data.encode() if isinstance(data, str) else data)
    return str(caught.value)


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("00E0C5000001;Front desk;FW1;!4", "Front desk"),
        ("00E0C5000001;Front desk", "Front desk"),
        ("00e0c5000001;Front desk;", "Front desk"),
        ("00E0C5000001;", ""),
        ('00E0C5000001;"one; two"', "one; two"),
    ],
)
def test_short_form(line: str, name: str) -> None:
    """A10: unit ID and name count, firmware is read over."""
    assert [ImportedDevice(UnitId("00E0C5000001"), name=name)] == read_csv(line.encode())


def test_short_form_of_a_pocket() -> None:
    """U2: the unit ID of a UD Pocket has 18 characters."""
    assert [ImportedDevice(UnitId("85641000F615234423"), name="Ann")] == read_csv(b"85641000F615234423;Ann")


def test_long_form() -> None:
    """A10: the attributes that a registry keeps, each in its place."""
    kept = {
        "site": "Bremen",
        "department": "Sales",
        "comment": "by the door",
        "asset_id": "A-17",
        "inservice_date": "2026-01-01",
        "serial_number": "SN-2",
        "cost_center": "CC-5",
    }

    wanted = ImportedDevice(
        UnitId("00E0C5000002"), name="Kiosk", attributes=kept, directory="/Bremen/Hall 1", profiles=(12, 13)
    )

    assert [wanted] == read_csv(LONG.encode())


def test_long_form_may_be_cut_short() -> None:
    """Trailing columns may be missing, and empty ones say nothing."""
    assert [ImportedDevice(UnitId("00E0C5000002"))] == read_csv(b"/;00E0C5000002")
    assert [ImportedDevice(UnitId("00E0C5000002"), name="K", attributes={"department": "S"})] == read_csv(
        b"/;00E0C5000002;;;K;;S"
    )


@pytest.mark.parametrize("line", [";SN-3;00:E0:C5:00:00:03;;", "SN-3;00-e0-c5-00-00-03", ";SN-3;00E0C5000003"])
def test_serial_form(line: str) -> None:
    """A10: serial number and MAC address; the unit ID follows from the latter (U1)."""
    wanted = ImportedDevice(UnitId("00E0C5000003"), mac="00E0C5000003", attributes={"serial_number": "SN-3"})

    assert [wanted] == read_csv(line.encode())


def test_forms_may_be_mixed() -> None:
    """One file, three forms, in the order of its lines."""
    devices = read_csv(f"00E0C5000001;One\r\n{LONG}\r\n;SN-3;00E0C5000003;;\r\n".encode())

    assert [device.unit_id for device in devices] == ["00E0C5000001", "00E0C5000002", "00E0C5000003"]


@pytest.mark.parametrize("data", [b"", b"\xef\xbb\xbf", b"\n\n", b" ; ;\n;;;;\n"])
def test_nothing_is_nothing(data: bytes) -> None:
    """Empty files and blank lines are no devices and no mistake."""
    assert read_csv(data) == []


def test_byte_order_mark_and_umlauts() -> None:
    """What a spreadsheet saves as UTF-8."""
    assert read_csv("\ufeff00E0C5000001; Empfang Süd \r\n".encode())[0].name == "Empfang Süd"


@pytest.mark.parametrize(
    ("second_line", "reason"),
    [
        ("UnitID;Name", "'NAME' is not a MAC address|'Name' is not a MAC address"),
        ("00E0C5000001;again", "00E0C5000001 is in the file twice"),
        ("00E0C500000;short", "is not a MAC address"),
        ("/dir;00E0C50000XX", "is not a unit ID"),
        ("/dir", "the long form has up to 13 fields, this line has 1"),
        (LONG + ";more", "the long form has up to 13 fields, this line has 14"),
        (";only serial", "the serial form has a serial number and a MAC address"),
        (";one;00E0C5000003;three;", "the serial form has a serial number and a MAC address"),
        ("00E0C5000009;a;b;c;d", "none of the three forms"),
        ("just text", "none of the three forms"),
        ("00E0C5000009;" + "x" * 256, "at most 255 characters"),
        ("00E0C5000009;\x1b[2Jevil", "printable"),
        ("00E0C5000009;\x00", "printable"),
        ('00E0C5000009;"never closed', "unexpected end of data"),
        ('00E0C5000009;"closed" too early', "expected after"),
    ],
)
def test_bad_line_is_named(second_line: str, reason: str) -> None:
    """The first wrong line stops the import and is told by number."""
    message = refusal(f"00E0C5000001;good\n{second_line}\n")

    assert re.match(r"line [23]: ", message)
    assert re.search(reason, message)


def test_not_text() -> None:
    """Another encoding is told apart from a wrong line."""
    assert refusal("00E0C5000001;x".encode("utf-16")) == "the file is not UTF-8 text (byte 0)"


def test_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes and rows are bounded."""
    monkeypatch.setattr(importing, "MAX_ROWS", 2)

    assert len(read_csv(b"00E0C5000001;a\n00E0C5000002;b")) == 2
    assert refusal("00E0C5000001;\n00E0C5000002;\n00E0C5000003;") == "line 3: a file may have at most 2 devices"
    assert refusal(b"x" * (importing.MAX_BYTES + 1)) == "the file is larger than 16 MiB"


def test_field_too_large_for_the_reader() -> None:
    """The csv module's own limit is a refusal like any other."""
    assert refusal("00E0C5000001;" + "x" * 200_000).startswith("line 1: ")
