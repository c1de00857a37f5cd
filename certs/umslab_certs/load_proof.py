# SPDX-License-Identifier: Apache-2.0
"""Signs and checks the proof that a server was started for load (SIMULATED: wire/load_proof.py says what is signed)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from umslab_certs.errors import CertificateError, Fault
from umslab_certs.identity import load_identity
from umslab_certs.keys import check_strength, signature_hash
from umslab_protocol.wire.load_proof import statement

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.x509 import Certificate


def sign_load_proof(identity_file: Path, nonce: bytes) -> bytes:
    """Return the signature of a server's TLS key. Raises `CertificateError` for a damaged file."""
    key, certificate = load_identity(identity_file)
    signed = statement(nonce, certificate.fingerprint(hashes.SHA256()))
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(signed, padding.PKCS1v15(), signature_hash(key))
    return key.sign(signed, ec.ECDSA(signature_hash(key)))


def check_load_proof(certificate: Certificate, nonce: bytes, signature: bytes) -> None:
    """Raise `CertificateError` unless the key of this certificate signed this nonce, for this certificate."""
    key = check_strength(certificate.public_key())
    signed = statement(nonce, certificate.fingerprint(hashes.SHA256()))
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, signed, padding.PKCS1v15(), signature_hash(key))
        else:
            key.verify(signature, signed, ec.ECDSA(signature_hash(key)))
    except InvalidSignature:
        message = "the load proof is not signed by the key of the server's certificate, or for another connection"
        raise CertificateError(Fault.BAD_SIGNATURE, message) from None
