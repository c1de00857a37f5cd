# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_certs.device_communication. Handshakes with these certificates: test_tls.py."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st

from umslab_certs.chain import to_pem
from umslab_certs.device_communication import (
    DeviceCommunication,
    is_pinned,
    is_weakly_signed,
    make_self_signed,
    read_pin,
)
from umslab_certs.errors import CertificateError, Fault
from umslab_certs.keys import KeyType

from .pki import NOW, der_of, fuzzed, make, refused

if TYPE_CHECKING:
    from pathlib import Path

CERTIFICATE, _ = make_self_signed(KeyType.P256, now=NOW)
PEM = to_pem([CERTIFICATE])
WEAK = b"""\
-----BEGIN CERTIFICATE-----
MIIBjjCCATSgAwIBAgIUOL589oBypfS/Tzeep0lFSBjIgAIwCQYHKoZIzj0EATAc
MRowGAYDVQQKDBF1bXNsYWIgc2ltdWxhdGlvbjAgFw0yNjExMjkwMTIxMDFaGA8y
MTI2MTEwNTAxMjEwMVowHDEaMBgGA1UECgwRdW1zbGFiIHNpbXVsYXRpb24wWTAT
BgcqhkjOPQIBBggqhkjOPQMBBwNCAASTGNq7hcjOb9f/gIwOvf8PwdPpBsFllmeO
BTykMSDdMrAjuSL2dkSP7WuLHqDtJh5W4uGbdKOw7R3ejrB7vSPro1MwUTAdBgNV
HQ4EFgQU+7z8dQk7ptFP5UmyJ2ixTmoCTDkwHwYDVR0jBBgwFoAU+7z8dQk7ptFP
5UmyJ2ixTmoCTDkwDwYDVR0TAQH/BAUwAwEB/zAJBgcqhkjOPQQBA0kAMEYCIQD0
hLzaWYhpUzb0NiHs9FwEoF3Th4bznmpIYKFa7SacAwIhALzLqyr0edTBvzlzvn+Y
c9AELKvhQDI/3LKkB1TIhHhO
-----END CERTIFICATE-----
"""
"""By `openssl req -x509 -sha1`."""


@pytest.mark.parametrize("kind", [KeyType.P256, KeyType.RSA2048])
def test_what_is_made(kind: KeyType) -> None:
    """Version 3 without extensions, no common name, SHA-512, valid for decades, signed by itself."""
    certificate, key = make_self_signed(kind, now=NOW)

    assert certificate.version is x509.Version.v3
    assert list(certificate.extensions) == []
    assert certificate.subject.rfc4514_string() == "O=umslab simulation"
    assert certificate.subject == certificate.issuer
    assert certificate.signature_hash_algorithm
    assert certificate.signature_hash_algorithm.name == "sha512"
    assert certificate.not_valid_before_utc == NOW - timedelta(minutes=5)
    assert certificate.not_valid_after_utc > NOW + timedelta(days=8000)
    assert certificate.serial_number.bit_length() == 63
    assert isinstance(key, ec.EllipticCurvePrivateKey if kind is KeyType.P256 else rsa.RSAPrivateKey)
    certificate.verify_directly_issued_by(certificate)


def test_the_server_keeps_it(tmp_path: Path) -> None:
    """One private file; opened again it is the same certificate."""
    made = DeviceCommunication.create(tmp_path / "os11", key_type=KeyType.P256, now=NOW)
    opened = DeviceCommunication.open(tmp_path / "os11")

    assert opened.certificate == made.certificate
    assert opened.pem == to_pem([made.certificate])
    assert [file.name for file in (tmp_path / "os11").iterdir()] == ["tckey.pem"]
    assert opened.identity_file.stat().st_mode & 0o777 == 0o600


def test_it_is_never_overwritten(tmp_path: Path) -> None:
    """A second one would lock every OS 11 device out (G6)."""
    DeviceCommunication.create(tmp_path, key_type=KeyType.P256, now=NOW)

    with refused(Fault.EXISTS, "tckey.pem is already there"):
        DeviceCommunication.create(tmp_path, key_type=KeyType.P256, now=NOW)


def test_damaged(tmp_path: Path) -> None:
    """The path is named, and what to do."""
    with refused(Fault.UNREADABLE, str(tmp_path)):
        DeviceCommunication.open(tmp_path)
    (tmp_path / "tckey.pem").write_bytes(PEM)

    with refused(Fault.UNREADABLE, "tckey.pem", "restore the folder from a backup"):
        DeviceCommunication.open(tmp_path)


class TestPin:
    """What a peer gives as its own certificate."""

    def test_one_certificate(self) -> None:
        """Text or bytes, with or without something around it."""
        assert read_pin(PEM) == read_pin(PEM.decode()) == read_pin(b"x\n" + PEM + b"y\n") == CERTIFICATE

    @pytest.mark.parametrize(
        ("given_pem", "fault"),
        [
            (b"", Fault.UNREADABLE),
            ("\ud800", Fault.UNREADABLE),
            (PEM[:-40], Fault.UNREADABLE),
            (PEM * 2, Fault.UNREADABLE),
            (PEM * 40, Fault.TOO_LARGE),
            (b"x" * 9000, Fault.TOO_LARGE),
        ],
    )
    def test_anything_else(self, given_pem: bytes | str, fault: Fault) -> None:
        """It is refused."""
        with refused(fault):
            read_pin(given_pem)

    @fuzzed
    @given(st.data())
    def test_broken_copies(self, data: st.DataObject) -> None:
        """Any bytes changed: another certificate, or one kind of error."""
        broken = bytearray(PEM)
        for _ in range(data.draw(st.integers(1, 4))):
            broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
        with suppress(CertificateError):
            read_pin(bytes(broken))

    def test_whole(self) -> None:
        """Only the very certificate is the pin: not another one of the same name, not one below it."""
        other, _ = make_self_signed(KeyType.P256, now=NOW)

        assert is_pinned(der_of(CERTIFICATE), CERTIFICATE)
        assert not is_pinned(der_of(other), CERTIFICATE)
        assert not is_pinned(der_of(make("x").certificate), CERTIFICATE)
        assert not is_pinned(None, CERTIFICATE)


def test_weak_signatures_are_told() -> None:
    """G7: SHA-1 is one, what we make is none, and what nobody can name is taken for one."""
    ecdsa_with_sha512, nothing = bytes.fromhex("2a8648ce3d040304"), bytes.fromhex("2a8648ce3d04037f")
    unknown = x509.load_der_x509_certificate(der_of(CERTIFICATE).replace(ecdsa_with_sha512, nothing))

    assert [False, True, True] == [is_weakly_signed(one) for one in (CERTIFICATE, read_pin(WEAK), unknown)]
