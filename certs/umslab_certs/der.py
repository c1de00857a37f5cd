# SPDX-License-Identifier: Apache-2.0
"""Just enough DER to write two small structures and to take one apart.

Provenance: standard (ITU-T X.690). Only what cryptography cannot do: a CsrAttrs (it knows none), and a certs-only
PKCS#7 with the certificates in the order given (it sorts them, and only reads sorted ones without a warning).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

INTEGER = 0x02
OBJECT_IDENTIFIER = 0x06
SEQUENCE = 0x30
SET = 0x31
CONTEXT_0 = 0xA0
CONTEXT_1 = 0xA1


class Element(NamedTuple):
    """One element: its tag octet, its content and the whole of it, header included."""

    tag: int
    content: bytes
    whole: bytes


def encode(tag: int, *contents: bytes) -> bytes:
    """Write one element with the given tag octet around the contents."""
    content = b"".join(contents)
    length = len(content)
    if length < 0x80:
        return bytes((tag, length)) + content
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(octets))) + octets + content


def encode_oid(dotted: str) -> bytes:
    """Write an object identifier such as `2.5.4.3` as one element."""
    first, second, *rest = (int(arc) for arc in dotted.split("."))
    return encode(OBJECT_IDENTIFIER, *(_base128(arc) for arc in (40 * first + second, *rest)))


def decode(data: bytes) -> Iterator[Element]:
    """Read the elements that stand one after the other in `data`; raise `ValueError` where that is not DER.

    Tags of one octet and definite lengths only.
    """
    at = 0
    while at < len(data):
        start, length = _length(data, at + 1)
        if data[at] & 0x1F == 0x1F or start + length > len(data):
            raise ValueError(f"no element fits at octet {at}")
        yield Element(data[at], data[start : start + length], data[at : start + length])
        at = start + length


def _length(data: bytes, at: int) -> tuple[int, int]:
    """Return where the content begins, and its length."""
    first = data[at] if at < len(data) else 0xFF
    if first < 0x80:
        return at + 1, first
    count = first & 0x7F
    octets = data[at + 1 : at + 1 + count]
    if not 1 <= count <= 4 or len(octets) < count:
        raise ValueError(f"no definite length at octet {at}")
    return at + 1 + count, int.from_bytes(octets, "big")


def _base128(number: int) -> bytes:
    octets = bytes((number & 0x7F,))
    while number := number >> 7:
        octets = bytes((0x80 | number & 0x7F,)) + octets
    return octets
