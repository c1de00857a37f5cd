# SPDX-License-Identifier: Apache-2.0
"""What definitions and values of device attributes may be (fact section 11.2).

Provenance: types, overwrite rule, order and the limit of 100 characters are documented; the written form of numbers and
dates, and the other limits, are ours.
"""

from __future__ import annotations

import re
from datetime import date
from enum import StrEnum

from msgspec import Struct

from umslab_server.errors import RefusedError
from umslab_server.texts import check_name, check_text

MAX_VALUE_CHARACTERS = 100  # 11.2
MAX_ATTRIBUTES = 200
"""As many as one message of a device can carry."""
MAX_ALLOWED = 200
_NUMBER = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,15})?", re.ASCII)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)


class AttributeKind(StrEnum):
    """What values look like (11.2)."""

    STRING = "string"
    NUMBER = "number"
    DATE = "date"
    RANGE = "range"


class WrittenBy(StrEnum):
    """The overwrite rule: who may write values (11.2)."""

    UMS = "ums"
    DEVICE = "device"
    BOTH = "both"


class AttributeView(Struct, frozen=True, kw_only=True):
    """One definition."""

    identifier: str
    name: str
    kind: AttributeKind
    allowed: list[str]
    """Of a range; else empty."""
    written_by: WrittenBy
    position: int


def check_value(made: AttributeView, value: str) -> None:
    """Raise `RefusedError` for a value that the definition does not allow."""
    expected = f"printable text of at most {MAX_VALUE_CHARACTERS} characters"
    good = len(value) <= MAX_VALUE_CHARACTERS and value.isprintable()
    match made.kind:
        case AttributeKind.NUMBER:
            expected, good = "a number, such as -2.5", good and _NUMBER.fullmatch(value) is not None
        case AttributeKind.DATE:
            expected, good = "a date, such as 2026-11-21", good and _is_date(value)
        case AttributeKind.RANGE:
            expected, good = f"one of {', '.join(made.allowed)}"[:200], value in made.allowed
    if not good:
        raise RefusedError(f"the device attribute {made.identifier!r} is {expected}, not {value[:60]!r}")


def _is_date(text: str) -> bool:
    try:
        return _DATE.fullmatch(text) is not None and bool(date.fromisoformat(text))
    except ValueError:
        return False


def check_definition(made: AttributeView) -> None:
    """Raise `RefusedError` for a definition that cannot be kept."""
    check_name("a device attribute", made.identifier)
    check_text("name", made.name)
    if (made.kind is AttributeKind.RANGE) != bool(made.allowed):
        raise RefusedError("a range needs its allowed values, and nothing else has any")
    if len(made.allowed) > MAX_ALLOWED or len(set(made.allowed)) != len(made.allowed):
        raise RefusedError(f"a range has at most {MAX_ALLOWED} allowed values, each once")
    for value in made.allowed:
        if not 1 <= len(value) <= MAX_VALUE_CHARACTERS or not value.isprintable():
            raise RefusedError(f"an allowed value has 1 to {MAX_VALUE_CHARACTERS} printable characters")
