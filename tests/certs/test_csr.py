# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_certs.csr."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import NameOID
from hypothesis import given

from umslab_certs.csr import (
    MAX_REQUEST_BYTES,
    build_request,
    check_renewal,
    device_unit_id,
    peek_unit_id,
    read_request,
)
from umslab_certs.errors import Fault
from umslab_certs.keys import KeyType, generate_key, key_to_pem, spki_digest
from umslab_protocol.values.unit_id import UnitId

from .pki import NOW, UNIT_ID, broken, der_of, fuzzed, make, name, openssl, openssl_bytes, refusal_of, refused

if TYPE_CHECKING:
    from pathlib import Path

    from umslab_certs.authority import Authority
    from umslab_certs.csr import EnrolmentRequest
    from umslab_certs.keys import PrivateKey

KEY = generate_key(KeyType.P256)
GOOD = build_request(UnitId(UNIT_ID), KEY)
ASK = x509.SubjectAlternativeName([x509.DNSName("ums.lab")])


def request_for(subject: x509.Name, *extensions: x509.ExtensionType) -> bytes:
    """A request as a stranger may write it."""
    builder = x509.CertificateSigningRequestBuilder(subject)
    for wanted in extensions:
        builder = builder.add_extension(wanted, critical=False)
    return der_of(builder.sign(KEY, hashes.SHA256()))


def subject_with(*attributes: tuple[x509.ObjectIdentifier, str]) -> x509.Name:
    """A subject of these attributes."""
    return x509.Name([x509.NameAttribute(kind, value) for kind, value in attributes])


@pytest.mark.parametrize("kind", [KeyType.P256, KeyType.P384, KeyType.P521, KeyType.RSA2048])
def test_round_trip(kind: KeyType) -> None:
    """What a device asks for is what the server reads, for each kind of key; OpenSSL finds the signature good."""
    key = generate_key(kind)
    der = build_request(UnitId(UNIT_ID), key)
    request = read_request(der)

    assert request.der == der
    assert request.unit_id == UNIT_ID == peek_unit_id(der)
    assert request.public_key == key.public_key()
    assert request.public_key_digest == spki_digest(key.public_key())
    assert request.san is None
    text = openssl("req", "-inform", "DER", "-noout", "-verify", "-subject", given=der)
    assert "verify OK" in text
    assert f"subject=CN = {UNIT_ID}\n" in text


def test_openssl_request(tmp_path: Path) -> None:
    """A request by `openssl req` with much more in its subject and wishes is read for what is taken from it."""
    (tmp_path / "key").write_bytes(key_to_pem(KEY))
    wishes = ["-addext", "subjectAltName=DNS:ums.lab", "-addext", "basicConstraints=critical,CA:TRUE"]
    subject = f"/C=DE/O=IGEL/OU=Lab/serialNumber=1/CN={UNIT_ID}/emailAddress=a@b.example"
    arguments = ["-new", "-key", str(tmp_path / "key"), "-subj", subject, "-outform", "DER", *wishes]
    request = read_request(openssl_bytes("req", *arguments))

    assert request.unit_id == UNIT_ID
    assert request.san == ASK


def test_wishes_stay_wishes(root: Authority) -> None:
    """Nothing that a request asks for beyond unit ID and key comes back in the certificate."""
    subject = subject_with((NameOID.ORGANIZATION_NAME, "IGEL Technology GmbH"), (NameOID.COMMON_NAME, UNIT_ID))
    wishes = (x509.BasicConstraints(ca=True, path_length=None), ASK, x509.UnrecognizedExtension(NameOID.TITLE, b"x"))
    certificate = root.issue_device(read_request(request_for(subject, *wishes)), now=NOW)
    text = openssl("x509", "-inform", "DER", "-noout", "-text", given=der_of(certificate))

    assert certificate.subject.rfc4514_string() == f"O=umslab simulation,CN={UNIT_ID}"
    for word in ("IGEL", "CA:TRUE", "ums.lab"):
        assert word not in text


@pytest.mark.parametrize(
    ("subject", "words"),
    [
        (x509.Name([]), "0 common names"),
        (subject_with((NameOID.ORGANIZATION_NAME, UNIT_ID)), "0 common names"),
        (subject_with((NameOID.COMMON_NAME, UNIT_ID), (NameOID.COMMON_NAME, "00E0C5000001")), "2 common names"),
        (name("00:E0:C5:14:32:5B"), "upper case without separators"),
        (name("00e0c514325b"), "is not a unit ID"),
        (name("localhost"), "is not a unit ID"),
    ],
)
def test_subject_rule(subject: x509.Name, words: str) -> None:
    """The subject has one common name, and that is a unit ID; a peek says the same."""
    for read in (read_request, peek_unit_id):
        with refused(Fault.BAD_SUBJECT, words):
            read(request_for(subject))


def test_proof_of_possession() -> None:
    """RFC 7030, 4.2.1: a request that was changed since it was signed is refused; a peek is not proof."""
    at = GOOD.index(UNIT_ID.encode())
    changed = GOOD[:at] + b"1" + GOOD[at + 1 :]

    assert peek_unit_id(changed) == "1" + UNIT_ID[1:]
    with refused(Fault.BAD_SIGNATURE, "not signed with the key"):
        read_request(changed)


@pytest.mark.parametrize("digest", ["md5", "sha1"])
def test_weak_hashes(tmp_path: Path, digest: str) -> None:
    """MD5 and SHA-1 are refused by name."""
    (tmp_path / "key").write_bytes(openssl_bytes("genrsa", "2048"))
    arguments = ["-new", "-key", str(tmp_path / "key"), f"-{digest}", "-subj", f"/CN={UNIT_ID}", "-outform", "DER"]

    with refused(Fault.WEAK_SIGNATURE, digest):
        read_request(openssl_bytes("req", *arguments))


def test_weak_keys(tmp_path: Path) -> None:
    """Short RSA keys and kinds that are not spoken here are refused before their signature is looked at."""
    (tmp_path / "key").write_bytes(openssl_bytes("genrsa", "1024"))
    arguments = ["-new", "-key", str(tmp_path / "key"), "-subj", f"/CN={UNIT_ID}", "-outform", "DER"]
    builder = x509.CertificateSigningRequestBuilder(name(UNIT_ID))

    with refused(Fault.WEAK_KEY, "1024"):
        read_request(openssl_bytes("req", *arguments))
    with refused(Fault.WEAK_KEY, "neither"):
        read_request(der_of(builder.sign(ed25519.Ed25519PrivateKey.generate(), None)))
    with refused(Fault.WEAK_KEY, "secp256k1"):
        read_request(der_of(builder.sign(ec.generate_private_key(ec.SECP256K1()), hashes.SHA256())))


def test_too_large() -> None:
    """Nobody needs 16 KiB to ask for a certificate."""
    for read in (read_request, peek_unit_id):
        with refused(Fault.TOO_LARGE, "16384"):
            read(bytes(MAX_REQUEST_BYTES + 1))


@pytest.mark.parametrize("data", [b"", b"\x30\x00", GOOD + b"\x00", GOOD[:-1], b"-----BEGIN CERTIFICATE REQUEST-----"])
def test_unreadable(data: bytes) -> None:
    """Empty, cut-off and lengthened requests are refused."""
    for read in (read_request, peek_unit_id):
        with refused(Fault.UNREADABLE, "the certificate request cannot be read"):
            read(data)


@fuzzed
@given(broken(request_for(name(UNIT_ID), ASK, x509.BasicConstraints(ca=True, path_length=None))))
def test_foreign_bytes(data: bytes) -> None:
    """Whatever arrives, the only exception is ours."""
    refusal_of(read_request, data)
    refusal_of(peek_unit_id, data)


class TestRenewal:
    """RFC 7030, 4.2.2."""

    def test_same_device_may_renew(self, root: Authority, request_of_device: EnrolmentRequest) -> None:
        """A renewal with the same unit ID passes, also with a new key."""
        certificate = root.issue_device(request_of_device, now=NOW)

        assert device_unit_id(certificate) == UNIT_ID
        check_renewal(request_of_device, certificate)
        check_renewal(read_request(GOOD), certificate)

    def test_other_device_may_not(self, root: Authority, request_of_device: EnrolmentRequest) -> None:
        """A certificate does not renew somebody else's."""
        other = read_request(build_request(UnitId("00E0C5000001"), KEY))

        with refused(Fault.NAMES_DIFFER, "00E0C5000001", UNIT_ID):
            check_renewal(other, root.issue_device(request_of_device, now=NOW))

    def test_names_must_be_the_same(self, root: Authority, request_of_device: EnrolmentRequest) -> None:
        """A renewal cannot ask for names that the certificate has not, nor leave out those it has."""
        greedy = read_request(request_for(name(UNIT_ID), ASK))
        with_names = make(UNIT_ID, names=["ums.lab"]).certificate

        with refused(Fault.NAMES_DIFFER, "subjectAltName"):
            check_renewal(greedy, root.issue_device(request_of_device, now=NOW))
        with refused(Fault.NAMES_DIFFER, "subjectAltName"):
            check_renewal(request_of_device, with_names)
        check_renewal(greedy, with_names)

    def test_server_certificate_is_no_identity(self, request_of_device: EnrolmentRequest) -> None:
        """A certificate that names no device renews nothing."""
        with refused(Fault.BAD_SUBJECT, "the certificate", "ums.lab"):
            check_renewal(request_of_device, make("ums.lab").certificate)


def test_key_is_not_in_the_request(device_key: PrivateKey, request_of_device: EnrolmentRequest) -> None:
    """A request shows the public half only."""
    assert isinstance(device_key, ec.EllipticCurvePrivateKey)
    private = device_key.private_numbers().private_value.to_bytes(32, "big")

    assert private not in request_of_device.der
