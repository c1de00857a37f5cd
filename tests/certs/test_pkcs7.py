# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_certs.pkcs7."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from hypothesis import given

from umslab_certs import der
from umslab_certs.chain import to_pem
from umslab_certs.errors import Fault
from umslab_certs.pkcs7 import MAX_PKCS7_BYTES, decode_certificates, encode_certs_only

from .pki import broken, der_of, fuzzed, make, openssl, openssl_bytes, refusal_of, refused

if TYPE_CHECKING:
    from pathlib import Path

# The longest name first: DER would sort the set the other way round.
CERTIFICATES = [make(text).certificate for text in ("a name that is long", "short", "b")]
GOOD = encode_certs_only(CERTIFICATES)


def test_round_trip_keeps_the_order() -> None:
    """What goes in comes out, in the same order."""
    assert decode_certificates(GOOD) == CERTIFICATES


def test_openssl_reads_it_in_order() -> None:
    """`openssl pkcs7 -print_certs` shows the certificates in the order given."""
    text = openssl("pkcs7", "-inform", "DER", "-print_certs", "-noout", given=GOOD)

    assert [line for line in text.splitlines() if line.startswith("subject")] == [
        "subject=CN = a name that is long",
        "subject=CN = short",
        "subject=CN = b",
    ]


def test_same_bytes_as_openssl(tmp_path: Path) -> None:
    """`openssl crl2pkcs7 -nocrl` writes the same bytes, so it is also read."""
    file = tmp_path / "certs.pem"
    file.write_bytes(to_pem(CERTIFICATES))

    assert openssl_bytes("crl2pkcs7", "-nocrl", "-certfile", str(file), "-outform", "DER") == GOOD


def test_reads_what_cryptography_writes() -> None:
    """The set is sorted by cryptography; sorted or not, the same certificates are read."""
    written = pkcs7.serialize_certificates(CERTIFICATES, Encoding.DER)

    assert set(decode_certificates(written)) == set(CERTIFICATES)


def test_cryptography_reads_one_certificate() -> None:
    """The answer to an enrolment, a set of one, is strict DER for cryptography too."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")

        assert pkcs7.load_der_pkcs7_certificates(encode_certs_only(CERTIFICATES[:1])) == CERTIFICATES[:1]


def test_other_members_of_the_set_are_skipped() -> None:
    """A CertificateSet may hold things that are no certificates, such as attribute certificates in [2]."""
    attribute_certificate = der.encode(0xA2, b"\x02\x01\x01")
    content = der.encode(der.CONTEXT_0, attribute_certificate, der_of(CERTIFICATES[0]))

    assert decode_certificates(wrap(content)) == CERTIFICATES[:1]


def test_limits() -> None:
    """At most 32 certificates and 256 KiB are looked at."""
    assert len(decode_certificates(encode_certs_only(CERTIFICATES[:1] * 32))) == 32
    with refused(Fault.TOO_LARGE, "more than 32"):
        decode_certificates(encode_certs_only(CERTIFICATES[:1] * 33))
    with refused(Fault.TOO_LARGE, "262144"):
        decode_certificates(bytes(MAX_PKCS7_BYTES + 1))


def wrap(*inside: bytes, oid: str = "1.2.840.113549.1.7.2") -> bytes:
    """A ContentInfo around a SEQUENCE with these members."""
    content = der.encode(der.CONTEXT_0, der.encode(der.SEQUENCE, *inside))
    return der.encode(der.SEQUENCE, der.encode_oid(oid), content)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "not one DER SEQUENCE"),
        (GOOD + b"\x05\x00", "not one DER SEQUENCE"),
        (GOOD[:-1], "no element fits"),
        (b"\x30\x80" + GOOD[4:] + b"\x00\x00", "no definite length"),
        (der.encode(der.SEQUENCE), "not a ContentInfo"),
        (wrap(oid="1.2.840.113549.1.7.1"), "not SignedData"),
        (der.encode(der.SEQUENCE, der.encode_oid("1.2.840.113549.1.7.2"), der.encode(der.CONTEXT_0)), "not a SEQUENCE"),
        (wrap(), "holds no certificates"),
        (wrap(der.encode(der.CONTEXT_0, der.encode(der.SEQUENCE))), "a certificate in the PKCS#7 data cannot be read"),
    ],
)
def test_refusals(data: bytes, words: str) -> None:
    """Each way to be something else is told."""
    with refused(Fault.UNREADABLE, words):
        decode_certificates(data)


@fuzzed
@given(broken(GOOD))
def test_foreign_bytes(data: bytes) -> None:
    """Whatever arrives, the only exception is ours."""
    refusal_of(decode_certificates, data)
