# SPDX-License-Identifier: Apache-2.0
"""What only an OS 11 device keeps: the pin, the key it shares with its UMS, its own certificate (facts G8-G12).

Provenance: `server.crt` and a `tckey` of 32 bytes are documented by the community; that the second is kept as it is,
and `device.pem`, are ours. The key is kept before it is sent, so that a registration whose answer was lost is repeated
with the same one; the pin is kept when the server has said that the device is registered, and is never replaced: only a
reset or a deregistration removes it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from umslab_agent.errors import DeviceFolderError
from umslab_agent.folder import ANSWERING, PIN, SHARED_KEY
from umslab_certs.chain import load_pem_certificates, parse_certificate, to_pem
from umslab_certs.device_communication import make_self_signed, read_pin
from umslab_certs.errors import CertificateError
from umslab_certs.identity import identity_to_pem
from umslab_certs.keys import check_strength, key_type
from umslab_protocol.errors import InvalidValueError
from umslab_protocol.values.device_key import DEVICE_KEY_BYTES, DeviceKey

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from cryptography.x509 import Certificate

    from umslab_agent.folder import DeviceFolder
    from umslab_certs.keys import KeyType


def load_pin(folder: DeviceFolder) -> Certificate | None:
    """Return the certificate of the UMS, None before registration. Raises `DeviceFolderError` and `OSError`."""
    if not folder.shelf.exists(PIN):
        return None
    try:
        return read_pin(folder.shelf.read(PIN))
    except CertificateError as error:
        where = folder.shelf.where(PIN)
        raise DeviceFolderError(
            f"{where} is damaged ({error.message}): restore it, or remove it to let the device register anew"
        ) from None


def save_pin(folder: DeviceFolder, presented: bytes) -> None:
    """Keep what the UMS presented, as DER; durable when it returns. Raises `CertificateError` and `OSError`."""
    pem = to_pem([parse_certificate(presented)])
    read_pin(pem)  # what cannot be read again is not kept
    folder.shelf.write(PIN, pem)


def load_or_make_key(folder: DeviceFolder, entropy: Callable[[int], bytes]) -> DeviceKey:
    """Return the shared key, made and kept at first use. Raises `DeviceFolderError` and `OSError`."""
    if not folder.shelf.exists(SHARED_KEY):
        folder.shelf.write(SHARED_KEY, entropy(DEVICE_KEY_BYTES))
    try:
        return DeviceKey(folder.shelf.read(SHARED_KEY, DEVICE_KEY_BYTES))
    except (CertificateError, InvalidValueError) as error:
        raise DeviceFolderError(
            f"{folder.shelf.where(SHARED_KEY)} is damaged ({error}): restore it, or start a new folder"
        ) from None


def new_certificate(kind: KeyType, now: datetime) -> bytes:
    """Make a device's own certificate and its key, as they are kept."""
    certificate, key = make_self_signed(kind, now=now)
    return identity_to_pem(key, [certificate])


def place_certificate(folder: DeviceFolder, piece: bytes) -> None:
    """Keep what `new_certificate` made ahead. Raises `OSError`."""
    folder.shelf.write(ANSWERING, piece)


def load_or_make_certificate(folder: DeviceFolder, kind: KeyType, now: datetime) -> Certificate:
    """Return the device's own certificate, made and kept at first use, which takes up to a second for an RSA key.

    Its key is not looked at: that takes 0.1 s for RSA, and OpenSSL does it when it is used (listening.py).

    Raises `CertificateError` and `OSError`.
    """
    if not folder.shelf.exists(ANSWERING):
        place_certificate(folder, new_certificate(kind, now))
    return load_pem_certificates(folder.shelf.read(ANSWERING), folder.shelf.where(ANSWERING))[0]


def kind_of(certificate: Certificate) -> KeyType:
    """Return the key type of a certificate. Raises `CertificateError` for a key that is not taken."""
    return key_type(check_strength(certificate.public_key()))
