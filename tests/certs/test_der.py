# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_certs.der."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from umslab_certs import der

from .pki import fuzzed, openssl


@pytest.mark.parametrize("length", [0, 127, 128, 255, 256, 70_000])
def test_lengths(length: int) -> None:
    """Short and long lengths are written so that OpenSSL reads them back."""
    data = der.encode(0x04, b"x" * length)

    assert f"l={length:4} prim: OCTET STRING" in openssl("asn1parse", "-inform", "DER", given=data)
    assert list(der.decode(data)) == [der.Element(0x04, b"x" * length, data)]


@pytest.mark.parametrize("dotted", ["1.2.840.113549.1.9.16.2.61", "2.5.4.3", "2.999.1", "1.3.127.128.16384"])
def test_object_identifiers(dotted: str) -> None:
    """OpenSSL reads back the same arcs (it prints the names of those it knows)."""
    data = der.encode_oid(dotted)

    assert openssl("asn1parse", "-inform", "DER", given=data).rstrip().rpartition(":")[2] in {dotted, "commonName"}


@fuzzed
@given(st.lists(st.tuples(st.integers(0, 30), st.binary(max_size=300)), max_size=5))
def test_round_trip(elements: list[tuple[int, bytes]]) -> None:
    """Elements in a row come back one by one."""
    data = b"".join(der.encode(tag, content) for tag, content in elements)

    assert [(element.tag, element.content) for element in der.decode(data)] == elements


@fuzzed
@given(st.binary(max_size=50))
def test_foreign_bytes(data: bytes) -> None:
    """Any bytes either split into elements that make them up, or raise ValueError."""
    try:
        elements = list(der.decode(data))
    except ValueError:
        return
    assert b"".join(element.whole for element in elements) == data


@pytest.mark.parametrize(
    "data", [b"\x30", b"\x30\x80\x00\x00", b"\x30\x85\x01\x01\x01\x01\x01", b"\x30\x81", b"\x1f\x01\x00"]
)
def test_refused_forms(data: bytes) -> None:
    """Cut-off headers, indefinite and absurd lengths and long tags are refused."""
    with pytest.raises(ValueError, match="octet"):
        list(der.decode(data))
