# SPDX-License-Identifier: Apache-2.0
"""Certificate authorities: make a root, issue server and device certificates.

Provenance: documented lifetimes and kinds (C1-C3: own root for 20 years, end certificates for one; X8: device
certificates for one year; X12: a separate client CA), standard profile (RFC 5280), simulated names: every certificate
says `O=umslab simulation`, so that nobody takes it for the vendor's; the subject of device certificates is ours (X14).
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from umslab_certs.chain import check_time, extension
from umslab_certs.keys import KeyType, PrivateKey, PublicKey, generate_key, signature_hash

if TYPE_CHECKING:
    from cryptography.x509 import Certificate, SubjectAlternativeName

    from umslab_certs.csr import EnrolmentRequest

ORGANISATION = "umslab simulation"
ROOT_LIFETIME = timedelta(days=20 * 365.25)  # C1
WEB_LIFETIME = timedelta(days=365)  # C2
DEVICE_LIFETIME = timedelta(days=365)  # X8
BACKDATE = timedelta(minutes=5)
"""How much earlier than now a certificate begins, for clocks that run behind."""

_LONGEST_COMMON_NAME = 64  # RFC 5280, ub-common-name


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate that signs others, its key, and the chain from this certificate up to the root, both included."""

    certificate: Certificate
    key: PrivateKey = field(repr=False)
    chain: tuple[Certificate, ...]

    def issue_server(
        self,
        names: SubjectAlternativeName,
        key_type: KeyType,
        *,
        now: datetime,
        lifetime: timedelta = WEB_LIFETIME,
    ) -> tuple[Certificate, PrivateKey]:
        """Make a key and a TLS server certificate for `names`; the first DNS name is also the common name.

        Valid from five minutes before `now` for `lifetime`, but never longer than this authority. Raises
        `CertificateError` (EXPIRED, NOT_YET_VALID) when a certificate of this authority's chain is not valid now.
        """
        key = generate_key(key_type)
        fitting = (name for name in names.get_values_for_type(x509.DNSName) if len(name) <= _LONGEST_COMMON_NAME)
        usage = _key_usage(digital_signature=True, key_encipherment=isinstance(key, rsa.RSAPrivateKey))
        certificate = self._issue(
            _subject(next(fitting, "localhost")),
            key.public_key(),
            now=now,
            lifetime=lifetime,
            usage=usage,
            purpose=ExtendedKeyUsageOID.SERVER_AUTH,
            names=names,
        )
        return certificate, key

    def issue_device(
        self, request: EnrolmentRequest, *, now: datetime, lifetime: timedelta = DEVICE_LIFETIME
    ) -> Certificate:
        """Issue a TLS client certificate for `CN=<unit ID>`; only unit ID and public key come from the request.

        Validity and errors are those of `issue_server`.
        """
        return self._issue(
            _subject(request.unit_id),
            request.public_key,
            now=now,
            lifetime=lifetime,
            usage=_key_usage(digital_signature=True),
            purpose=ExtendedKeyUsageOID.CLIENT_AUTH,
        )

    def _issue(
        self,
        subject: x509.Name,
        public_key: PublicKey,
        *,
        now: datetime,
        lifetime: timedelta,
        usage: x509.KeyUsage,
        purpose: x509.ObjectIdentifier,
        names: SubjectAlternativeName | None = None,
    ) -> Certificate:
        for certificate in self.chain:
            check_time(certificate, now)
        begin = max(_whole_seconds(now - BACKDATE), self.certificate.not_valid_before_utc)
        end = min(_whole_seconds(now + lifetime), self.certificate.not_valid_after_utc)
        builder = (
            _builder(subject, public_key, begin, end)
            .issuer_name(self.certificate.subject)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(self._key_identifier(), critical=False)
        )
        if names is not None:
            builder = builder.add_extension(names, critical=False)
        return builder.sign(self.key, signature_hash(self.key))

    def _key_identifier(self) -> x509.AuthorityKeyIdentifier:
        own = extension(self.certificate, x509.SubjectKeyIdentifier)
        if own is None:  # an imported authority may lack one
            return x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)


def create_root(
    common_name: str,
    key_type: KeyType,
    *,
    now: datetime,
    lifetime: timedelta = ROOT_LIFETIME,
    path_length: int | None = None,
) -> Authority:
    """Make a self-signed authority; `path_length` 0 forbids authorities below it.

    Valid from five minutes before `now` for `lifetime`, in whole seconds.
    """
    key = generate_key(key_type)
    subject = _subject(common_name)
    certificate = (
        _builder(subject, key.public_key(), _whole_seconds(now - BACKDATE), _whole_seconds(now + lifetime))
        .issuer_name(subject)
        .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(_key_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        .sign(key, signature_hash(key))
    )
    return Authority(certificate, key, (certificate,))


def _builder(subject: x509.Name, public_key: PublicKey, begin: datetime, end: datetime) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(public_key)
        .serial_number(1 << 127 | secrets.randbits(127))  # full length always: 17 octets in DER, RFC 5280 allows 20
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _subject(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, ORGANISATION),
        ]
    )


def _key_usage(
    *,
    digital_signature: bool = False,
    key_encipherment: bool = False,
    key_cert_sign: bool = False,
    crl_sign: bool = False,
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=key_encipherment,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )


def _whole_seconds(time: datetime) -> datetime:
    return time.replace(microsecond=0)
