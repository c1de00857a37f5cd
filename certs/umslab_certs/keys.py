# SPDX-License-Identifier: Apache-2.0
"""Key pairs: which kinds there are, how they are stored, which are strong enough.

Provenance: documented kinds (C1-C3: RSA 4096 with SHA-512 by default, or NIST curves; X7: devices use RSA 4096 or EC
P-521) and standard encodings (PKCS#8, RFC 5958; SubjectPublicKeyInfo, RFC 5280). RSA 2048, 3072 and P-256 are ours, for
fleets that should not spend their time on key generation.
"""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from umslab_certs.errors import CertificateError, Fault

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

PrivateKey: TypeAlias = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
PublicKey: TypeAlias = rsa.RSAPublicKey | ec.EllipticCurvePublicKey
SignatureHash: TypeAlias = hashes.SHA256 | hashes.SHA384 | hashes.SHA512

SMALLEST_RSA_BITS = 2048
LARGEST_RSA_BITS = 4096
LARGEST_CA_RSA_BITS = 16384
"""The vendor's tool makes roots of up to 16k (C3)."""


class KeyType(StrEnum):
    """The kinds of key that umslab makes."""

    P256 = "p-256"
    P384 = "p-384"
    P521 = "p-521"
    RSA2048 = "rsa-2048"
    RSA3072 = "rsa-3072"
    RSA4096 = "rsa-4096"


_CURVES: dict[KeyType, ec.EllipticCurve] = {
    KeyType.P256: ec.SECP256R1(),
    KeyType.P384: ec.SECP384R1(),
    KeyType.P521: ec.SECP521R1(),
}
_CURVE_HASHES: dict[str, SignatureHash] = {
    "secp256r1": hashes.SHA256(),
    "secp384r1": hashes.SHA384(),
    "secp521r1": hashes.SHA512(),
}


def generate_key(kind: KeyType) -> PrivateKey:
    """Make a new key; RSA 4096 takes about a third of a second, P-256 a hundredth of a millisecond."""
    if kind in _CURVES:
        return ec.generate_private_key(_CURVES[kind])
    return rsa.generate_private_key(public_exponent=65537, key_size=int(kind.removeprefix("rsa-")))


def key_type(public_key: PublicKey) -> KeyType:
    """Tell the kind of a key that `generate_key` made; raise `CertificateError` (WEAK_KEY) for any other size."""
    try:
        if isinstance(public_key, rsa.RSAPublicKey):
            return KeyType(f"rsa-{public_key.key_size}")
        return next(kind for kind, curve in _CURVES.items() if curve.name == public_key.curve.name)
    except (ValueError, StopIteration):
        raise CertificateError(
            Fault.WEAK_KEY, f"umslab does not make {public_key.key_size}-bit keys like this"
        ) from None


def key_to_pem(key: PrivateKey) -> bytes:
    """Write a key as unencrypted PKCS#8 in PEM; what comes out belongs into `files.write_private` only."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def key_from_pem(data: bytes, what: str = "private key") -> PrivateKey:
    """Read the first private key in `data` (PKCS#8, PKCS#1 or SEC 1 in PEM; other PEM blocks may surround it).

    Raises `CertificateError`: UNREADABLE (also when it is encrypted), or WEAK_KEY for a kind that is neither RSA nor
    EC. `what` names the key in the message, which holds nothing of its content.
    """
    try:
        key = serialization.load_pem_private_key(data, password=None)
    except TypeError:
        hint = "decrypt it first, for example with: openssl pkey -in KEY -out PLAIN"
        raise CertificateError(Fault.UNREADABLE, f"{what} is encrypted", hint) from None
    except (ValueError, UnsupportedAlgorithm, Warning):
        raise CertificateError(Fault.UNREADABLE, f"{what} is not a readable private key in PEM") from None
    if not isinstance(key, (rsa.RSAPrivateKey, ec.EllipticCurvePrivateKey)):
        raise CertificateError(Fault.WEAK_KEY, f"{what} is neither an RSA nor an EC key")
    return key


def check_strength(public_key: CertificatePublicKeyTypes, largest_rsa_bits: int = LARGEST_RSA_BITS) -> PublicKey:
    """Return the key when it is RSA of 2048 bits up to `largest_rsa_bits`, or EC on P-256, P-384 or P-521.

    RSA needs an odd public exponent of 65537 up to 256 bits (FIPS 186-5, A.1.1): a small one is weak, a huge one makes
    whoever verifies a signature do the work of signing. Raises `CertificateError` (WEAK_KEY).
    """
    if isinstance(public_key, rsa.RSAPublicKey):
        if not SMALLEST_RSA_BITS <= public_key.key_size <= largest_rsa_bits:
            accepted = f"{SMALLEST_RSA_BITS} to {largest_rsa_bits} are"
            message = f"RSA keys of {public_key.key_size} bits are not accepted, {accepted}"
            raise CertificateError(Fault.WEAK_KEY, message)
        exponent = public_key.public_numbers().e
        if not (65537 <= exponent < 2**256 and exponent % 2):
            raise CertificateError(Fault.WEAK_KEY, "the RSA key has an unsuitable public exponent: 65537 is usual")
        return public_key
    if isinstance(public_key, ec.EllipticCurvePublicKey):
        if public_key.curve.name not in _CURVE_HASHES:
            raise CertificateError(
                Fault.WEAK_KEY, f"EC keys on {public_key.curve.name} are not accepted, P-256, P-384 and P-521 are"
            )
        return public_key
    raise CertificateError(Fault.WEAK_KEY, "the key is neither an RSA nor an EC key")


def spki_digest(public_key: CertificatePublicKeyTypes) -> str:
    """Return the SHA-256 over the DER SubjectPublicKeyInfo in lower-case hexadecimal digits: the name of a key pair."""
    der = public_key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()


def signature_hash(key: PrivateKey | PublicKey) -> SignatureHash:
    """Choose the hash a key signs with: SHA-512 for RSA (C1), for EC the one as long as the curve."""
    return hashes.SHA512() if isinstance(key, rsa.RSAPrivateKey | rsa.RSAPublicKey) else _CURVE_HASHES[key.curve.name]
