# SPDX-License-Identifier: Apache-2.0
"""CSV files of devices that are known before they come (facts A10, K8).

Provenance: documented, three forms told apart by their shape, separated by semicolons, without a heading:

- short: `UnitID;Name;FirmwareID;ProfileIDs`
- long: `/Dir;UnitID;Product;Version;Name;Site;Dept;Comment;AssetID;InService;Serial;Profiles;CostCenter`
- serial: `;SERIAL;MAC;;`, or the two fields `SERIAL;MAC`

A directory that is missing is made. Profiles are numbers separated by commas; `!<number>` takes one away, which says
nothing about a device that is new. Product, version and firmware are read and ignored: a device tells them itself.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field

from umslab_protocol.errors import InvalidValueError
from umslab_protocol.values.unit_id import UnitId, parse_mac, parse_unit_id
from umslab_server.errors import RefusedError
from umslab_server.texts import MAX_CHARACTERS, is_text

MAX_BYTES = 16 * 1024 * 1024
MAX_ROWS = 100_000
_LONG_FIELDS = 13
_LONGEST_NUMBER = 15  # digits


class ImportRefusedError(RefusedError):
    """The file cannot be imported; nothing was. The message names the line."""


@dataclass(frozen=True, slots=True)
class ImportedDevice:
    """One row."""

    unit_id: UnitId
    mac: str = ""
    name: str = ""
    attributes: dict[str, str] = field(default_factory=dict)
    directory: str = "/"
    profiles: tuple[int, ...] = ()


def read_csv(data: bytes) -> list[ImportedDevice]:
    """Read a file whole; raises `ImportRefusedError` for the first row that is wrong."""
    if len(data) > MAX_BYTES:
        raise ImportRefusedError(f"the file is larger than {MAX_BYTES // 1024 // 1024} MiB")
    try:
        content = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ImportRefusedError(f"the file is not UTF-8 text (byte {error.start})") from None
    devices: dict[str, ImportedDevice] = {}
    reader = csv.reader(io.StringIO(content, newline=""), delimiter=";", strict=True)
    try:
        for fields in reader:
            if not any(value.strip() for value in fields):
                continue
            device = _read_row([value.strip() for value in fields])
            if device.unit_id in devices:
                raise InvalidValueError(f"{device.unit_id} is in the file twice")
            devices[device.unit_id] = device
            if len(devices) > MAX_ROWS:
                raise InvalidValueError(f"a file may have at most {MAX_ROWS} devices")
    except (InvalidValueError, csv.Error) as error:
        raise ImportRefusedError(f"line {reader.line_num}: {error}") from None
    return list(devices.values())


def _read_row(fields: list[str]) -> ImportedDevice:
    for value in fields:
        if not is_text(value):
            raise InvalidValueError(f"a field is printable text of at most {MAX_CHARACTERS} characters")
    if fields[0].startswith("/"):
        return _read_long(fields)
    if fields[0] == "" or (len(fields) == 2 and not _is_unit_id(fields[0])):
        return _read_serial([value for value in fields if value])
    if 2 <= len(fields) <= 4:
        profiles = _read_profiles(fields[3] if len(fields) == 4 else "")
        return ImportedDevice(parse_unit_id(fields[0].upper()), name=fields[1], profiles=profiles)
    raise InvalidValueError("this is none of the three forms: short, long (begins with a /), serial (begins with a ;)")


def _read_long(fields: list[str]) -> ImportedDevice:
    if len(fields) > _LONG_FIELDS or len(fields) < 2:
        raise InvalidValueError(f"the long form has up to {_LONG_FIELDS} fields, this line has {len(fields)}")
    row = dict(zip(_LONG_NAMES, fields, strict=False))
    attributes = {name: row[name] for name in _LONG_KEPT if row.get(name)}
    return ImportedDevice(
        parse_unit_id(row["unit_id"].upper()),
        name=row.get("name", ""),
        attributes=attributes,
        directory=row["directory"],
        profiles=_read_profiles(row.get("profiles", "")),
    )


def _read_profiles(text: str) -> tuple[int, ...]:
    """Read numbers of profiles; those that are taken away again are left out."""
    numbers: list[int] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        digits = part.removeprefix("!")
        if not digits.isascii() or not digits.isdecimal() or len(digits) > _LONGEST_NUMBER:
            raise InvalidValueError(f"{part[:40]!r} is not the number of a profile")
        if not part.startswith("!") and int(digits) not in numbers:
            numbers.append(int(digits))
    return tuple(numbers)


_LONG_NAMES = (
    "directory", "unit_id", "product", "version", "name", "site", "department", "comment", "asset_id",
    "inservice_date", "serial_number", "profiles", "cost_center",
)  # fmt: skip
_LONG_KEPT = ("site", "department", "comment", "asset_id", "inservice_date", "serial_number", "cost_center")


def _read_serial(values: list[str]) -> ImportedDevice:
    if len(values) != 2:
        raise InvalidValueError("the serial form has a serial number and a MAC address")
    mac = parse_mac(values[1])
    return ImportedDevice(UnitId(mac), mac=mac, attributes={"serial_number": values[0]})


def _is_unit_id(text: str) -> bool:
    try:
        parse_unit_id(text.upper())
    except InvalidValueError:
        return False
    return True
