# SPDX-License-Identifier: Apache-2.0
"""What the certificate tests share: odd certificates, the openssl command, broken copies of good bytes."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import settings
from hypothesis import strategies as st

from umslab_certs.errors import CertificateError, Fault
from umslab_certs.keys import KeyType, PrivateKey, generate_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
DAY = timedelta(days=1)
UNIT_ID = "00E0C514325B"
SERVER = ExtendedKeyUsageOID.SERVER_AUTH
CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH

fuzzed = settings(deadline=None)  # a busy machine is no finding


def name(common_name: str) -> x509.Name:
    """A subject of one common name."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def der_of(holder: x509.Certificate | x509.CertificateSigningRequest) -> bytes:
    """The DER of a certificate or request."""
    return holder.public_bytes(serialization.Encoding.DER)


@dataclass(frozen=True)
class Pair:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: PrivateKey


def make(  # every odd certificate is one call with one odd argument
    common_name: str,
    issuer: Pair | None = None,
    *,
    ca: bool | None = False,
    path_length: int | None = None,
    sign_usage: bool | None = None,
    purposes: Sequence[x509.ObjectIdentifier] = (),
    names: Sequence[str] = (),
    begin: datetime = NOW - DAY,
    end: datetime = NOW + 365 * DAY,
    key: PrivateKey | None = None,
) -> Pair:
    """Issue a certificate, self-signed without an `issuer`; `ca` None leaves basicConstraints out."""
    key = key or generate_key(KeyType.P256)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(common_name))
        .issuer_name(issuer.certificate.subject if issuer else name(common_name))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
    )
    if ca is not None:
        builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=path_length), critical=True)
    if sign_usage is not None:
        usage = x509.KeyUsage(
            digital_signature=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=sign_usage,
            crl_sign=False,
            encipher_only=False,
            decipher_only=False,
        )
        builder = builder.add_extension(usage, critical=True)
    if purposes:
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    if names:
        san = x509.SubjectAlternativeName([x509.DNSName(text) for text in names])
        builder = builder.add_extension(san, critical=False)
    return Pair(builder.sign(issuer.key if issuer else key, hashes.SHA256()), key)


@contextmanager
def refused(fault: Fault, *words: str) -> Iterator[pytest.ExceptionInfo[CertificateError]]:
    """Expect a CertificateError with this fault and these words in its text."""
    with pytest.raises(CertificateError) as caught:
        yield caught

    assert caught.value.fault == fault
    for word in words:
        assert word in str(caught.value)


def refusal_of(parse: Callable[[bytes], object], data: bytes) -> CertificateError | None:
    """Call a parser; any exception but a CertificateError, which is returned, fails the test."""
    try:
        parse(data)
    except CertificateError as problem:
        return problem
    return None


def openssl(*arguments: str, given: bytes = b"") -> str:
    """Run the openssl command on `given` and return what it prints; its refusal fails the test."""
    done = subprocess.run(["openssl", *arguments], input=given, capture_output=True, check=False, timeout=30)
    assert done.returncode == 0, done.stderr.decode()
    return (done.stdout + done.stderr).decode()


def openssl_bytes(*arguments: str, given: bytes = b"") -> bytes:
    """Run the openssl command for its binary output."""
    return subprocess.run(["openssl", *arguments], input=given, capture_output=True, check=True, timeout=30).stdout


def broken(good: bytes) -> st.SearchStrategy[bytes]:
    """Arbitrary bytes, and copies of `good` with a few bytes changed, dropped or added."""
    change = st.tuples(
        st.integers(0, len(good) - 1), st.sampled_from(["set", "drop", "add", "cut"]), st.integers(0, 255)
    )
    return st.one_of(
        st.binary(max_size=200), st.lists(change, min_size=1, max_size=3).map(lambda changes: _apply(good, changes))
    )


def _apply(good: bytes, changes: list[tuple[int, str, int]]) -> bytes:
    data = bytearray(good)
    for at, what, value in changes:
        if what == "set":
            data[at : at + 1] = bytes((value,))
        elif what == "drop":
            del data[at : at + 1]
        elif what == "add":
            data.insert(at, value)
        else:
            del data[at:]
    return bytes(data)
