# SPDX-License-Identifier: Apache-2.0
"""Certificates in PEM, and the way from one of them up to its root.

Provenance: standard (RFC 5280 section 6.1, as far as a path is concerned: names, signatures, CA flag, key usage, path
length, time; RFC 7468 for PEM); documented need (C13: the order of a chain file does not matter; C31: an incomplete
chain stops onboarding). This judges chains before anybody relies on them; TLS judges them again in every handshake.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from umslab_certs.errors import CertificateError, Fault, reading
from umslab_protocol.values.fingerprint import Fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from umslab_certs.keys import PrivateKey

MAX_CERTIFICATES = 32
"""In one file or one EST answer."""
MAX_DEPTH = 8
"""Certificates in a path, leaf and root included."""

Extension = TypeVar("Extension", bound=x509.ExtensionType)

_REMEMBERED = 128
"""Certificates that are not parsed again, and signatures that are not checked again: those on what all devices of a
fleet are shown."""
_BEGIN = b"-----BEGIN CERTIFICATE-----"
_WEAK_HASHES = ("md5", "sha1")


@dataclass(frozen=True, slots=True)
class TrustPath:
    """A leaf, the authorities above it (its issuer first) and the self-signed root, which may be the leaf itself."""

    leaf: x509.Certificate
    intermediates: tuple[x509.Certificate, ...]
    root: x509.Certificate

    @property
    def presented(self) -> tuple[x509.Certificate, ...]:
        """What a TLS server sends: everything below the root."""
        return (self.leaf, *self.intermediates)

    @property
    def chain(self) -> tuple[x509.Certificate, ...]:
        """Everything, leaf first, root last."""
        return (self.root,) if self.leaf == self.root else (*self.presented, self.root)


def parse_certificate(der: bytes, what: str = "the certificate") -> x509.Certificate:
    """Read one DER certificate; raise `CertificateError` (UNREADABLE) about `what` otherwise.

    cryptography decodes most parts when they are first asked for. All of them are asked for here, so that no later
    look at a foreign certificate can raise.
    """
    with reading(what):
        return _parse(der)


@lru_cache(maxsize=_REMEMBERED)
def _parse(der: bytes) -> x509.Certificate:
    certificate = x509.load_der_x509_certificate(der)
    _ = (certificate.subject, certificate.issuer, certificate.extensions, certificate.public_key())
    _ = (certificate.signature_hash_algorithm, certificate.not_valid_before_utc, certificate.not_valid_after_utc)
    return certificate


def load_pem_certificates(data: bytes, what: str) -> list[x509.Certificate]:
    """Read the certificates in a PEM text in the order they stand there; text and other blocks between are skipped.

    Raises `CertificateError` about `what`: UNREADABLE (also without certificates, or when one is cut off), TOO_LARGE
    for more than 32.
    """
    count = data.count(_BEGIN)
    if count == 0:
        raise CertificateError(Fault.UNREADABLE, f"{what} holds no PEM certificate")
    if count > MAX_CERTIFICATES:
        raise CertificateError(Fault.TOO_LARGE, f"{what} holds more than {MAX_CERTIFICATES} certificates")
    with reading(what):
        found = x509.load_pem_x509_certificates(data)
    if len(found) != count:  # cryptography skips a block without an end
        raise CertificateError(Fault.UNREADABLE, f"{what} holds a certificate that is cut off")
    return [parse_certificate(certificate.public_bytes(Encoding.DER), what) for certificate in found]


def to_pem(certificates: Iterable[x509.Certificate]) -> bytes:
    """Write certificates as PEM, one after the other."""
    return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in certificates)


def fingerprint(certificate: x509.Certificate) -> Fingerprint:
    """Return the SHA-256 fingerprint over the DER certificate (C20)."""
    return Fingerprint.of_digest(certificate.fingerprint(hashes.SHA256()))


def subject_of(certificate: x509.Certificate) -> str:
    """Name a certificate in a message; quoted, so that a foreign name cannot play with the reader's terminal."""
    return _quoted(certificate.subject)


def certificate_for(key: PrivateKey, certificates: Iterable[x509.Certificate]) -> x509.Certificate:
    """Return the first certificate that belongs to `key`; raise `CertificateError` (MISMATCHED) when none does."""
    public_key = key.public_key()
    for certificate in certificates:
        if certificate.public_key() == public_key:
            return certificate
    raise CertificateError(Fault.MISMATCHED, "the private key does not match any of the certificates")


def extension(holder: x509.Certificate | x509.CertificateSigningRequest, kind: type[Extension]) -> Extension | None:
    """Return the extension of that kind, or None when there is none."""
    try:
        return holder.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def names_as_issuer(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Tell whether a certificate says that `issuer` made it: by name and key identifier, without a signature check.

    For certificates of our own, whose signatures nobody needs to doubt: it takes a tenth of the time.
    """
    if certificate.issuer != issuer.subject:
        return False
    said, own = extension(certificate, x509.AuthorityKeyIdentifier), extension(issuer, x509.SubjectKeyIdentifier)
    if said is None:
        return True
    if own is None:  # an imported authority may lack one
        own = x509.SubjectKeyIdentifier.from_public_key(issuer.public_key())
    return said.key_identifier == own.digest


def check_time(certificate: x509.Certificate, now: datetime) -> None:
    """Raise `CertificateError` (EXPIRED, NOT_YET_VALID) unless `now` (UTC) lies in the validity, both ends included."""
    end, begin = certificate.not_valid_after_utc, certificate.not_valid_before_utc
    if now > end:
        raise CertificateError(Fault.EXPIRED, f"{subject_of(certificate)} expired on {_date(end)} (now {_date(now)})")
    if now < begin:
        hint = "check the clocks"
        message = f"{subject_of(certificate)} is not valid before {_date(begin)} (now {_date(now)})"
        raise CertificateError(Fault.NOT_YET_VALID, message, hint)


def check_ca(certificate: x509.Certificate, below: int = 0) -> None:
    """Raise `CertificateError` (NOT_A_CA) unless a certificate may sign others (RFC 5280, 4.2.1.3 and 4.2.1.9).

    basicConstraints must say CA, keyUsage (where there is one) must allow keyCertSign, and a path length must leave
    room for the `below` authorities between this one and the leaf.
    """
    constraints = extension(certificate, x509.BasicConstraints)
    usage = extension(certificate, x509.KeyUsage)
    if constraints is None or not constraints.ca or (usage is not None and not usage.key_cert_sign):
        raise CertificateError(Fault.NOT_A_CA, f"{subject_of(certificate)} is not a CA certificate")
    if constraints.path_length is not None and below > constraints.path_length:
        message = f"{subject_of(certificate)} allows {constraints.path_length} authorities below it, not {below}"
        raise CertificateError(Fault.NOT_A_CA, message)


def check_signature_hash(signed: x509.Certificate | x509.CertificateSigningRequest, what: str) -> None:
    """Raise `CertificateError` (WEAK_SIGNATURE) about `what` when it is signed with MD5 or SHA-1."""
    used = signed.signature_hash_algorithm
    if used is not None and used.name in _WEAK_HASHES:
        raise CertificateError(Fault.WEAK_SIGNATURE, f"{what} is signed with {used.name}")


def build_path(leaf: x509.Certificate, bag: Sequence[x509.Certificate], *, now: datetime | None = None) -> TrustPath:
    """Find the shortest way from `leaf` over the certificates in `bag` to a self-signed root that is in it.

    Names, signatures, CA flags, key usage, path lengths and, unless `now` is None, times must be right on the way. Each
    certificate is tried at one place only: a bag full of cross-signed authorities costs at most n squared signatures.

    Raises `CertificateError` about the place where the longest attempt ends: INCOMPLETE (the issuer is not in the bag,
    or too far), BAD_SIGNATURE, WEAK_SIGNATURE, NOT_A_CA, EXPIRED or NOT_YET_VALID.
    """
    if now is not None:
        check_time(leaf, now)
    unused = [certificate for certificate in dict.fromkeys(bag) if certificate != leaf]
    attempts: deque[tuple[x509.Certificate, ...]] = deque([(leaf,)])
    problem = _missing_issuer(leaf)
    while attempts:
        path = attempts.popleft()
        if _is_root(path[-1]):
            check_ca(path[-1])
            return TrustPath(leaf, path[1:-1], path[-1])
        problem = _missing_issuer(path[-1])
        for issuer in [certificate for certificate in unused if certificate.subject == path[-1].issuer]:
            try:
                _check_issuer(issuer, path, now)
            except CertificateError as objection:
                problem = objection
            else:
                unused.remove(issuer)
                attempts.append((*path, issuer))
    raise problem


def _check_issuer(issuer: x509.Certificate, path: tuple[x509.Certificate, ...], now: datetime | None) -> None:
    if len(path) == MAX_DEPTH:
        raise CertificateError(Fault.INCOMPLETE, f"no root within {MAX_DEPTH} certificates")
    check_ca(issuer, below=len(path) - 1)
    check_signature_hash(path[-1], subject_of(path[-1]))
    if not _is_signed_by(path[-1], issuer):
        raise _bad_signature(path[-1])
    if now is not None:
        check_time(issuer, now)


def _is_root(certificate: x509.Certificate) -> bool:
    """Tell whether a certificate is self-signed.

    cryptography (50) refuses to verify MD5 and SHA-1, which a fifth of the public roots still sign themselves with; a
    root's own signature proves nothing that its pin does not, so there the names are enough.
    """
    if certificate.subject != certificate.issuer:
        return False
    used = certificate.signature_hash_algorithm
    return (used is not None and used.name in _WEAK_HASHES) or _is_signed_by(certificate, certificate)


@lru_cache(maxsize=_REMEMBERED)
def _is_signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
        return False
    return True


def _missing_issuer(certificate: x509.Certificate) -> CertificateError:
    if certificate.subject == certificate.issuer:
        return _bad_signature(certificate)
    return CertificateError(
        Fault.INCOMPLETE,
        f"the chain is incomplete: the certificate of {_quoted(certificate.issuer)} is missing",
        "add it to the chain",
    )


def _bad_signature(certificate: x509.Certificate) -> CertificateError:
    message = f"the signature of {_quoted(certificate.issuer)} on {subject_of(certificate)} is wrong"
    return CertificateError(Fault.BAD_SIGNATURE, message)


def _quoted(name: x509.Name) -> str:
    return repr(name.rfc4514_string()[:100])


def _date(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S} UTC"
