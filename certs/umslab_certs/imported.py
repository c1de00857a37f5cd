# SPDX-License-Identifier: Apache-2.0
"""Chains from elsewhere: judged completely before anything of them is stored.

Provenance: documented need (C8: a company chain may replace the own one; C13: the order of a chain file does not
matter; C31: an incomplete chain stops onboarding), standard rules (RFC 5280).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from umslab_certs.authority import Authority
from umslab_certs.chain import (
    TrustPath,
    build_path,
    certificate_for,
    check_ca,
    extension,
    load_pem_certificates,
    subject_of,
)
from umslab_certs.errors import CertificateError, Fault
from umslab_certs.keys import LARGEST_CA_RSA_BITS, PrivateKey, check_strength, key_from_pem
from umslab_certs.names import covers

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from cryptography.x509 import Certificate


def read_server_chain(
    chain_pem: bytes, key_pem: bytes, *, names: Iterable[str], now: datetime
) -> tuple[PrivateKey, TrustPath]:
    """Read a chain for a TLS server and its key; `names` are what the leaf must cover.

    Raises `CertificateError`: UNREADABLE, WEAK_KEY, MISMATCHED, WRONG_USAGE (a CA certificate, or not for TLS servers),
    INCOMPLETE, EXPIRED and the other faults of `build_path`, NAMES_DIFFER (the message lists what is missing).
    """
    key = key_from_pem(key_pem)
    certificates = load_pem_certificates(chain_pem, "the chain")
    leaf = certificate_for(key, certificates)
    check_strength(leaf.public_key())
    _check_server_usage(leaf)
    path = build_path(leaf, certificates, now=now)
    _check_strength_above(path)
    if missing := [name for name in names if not covers(leaf, name)]:
        message = f"{subject_of(leaf)} does not cover {', '.join(missing)}"
        raise CertificateError(Fault.NAMES_DIFFER, message, "devices that use these names would refuse the server")
    return key, path


def read_authority(chain_pem: bytes, key_pem: bytes, *, now: datetime) -> Authority:
    """Read an authority that may issue device certificates, and its key.

    Raises `CertificateError`: UNREADABLE, WEAK_KEY, MISMATCHED, NOT_A_CA (also when an authority above does not allow
    as many below it), INCOMPLETE, EXPIRED and the other faults of `build_path`.
    """
    key = key_from_pem(key_pem)
    certificates = load_pem_certificates(chain_pem, "the chain")
    certificate = certificate_for(key, certificates)
    check_strength(certificate.public_key())
    check_ca(certificate)
    path = build_path(certificate, certificates, now=now)
    _check_strength_above(path)
    for below, issuer in enumerate(path.chain):
        check_ca(issuer, below)
    return Authority(certificate, key, path.chain)


def _check_server_usage(leaf: Certificate) -> None:
    constraints = extension(leaf, x509.BasicConstraints)
    if constraints is not None and constraints.ca:
        message = f"the key belongs to {subject_of(leaf)}, a CA certificate"
        raise CertificateError(Fault.WRONG_USAGE, message, "give the key of the server certificate")
    purposes = extension(leaf, x509.ExtendedKeyUsage)  # without one, every purpose is allowed (RFC 5280, 4.2.1.12)
    if purposes is not None and ExtendedKeyUsageOID.SERVER_AUTH not in purposes:
        raise CertificateError(Fault.WRONG_USAGE, f"{subject_of(leaf)} is not meant for TLS servers (serverAuth)")


def _check_strength_above(path: TrustPath) -> None:
    for certificate in path.chain[1:]:
        check_strength(certificate.public_key(), LARGEST_CA_RSA_BITS)
