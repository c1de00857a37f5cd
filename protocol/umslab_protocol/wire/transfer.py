# SPDX-License-Identifier: Apache-2.0
"""Base64 as EST carries it (RFC 8951 section 3.1), tolerant in what it takes, configurable in what it gives.

Provenance: standard; the PEM armour is what the vendor's own check script seems to expect (fact X4, implied).
RFC 8951 says that the transfer encoding is base64 whatever a Content-Transfer-Encoding header says, and that a receiver
takes any line breaks. Clients in the field disagree on what they can read, hence three ways to write.
"""

from __future__ import annotations

import binascii
import re
from enum import StrEnum

from umslab_protocol.errors import InvalidValueError


class Wrapping(StrEnum):
    """How an EST answer body is written."""

    ONE_LINE = "one-line"
    WRAPPED = "wrapped"
    """Lines of 64 characters ending in CRLF."""
    PEM = "pem"
    """Armoured, as X4 implies for the real server."""


_BEGIN = re.compile(rb"-----BEGIN [A-Z0-9 #]{1,40}-----")
_END = re.compile(rb"-----END [A-Z0-9 #]{1,40}-----")
_BLANKS = b" \t\r\n\x0b\x0c"


def encode_body(der: bytes, wrapping: Wrapping, label: str) -> bytes:
    """Write DER as an EST body; `label` is the PEM label (`PKCS7`), used by `Wrapping.PEM` only."""
    text = binascii.b2a_base64(der, newline=False)
    if wrapping is Wrapping.ONE_LINE:
        return text
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    if wrapping is Wrapping.WRAPPED:
        return b"".join(line + b"\r\n" for line in lines)
    begin, end = f"-----BEGIN {label}-----\n".encode(), f"-----END {label}-----\n".encode()
    return begin + b"".join(line + b"\n" for line in lines) + end


def decode_body(body: bytes) -> bytes:
    """Read an EST body: base64 with any wrapping, armoured PEM, or (some servers) bare DER.

    Raises `InvalidValueError` when it is none of these. Linear in the length of the body; the caller bounds the length.
    """
    if body[:1] == b"\x30" and body[1:2] > b"\x7f":
        return body  # a DER SEQUENCE with a long-form length: no base64 text continues like this
    if (begin := _BEGIN.search(body)) and (end := _END.search(body, begin.end())):
        body = body[begin.end() : end.start()]
    text = body.translate(None, _BLANKS)
    if not text:
        raise InvalidValueError("the body is empty")
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except binascii.Error as problem:
        raise InvalidValueError(f"the body is not base64: {problem}") from None
