# SPDX-License-Identifier: Apache-2.0
"""A private key and its certificate chain in one file, so that one rename replaces both.

Provenance: simulated (the file is ours; the vendor keeps several). PEM: the key first, then the certificate, then what
a TLS peer needs to find the root. `SSLContext.load_cert_chain` reads it as it is. The same form serves a device's
identity, the server's web certificate and the client authority.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from umslab_certs.chain import certificate_for, load_pem_certificates, to_pem
from umslab_certs.errors import CertificateError, Fault
from umslab_certs.files import read_limited, write_private
from umslab_certs.keys import key_from_pem, key_to_pem

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cryptography.x509 import Certificate

    from umslab_certs.keys import PrivateKey


def save_identity(path: Path, key: PrivateKey, certificate_chain: Sequence[Certificate]) -> None:
    """Write key and chain (own certificate first) into one file with mode 0600, atomically and durably.

    Raises `CertificateError` (MISMATCHED) when the key is not that of the first certificate, and `OSError` when the
    file cannot be written; in both cases the old file stays as it was.
    """
    write_private(path, identity_to_pem(key, certificate_chain))


def identity_to_pem(key: PrivateKey, certificate_chain: Sequence[Certificate]) -> bytes:
    """Return key and chain in one piece; raise `CertificateError` (MISMATCHED) as `save_identity` does."""
    certificate_for(key, certificate_chain[:1])
    return key_to_pem(key) + to_pem(certificate_chain)


def load_identity(path: Path) -> tuple[PrivateKey, Certificate]:
    """Read a key and its certificate; raise `CertificateError` as `load_identity_chain` does."""
    key, chain = load_identity_chain(path)
    return key, chain[0]


def load_identity_chain(path: Path) -> tuple[PrivateKey, list[Certificate]]:
    """Read a key and the whole chain that was saved with it; times are not judged.

    Raises `CertificateError` with the path in the message: UNREADABLE, TOO_LARGE, WEAK_KEY (neither RSA nor EC), or
    MISMATCHED when the key is not that of the first certificate.
    """
    return identity_from_pem(read_limited(path), what=str(path))


def identity_from_pem(data: bytes, what: str) -> tuple[PrivateKey, list[Certificate]]:
    """Read what `identity_to_pem` wrote; `what` names it in the messages of the same `CertificateError`s."""
    key = key_from_pem(data, what=f"the private key in {what}")
    chain = load_pem_certificates(data, what=what)
    try:
        certificate_for(key, chain[:1])
    except CertificateError:
        message = f"{what}: the private key does not match the certificate"
        raise CertificateError(Fault.MISMATCHED, message) from None
    return key, chain
