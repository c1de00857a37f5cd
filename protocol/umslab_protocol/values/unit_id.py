# SPDX-License-Identifier: Apache-2.0
"""Unit IDs: the name a device has everywhere (facts U1, U2).

Provenance: documented. A fixed device uses the MAC address of one interface as 12 upper-case hexadecimal digits
without separators (U1); a UD Pocket uses 18 characters that begin with `85641000` (U2). Custom unit-ID rules exist
since OS 12.2.2 (U4) but their forms are not published, so they are not accepted here.
"""

from __future__ import annotations

import re
from typing import NewType

from umslab_protocol.errors import InvalidValueError

UnitId = NewType("UnitId", str)
MacAddress = NewType("MacAddress", str)

_FIXED = re.compile(r"[0-9A-F]{12}", re.ASCII)
_ANY_CASE = re.compile(r"[0-9A-Fa-f]{12}", re.ASCII)
_POCKET = re.compile(r"85641000[0-9A-Z]{10}", re.ASCII)


def parse_unit_id(text: str) -> UnitId:
    """Return `text` as a unit ID, or raise `InvalidValueError`."""
    if _FIXED.fullmatch(text) or _POCKET.fullmatch(text):
        return UnitId(text)
    hint = " (write it in upper case without separators)" if _looks_like_mac(text) else ""
    raise InvalidValueError(
        f"{text[:40]!r} is not a unit ID: expected 12 upper-case hexadecimal digits such as 00E0C514325B, "
        f"or the 18 characters of a UD Pocket beginning with 85641000{hint}"
    )


def parse_mac(text: str) -> MacAddress:
    """Return a MAC address as 12 upper-case hexadecimal digits; separators and case are forgiven."""
    digits = re.sub(r"[:.\-]", "", text)
    if _ANY_CASE.fullmatch(digits):
        return MacAddress(digits.upper())
    raise InvalidValueError(f"{text[:40]!r} is not a MAC address: expected 12 hexadecimal digits such as 00E0C514325B")


def is_locally_administered(unit_id: UnitId) -> bool:
    """Tell whether the unit ID is a MAC address no vendor can own (IEEE 802: second-lowest bit of the first octet)."""
    return bool(_FIXED.fullmatch(unit_id)) and bool(int(unit_id[:2], 16) & 0x02)


def _looks_like_mac(text: str) -> bool:
    return bool(_ANY_CASE.fullmatch(re.sub(r"[:.\-]", "", text[:40])))
