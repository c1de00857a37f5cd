# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_certs.authority."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from umslab_certs.authority import BACKDATE, DEVICE_LIFETIME, ROOT_LIFETIME, WEB_LIFETIME, Authority, create_root
from umslab_certs.chain import build_path, extension, to_pem
from umslab_certs.errors import Fault
from umslab_certs.keys import KeyType, key_to_pem
from umslab_certs.names import covers, subject_names

from .pki import CLIENT, DAY, NOW, SERVER, UNIT_ID, make, openssl, refused

if TYPE_CHECKING:
    from pathlib import Path

    from umslab_certs.csr import EnrolmentRequest
    from umslab_certs.keys import PrivateKey

LATER = NOW + timedelta(hours=1, microseconds=123_456)


def kinds(certificate: x509.Certificate) -> dict[str, bool]:
    """Which extensions a certificate has, and which of them are critical."""
    return {type(item.value).__name__: item.critical for item in certificate.extensions}


def usages(certificate: x509.Certificate) -> set[str]:
    """The key usages that are set."""
    usage = extension(certificate, x509.KeyUsage)
    assert usage is not None
    return {
        kind
        for kind in ("digital_signature", "key_encipherment", "key_agreement", "key_cert_sign", "crl_sign")
        if getattr(usage, kind)
    }


class TestRoot:
    """Self-signed authorities."""

    def test_profile(self, root: Authority) -> None:
        """A root says what it is and nothing else, and is not the vendor's."""
        certificate = root.certificate

        assert certificate.subject.rfc4514_string() == "O=umslab simulation,CN=umslab lab root test"
        assert certificate.issuer == certificate.subject
        assert kinds(certificate) == {
            "BasicConstraints": True,
            "KeyUsage": True,
            "SubjectKeyIdentifier": False,
            "AuthorityKeyIdentifier": False,
        }
        assert extension(certificate, x509.BasicConstraints) == x509.BasicConstraints(ca=True, path_length=None)
        assert usages(certificate) == {"key_cert_sign", "crl_sign"}
        assert root.chain == (certificate,)

    def test_validity(self) -> None:
        """Twenty years from now (C1), whole seconds, begun five minutes ago."""
        certificate = create_root("r", KeyType.P256, now=LATER).certificate

        assert certificate.not_valid_before_utc == LATER.replace(microsecond=0) - BACKDATE
        assert certificate.not_valid_after_utc == LATER.replace(microsecond=0) + ROOT_LIFETIME

    def test_path_length(self) -> None:
        """Path length 0 is written, for the client authority."""
        certificate = create_root("r", KeyType.P256, now=NOW, path_length=0).certificate

        assert extension(certificate, x509.BasicConstraints) == x509.BasicConstraints(ca=True, path_length=0)

    def test_serial_numbers(self) -> None:
        """Serial numbers are positive, always of full length, within the 20 octets of RFC 5280, and differ."""
        serials = {create_root("r", KeyType.P256, now=NOW).certificate.serial_number for _ in range(20)}

        assert len(serials) == 20
        assert {serial.bit_length() for serial in serials} == {128}

    def test_key_stays_out_of_repr(self, root: Authority) -> None:
        """An authority that ends up in a log does not take its key along."""
        assert "key=" not in repr(root)

    def test_rsa_root_signs_with_sha512(self, rsa_key: PrivateKey, request_of_device: EnrolmentRequest) -> None:
        """C1: SHA512withRSA."""
        pair = make("rsa root", ca=True, key=rsa_key)
        authority = Authority(pair.certificate, pair.key, (pair.certificate,))
        certificate = authority.issue_device(request_of_device, now=NOW)

        assert "sha512WithRSAEncryption" in openssl("x509", "-noout", "-text", given=to_pem([certificate]))


class TestServer:
    """Certificates for the web port."""

    def test_profile(self, root: Authority) -> None:
        """A server certificate is for TLS servers, and all of its names are covered."""
        certificate, key = root.issue_server(subject_names(["192.0.2.7", "ums.lab"]), KeyType.P256, now=NOW)

        assert certificate.public_key() == key.public_key()
        assert certificate.subject.rfc4514_string() == "O=umslab simulation,CN=ums.lab"
        assert kinds(certificate) == {
            "BasicConstraints": True,
            "KeyUsage": True,
            "ExtendedKeyUsage": False,
            "SubjectAlternativeName": False,
            "SubjectKeyIdentifier": False,
            "AuthorityKeyIdentifier": False,
        }
        assert extension(certificate, x509.BasicConstraints) == x509.BasicConstraints(ca=False, path_length=None)
        assert extension(certificate, x509.ExtendedKeyUsage) == x509.ExtendedKeyUsage([SERVER])
        assert usages(certificate) == {"digital_signature"}
        assert all(covers(certificate, name) for name in ("192.0.2.7", "ums.lab", "localhost"))

    def test_rsa_servers_may_encipher_keys(self, root: Authority) -> None:
        """An RSA key also serves the key exchange of old TLS 1.2 clients."""
        certificate, _ = root.issue_server(subject_names([]), KeyType.RSA2048, now=NOW)

        assert usages(certificate) == {"digital_signature", "key_encipherment"}

    def test_long_names_do_not_fit_the_subject(self, root: Authority) -> None:
        """A common name has 64 characters at most, so a longer DNS name leaves its place to the next."""
        long = ".".join(["label"] * 20)
        certificate, _ = root.issue_server(subject_names([long]), KeyType.P256, now=NOW)
        only_long = x509.SubjectAlternativeName([x509.DNSName(long)])
        other, _ = root.issue_server(only_long, KeyType.P256, now=NOW)

        for made in (certificate, other):
            assert made.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "localhost"
            assert covers(made, long)

    @pytest.mark.parametrize("strict", [[], ["-x509_strict"]])
    def test_openssl_verifies_it(self, root: Authority, tmp_path: Path, strict: list[str]) -> None:
        """`openssl verify` takes it as a TLS server's, for its names, in strict mode too."""
        certificate, _ = root.issue_server(subject_names(["ums.lab", "192.0.2.7"]), KeyType.P256, now=NOW)
        (tmp_path / "root").write_bytes(to_pem([root.certificate]))
        (tmp_path / "leaf").write_bytes(to_pem([certificate]))
        where = ["-CAfile", str(tmp_path / "root"), "-attime", str(int(NOW.timestamp())), *strict]
        purpose = ["-purpose", "sslserver", "-verify_hostname", "ums.lab", "-verify_ip", "192.0.2.7"]

        assert "OK" in openssl("verify", *where, *purpose, str(tmp_path / "leaf"))


class TestDevice:
    """Certificates for devices."""

    def test_profile(self, root: Authority, request_of_device: EnrolmentRequest) -> None:
        """A device certificate says which device it is, is for TLS clients, and carries nothing of the request."""
        certificate = root.issue_device(request_of_device, now=NOW)

        assert certificate.subject.rfc4514_string() == f"O=umslab simulation,CN={UNIT_ID}"
        assert certificate.public_key() == request_of_device.public_key
        assert kinds(certificate) == {
            "BasicConstraints": True,
            "KeyUsage": True,
            "ExtendedKeyUsage": False,
            "SubjectKeyIdentifier": False,
            "AuthorityKeyIdentifier": False,
        }
        assert extension(certificate, x509.BasicConstraints) == x509.BasicConstraints(ca=False, path_length=None)
        assert extension(certificate, x509.ExtendedKeyUsage) == x509.ExtendedKeyUsage([CLIENT])
        assert usages(certificate) == {"digital_signature"}
        assert build_path(certificate, root.chain, now=NOW).root == root.certificate

    def test_openssl_text(self, root: Authority, request_of_device: EnrolmentRequest) -> None:
        """OpenSSL reads the same out of it."""
        text = openssl("x509", "-noout", "-text", given=to_pem([root.issue_device(request_of_device, now=NOW)]))

        for line in (f"Subject: CN = {UNIT_ID}, O = umslab simulation", "TLS Web Client Authentication", "CA:FALSE"):
            assert line in text
        assert "Subject Alternative Name" not in text

    def test_validity(self, root: Authority, request_of_device: EnrolmentRequest) -> None:
        """One year (X8), in whole seconds, begun five minutes ago; other lifetimes on request."""
        year = root.issue_device(request_of_device, now=LATER)
        hour = root.issue_device(request_of_device, now=LATER, lifetime=timedelta(hours=1))

        assert year.not_valid_before_utc == LATER.replace(microsecond=0) - BACKDATE
        assert year.not_valid_after_utc == LATER.replace(microsecond=0) + DEVICE_LIFETIME
        assert hour.not_valid_after_utc == LATER.replace(microsecond=0) + timedelta(hours=1)

    def test_validity_stays_inside_the_issuer(self, request_of_device: EnrolmentRequest) -> None:
        """A certificate neither begins before its issuer nor ends after it."""
        issuer = create_root("short", KeyType.P256, now=NOW, lifetime=30 * DAY)
        certificate = issuer.issue_device(request_of_device, now=NOW - BACKDATE)

        assert certificate.not_valid_before_utc == issuer.certificate.not_valid_before_utc
        assert certificate.not_valid_after_utc == issuer.certificate.not_valid_after_utc

    def test_expired_authority_refuses(self, root: Authority, request_of_device: EnrolmentRequest) -> None:
        """An authority that is over, or not yet begun, issues nothing."""
        with refused(Fault.EXPIRED, "umslab lab root test"):
            root.issue_device(request_of_device, now=NOW + ROOT_LIFETIME + DAY)
        with refused(Fault.NOT_YET_VALID):
            root.issue_device(request_of_device, now=NOW - DAY)
        with refused(Fault.EXPIRED):
            root.issue_server(subject_names([]), KeyType.P256, now=NOW + ROOT_LIFETIME + DAY, lifetime=WEB_LIFETIME)

    def test_expired_root_above_refuses(self, root: Authority, request_of_device: EnrolmentRequest) -> None:
        """An authority is no better than those above it."""
        above = make("above", ca=True, end=NOW + DAY)
        authority = replace(root, chain=(root.certificate, above.certificate))

        authority.issue_device(request_of_device, now=NOW)
        with refused(Fault.EXPIRED, "CN=above"):
            authority.issue_device(request_of_device, now=NOW + 2 * DAY)

    def test_imported_authority_without_key_identifier(self, request_of_device: EnrolmentRequest) -> None:
        """The authority key identifier is computed when the issuer has none of its own, and copied when it has."""
        plain = make("plain", ca=True)
        issued = Authority(plain.certificate, plain.key, (plain.certificate,)).issue_device(request_of_device, now=NOW)

        expected = x509.AuthorityKeyIdentifier.from_issuer_public_key(plain.key.public_key())
        assert extension(issued, x509.AuthorityKeyIdentifier) == expected


def test_openssl_issues_below_our_root(root: Authority, tmp_path: Path) -> None:
    """Our key files and roots serve OpenSSL as an authority, so they are ordinary."""
    (tmp_path / "key").write_bytes(key_to_pem(root.key))
    (tmp_path / "root").write_bytes(to_pem([root.certificate]))
    request = openssl("req", "-new", "-key", str(tmp_path / "key"), "-subj", "/CN=x").encode()
    signing = ["-req", "-CA", str(tmp_path / "root"), "-CAkey", str(tmp_path / "key"), "-set_serial", "7"]

    assert "BEGIN CERTIFICATE" in openssl("x509", *signing, given=request)
