# SPDX-License-Identifier: Apache-2.0
"""Certificate signing requests: what a device asks for, and what the server reads out of it.

Provenance: standard (PKCS#10, RFC 2986; RFC 7030 sections 4.2.1 and 4.2.2); which subject the vendor's device asks for
is unknown (X14), so the subject `CN=<unit ID>` is simulated.

Two things are taken from a request: the unit ID, which must be the value of the only common name in the subject, and
the public key, whose private half must have signed the request. Everything else is ignored and never reaches a
certificate: other subject attributes (O, OU, serialNumber, e-mail), requested extensions (CA:TRUE, key usages,
subjectAltName) and attributes (challengePassword). Only a renewal looks at the subjectAltName asked for, to refuse one.
"""

from __future__ import annotations

from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from umslab_certs.chain import check_signature_hash, extension
from umslab_certs.errors import CertificateError, Fault, reading
from umslab_certs.keys import PrivateKey, PublicKey, check_strength, signature_hash, spki_digest
from umslab_protocol.errors import InvalidValueError
from umslab_protocol.values.unit_id import UnitId, parse_unit_id

MAX_REQUEST_BYTES = 16 * 1024
"""An RSA-4096 request with many attributes has 2 KiB."""

_WHAT = "the certificate request"


@dataclass(frozen=True, slots=True)
class EnrolmentRequest:
    """A request whose signature and key were found good."""

    der: bytes
    unit_id: UnitId
    public_key: PublicKey
    public_key_digest: str
    """SHA-256 over the SubjectPublicKeyInfo, in hexadecimal digits."""
    san: x509.SubjectAlternativeName | None
    """The subjectAltName asked for, which no certificate will carry."""


def build_request(unit_id: UnitId, key: PrivateKey) -> bytes:
    """Write a signed PKCS#10 request for `CN=<unit_id>` in DER."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, unit_id)])
    request = x509.CertificateSigningRequestBuilder(subject).sign(key, signature_hash(key))
    return request.public_bytes(Encoding.DER)


def peek_unit_id(der: bytes) -> UnitId:
    """Read who a request claims to be for, without the cost of a signature check: nothing is proven yet.

    Raises `CertificateError`: TOO_LARGE, UNREADABLE or BAD_SUBJECT.
    """
    with reading(_WHAT):
        return _unit_id(_load(der).subject, _WHAT)


def read_request(der: bytes) -> EnrolmentRequest:
    """Read and judge a request: proof of possession (RFC 7030, 4.2.1), strength of key and signature, subject.

    Raises `CertificateError`: TOO_LARGE (over 16 KiB), UNREADABLE, BAD_SUBJECT, WEAK_KEY, WEAK_SIGNATURE or
    BAD_SIGNATURE.
    """
    with reading(_WHAT):
        request = _load(der)
        unit_id = _unit_id(request.subject, _WHAT)
        public_key = check_strength(request.public_key())  # before the signature: the key decides what verifying costs
        check_signature_hash(request, _WHAT)
        if not request.is_signature_valid:
            message = f"{_WHAT} is not signed with the key it is about"
            raise CertificateError(Fault.BAD_SIGNATURE, message)
        san = extension(request, x509.SubjectAlternativeName)
    return EnrolmentRequest(der, unit_id, public_key, spki_digest(public_key), san)


def check_renewal(request: EnrolmentRequest, certificate: x509.Certificate) -> None:
    """Check that a renewal asks for the names of the device certificate it presents (RFC 7030, 4.2.2).

    The RFC wants an identical subject and subjectAltName. Of the subject the unit ID is compared, because only that is
    taken from a request; the certificates issued here carry no subjectAltName, so a request with one differs.
    Raises `CertificateError`: NAMES_DIFFER, or BAD_SUBJECT when the certificate is no device certificate.
    """
    unit_id = device_unit_id(certificate)
    if request.unit_id != unit_id:
        message = f"{_WHAT} is for {request.unit_id}, the certificate to renew for {unit_id}"
        raise CertificateError(Fault.NAMES_DIFFER, message)
    if request.san != extension(certificate, x509.SubjectAlternativeName):
        message = f"{_WHAT} asks for another subjectAltName than the certificate to renew has"
        raise CertificateError(Fault.NAMES_DIFFER, message)


def device_unit_id(certificate: x509.Certificate) -> UnitId:
    """Read which device a certificate is for; raise `CertificateError` (BAD_SUBJECT) when it names none."""
    return _unit_id(certificate.subject, "the certificate")


def _load(der: bytes) -> x509.CertificateSigningRequest:
    if len(der) > MAX_REQUEST_BYTES:
        raise CertificateError(Fault.TOO_LARGE, f"{_WHAT} is larger than {MAX_REQUEST_BYTES} bytes")
    return x509.load_der_x509_csr(der)


def _unit_id(subject: x509.Name, what: str) -> UnitId:
    names = subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    if len(names) != 1:
        raise CertificateError(
            Fault.BAD_SUBJECT,
            f"{what} has {len(names)} common names in its subject",
            "exactly one, the unit ID, is needed",
        )
    try:
        return parse_unit_id(str(names[0].value))
    except InvalidValueError as problem:
        raise CertificateError(Fault.BAD_SUBJECT, f"the common name of {what}: {problem}") from None
