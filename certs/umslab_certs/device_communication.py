# SPDX-License-Identifier: Apache-2.0
"""Certificates of OS 11: a key that signs itself, known by its whole content and by nothing else.

Provenance: documented behaviour (G4: the UMS makes its own, RSA 4096 with SHA-512, no chain; G10-G12: a device's has no
extension and no common name and is valid for decades, so that identity is the exact certificate), simulated names:
`O=umslab simulation`, so that nobody takes it for the vendor's.

The server's lies in a folder of its own as `tckey.pem`, a device's where the device likes. Losing the server's means
that every OS 11 device must register anew (G6).
"""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID

from umslab_certs.authority import BACKDATE, ORGANISATION
from umslab_certs.chain import load_pem_certificates, to_pem
from umslab_certs.errors import CertificateError, Fault
from umslab_certs.files import make_private_folder, refuse_overwriting, telling_damage
from umslab_certs.identity import load_identity_chain, save_identity
from umslab_certs.keys import KeyType, check_strength, generate_key

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path
    from typing import Self

    from cryptography.x509 import Certificate

    from umslab_certs.keys import PrivateKey

LIFETIME = timedelta(days=23 * 365.25)  # G10: the sample is valid from 2014 to 2037
TCKEY = "tckey.pem"
MAX_PIN_BYTES = 8 * 1024


class DeviceCommunication:
    """The certificate with which a server talks to OS 11 devices."""

    def __init__(self, folder: Path, certificate: Certificate) -> None:
        self._folder = folder
        self.certificate = certificate

    @classmethod
    def create(cls, folder: Path, *, key_type: KeyType = KeyType.RSA4096, now: datetime) -> Self:
        """Make one in a new folder. Raises `CertificateError` (EXISTS) and `OSError`."""
        refuse_overwriting(folder / TCKEY)
        certificate, key = make_self_signed(key_type, now=now)
        make_private_folder(folder)
        save_identity(folder / TCKEY, key, [certificate])
        return cls(folder, certificate)

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Read what `create` wrote. Raises `CertificateError` with the path when it is missing or damaged."""
        with telling_damage(folder):
            _, chain = load_identity_chain(folder / TCKEY)
        return cls(folder, chain[0])

    @property
    def identity_file(self) -> Path:
        """Key and certificate, for `server_context_12`."""
        return self._folder / TCKEY

    @property
    def pem(self) -> bytes:
        """The certificate alone: what a device keeps as `server.crt` (G8)."""
        return to_pem([self.certificate])


def make_self_signed(key_type: KeyType, *, now: datetime) -> tuple[Certificate, PrivateKey]:
    """Make a key and its certificate: version 3, no extension, no common name, signed with SHA-512."""
    key = generate_key(key_type)
    name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, ORGANISATION)])
    begin = (now - BACKDATE).replace(microsecond=0)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1 << 62 | secrets.randbits(62))  # 64 bits, as one of the samples has (G11)
        .not_valid_before(begin)
        .not_valid_after(begin + LIFETIME)
        .sign(key, hashes.SHA512())
    )
    return certificate, key


def is_weakly_signed(certificate: Certificate) -> bool:
    """Tell whether a UMS warns about this certificate (G7): signed with MD5 or SHA-1, or with what nobody knows."""
    try:
        algorithm = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return True
    return isinstance(algorithm, hashes.MD5 | hashes.SHA1)


def read_pin(pem: bytes | str) -> Certificate:
    """Read the one certificate that a peer gave as its own.

    Raises `CertificateError`: TOO_LARGE, UNREADABLE (also for more than one), WEAK_KEY.
    """
    data = pem if isinstance(pem, bytes) else pem.encode("utf-8", "replace")
    if len(data) > MAX_PIN_BYTES:
        raise CertificateError(Fault.TOO_LARGE, f"a certificate to pin has at most {MAX_PIN_BYTES} bytes")
    certificates = load_pem_certificates(data, "the certificate to pin")
    if len(certificates) != 1:
        raise CertificateError(Fault.UNREADABLE, "one certificate was expected, and no chain")
    check_strength(certificates[0].public_key())
    return certificates[0]


def is_pinned(presented: bytes | None, pin: Certificate) -> bool:
    """Tell whether the DER that a peer presented is the pin, whole (G12)."""
    return presented == pin.public_bytes(serialization.Encoding.DER)
