# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_protocol.wire.transfer."""

from __future__ import annotations

import base64

import pytest

from umslab_protocol.errors import InvalidValueError
from umslab_protocol.wire.transfer import Wrapping, decode_body, encode_body

DER = b"\x30\x82\x00\x5c" + bytes(range(92))  # 96 bytes: two full lines of base64
TEXT = base64.b64encode(DER)
PEM = b"-----BEGIN PKCS7-----\n" + TEXT[:64] + b"\n" + TEXT[64:] + b"\n-----END PKCS7-----\n"


@pytest.mark.parametrize(
    ("wrapping", "expected"),
    [
        (Wrapping.ONE_LINE, TEXT),
        (Wrapping.WRAPPED, TEXT[:64] + b"\r\n" + TEXT[64:] + b"\r\n"),
        (Wrapping.PEM, PEM),
    ],
)
def test_encode(wrapping: Wrapping, expected: bytes) -> None:
    """Each of the three ways, byte by byte."""
    assert expected == encode_body(DER, wrapping, "PKCS7")


@pytest.mark.parametrize("wrapping", Wrapping)
@pytest.mark.parametrize("length", [1, 2, 3, 47, 48, 49, 1000])
def test_round_trip(wrapping: Wrapping, length: int) -> None:
    """Whatever the last line looks like."""
    data = bytes(length)

    assert data == decode_body(encode_body(data, wrapping, "PKCS7"))


@pytest.mark.parametrize(
    "body",
    [
        DER,
        TEXT,
        TEXT + b"\r\n",
        b"\n".join(TEXT[at : at + 7] for at in range(0, len(TEXT), 7)),
        b"\x0b\x0c \t" + TEXT,
        PEM,
        PEM.replace(b"\n", b"\r\n"),
        b"any text before\n" + PEM + b"any text after",
        PEM.replace(b"PKCS7", b"NEW CERTIFICATE REQUEST"),
        PEM + PEM.replace(b"A", b"B"),
    ],
)
def test_decode_is_tolerant(body: bytes) -> None:
    """Bare DER, any line breaks (RFC 8951 section 3.1), armour with any label; of several the first."""
    assert DER == decode_body(body)


@pytest.mark.parametrize("body", [b"", b" \r\n", b"-----BEGIN PKCS7-----\n-----END PKCS7-----\n"])
def test_empty(body: bytes) -> None:
    """Nothing is not a body."""
    with pytest.raises(InvalidValueError, match="the body is empty"):
        decode_body(body)


@pytest.mark.parametrize(
    "body",
    [
        TEXT[:-1],
        b"=" + TEXT,
        TEXT.replace(b"A", b"-"),
        b"<html>404</html>",
        b"0",
        DER[:1] + b"\x03\x02\x01\x05",
        PEM[:-10],
        PEM[10:],
        b"\xff" * 100,
    ],
)
def test_not_base64(body: bytes) -> None:
    """Cut, padded, in another alphabet, an error page: the message says what is wrong."""
    with pytest.raises(InvalidValueError, match="the body is not base64: "):
        decode_body(body)


@pytest.mark.parametrize(
    "piece", [b"-----BEGIN A-----", b"-----BEGIN ", b"-----BEGIN A-----END A", b"-", b"-----END A-----", b"A" * 40]
)
def test_a_megabyte_of_openings_is_read_in_linear_time(piece: bytes) -> None:
    """A hostile body costs no more than its length; looking for every end from every beginning would take minutes."""
    with pytest.raises(InvalidValueError):
        decode_body(b"-----BEGIN A-----!" + piece * (1024 * 1024 // len(piece)))
