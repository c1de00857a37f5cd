# SPDX-License-Identifier: Apache-2.0
r"""Bytes in the notations in which people come by them.

Digits with any separators or none; bytes with `0x` or `\x`, in braces as C has them; `hex:01,02` with backslashes at
the end of a line as the Windows registry exports it; and dumps with an offset before and characters after the bytes,
as Wireshark, xxd, hexdump, od, tcpdump and the DHCP console of Windows show them.
"""

from __future__ import annotations

import re

_WRAPPING = re.compile(r"""^\s*(?:"[^"\n]*"\s*=)?\s*hex(?:\([0-9a-f]\))?:|[\\{}()"']""")
_BYTES = re.compile(r"\s*(?:0[xX])?[0-9a-fA-F]{1,2}([\s:,-]+(?:0[xX])?[0-9a-fA-F]{1,2})*\s*")
_BETWEEN = re.compile(r"[\s:,-]+")
_SEPARATORS = re.compile(r"0[xX]|[\s:,;.-]")
_ROW = re.compile(r"\s*(?:0[xX])?([0-9a-fA-F]{4,16}):?((?:\s.*)?)")
_GROUP = re.compile(r"(\s+)((?:[0-9a-fA-F]{2})+)(?=\s|$)")
_ADDRESS = re.compile(r"\s*[0-9]{1,3}(\.[0-9]{1,3}){3}\s*")
ROW_BYTES = 16


class NotDigitsError(Exception):
    """These are no bytes in any of these notations."""


def read_digits(text: str) -> bytes:
    """Read bytes in any of these notations; raises `NotDigitsError`, also for an IPv4 address."""
    if _ADDRESS.fullmatch(text):  # a text without its quotation marks, rather than four bytes in decimal digits
        raise NotDigitsError
    for base in (16, 8):  # od counts in octal digits
        dumped = _read_dump(text, base)
        if dumped:
            return dumped
    bare = _WRAPPING.sub("", text.replace("\\x", " 0x"))
    if _BYTES.fullmatch(bare):  # dhclient writes bytes below 16 with one digit
        return bytes(int(one, 16) for one in _BETWEEN.split(bare.strip()))
    try:
        return bytes.fromhex(_SEPARATORS.sub("", bare))
    except ValueError:
        raise NotDigitsError from None


def _read_dump(text: str, base: int) -> bytes | None:
    """Read a dump; None where the number before a row is not that of the bytes before it."""
    data = bytearray()
    for line in text.splitlines():
        row = _ROW.fullmatch(line)
        found = None if row is None or not _is(row[1], base, len(data)) else _row_bytes(row[2])
        if found is not None:
            data += found
        elif line.strip():
            return None
    return bytes(data)


def _is(digits: str, base: int, number: int) -> bool:
    try:
        return int(digits, base) == number
    except ValueError:
        return False


def _row_bytes(text: str) -> bytes | None:
    """The bytes of a row, without the characters that follow further away; None for more than a row has."""
    data, at = b"", 0
    while (group := _GROUP.match(text, at)) is not None:
        if data and len(group[1]) > (2 if len(data) == ROW_BYTES // 2 else 1):
            break
        data += bytes.fromhex(group[2])
        if len(data) > ROW_BYTES:
            return None
        at = group.end()
    return data
