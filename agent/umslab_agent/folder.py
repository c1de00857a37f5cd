# SPDX-License-Identifier: Apache-2.0
"""What a device keeps: each piece in one file that is replaced in one step; a power cut leaves the old or the new.

device.json                who it is (persona)
request.pem                a key and the CSR made with it, kept until its certificate is saved
identity.pem               key and certificate in use
trust-store/cacerts.pem    pinned roots (C30); several during a rotation (V2)
trust-store/chain.pem      intermediates that help to complete a chain
trust-store/est/est-ca.pem the EST client CA, for the record; never trusted for servers (C30)
boots.json                 how often it has booted
settings.json              what it is to have: settings, apps, files
installed.json             how far it is with that: settings in effect, states of apps and files
files/                     the files it was sent
connectors.json            where it may connect to (W5)
roots.json                 which announced roots are pinned (C36)
discovered.json            where it found its UMS (W9)
reached.json               where it was let in lately (W8)
unknown.json               since when servers call it unknown (L5)
journal.json               the last commands and their results
inbox.json                 the last messages to the user
self-release-*.log         why it gave up its registration (L6)

OS 11 (os11/keeping.py):
server.crt                 the certificate of its UMS: the pin (G8)
tckey                      the key that it shares with its UMS (G8)
device.pem                 key and certificate with which it answers its UMS (G10)
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from umslab_agent.errors import DeviceFolderError
from umslab_agent.kept import (
    AnnouncedRoots,
    Boots,
    Discovered,
    Inbox,
    Installed,
    Journal,
    Kept,
    KnownConnectors,
    Reached,
    SettingsDocument,
    Unknown,
)
from umslab_agent.persona import Persona
from umslab_agent.shelf import FolderShelf, Shelf
from umslab_certs.chain import load_pem_certificates, to_pem
from umslab_certs.csr import build_request
from umslab_certs.errors import CertificateError, Fault
from umslab_certs.files import make_private_folder
from umslab_certs.identity import identity_from_pem, identity_to_pem
from umslab_certs.keys import check_strength, generate_key, key_from_pem, key_to_pem, key_type
from umslab_protocol.errors import InvalidValueError
from umslab_protocol.values.unit_id import parse_unit_id
from umslab_protocol.wire.transfer import Wrapping, decode_body, encode_body
from umslab_runtime.folder_lock import FolderInUseError, hold_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from cryptography.x509 import Certificate

    from umslab_certs.keys import KeyType, PrivateKey
    from umslab_protocol.values.unit_id import UnitId

PIN = "server.crt"
SHARED_KEY = "tckey"
ANSWERING = "device.pem"
"""What only an OS 11 device keeps: os11/keeping.py."""
_PERSONA = "device.json"
_REQUEST = "request.pem"
_IDENTITY = "identity.pem"
_ROOTS = "trust-store/cacerts.pem"
_CHAIN = "trust-store/chain.pem"
_EST_CA = "trust-store/est/est-ca.pem"
_FILES = "files"
_CSR = re.compile(rb"-----BEGIN CERTIFICATE REQUEST-----.*?-----END CERTIFICATE REQUEST-----", re.DOTALL)


class DeviceFolder:
    """One device's folder, or what a fleet has in place of one."""

    boots = Kept("boots.json", Boots())
    settings = Kept("settings.json", SettingsDocument())
    installed = Kept("installed.json", Installed())
    connectors = Kept("connectors.json", KnownConnectors())
    announced_roots = Kept("roots.json", AnnouncedRoots())
    discovered = Kept("discovered.json", Discovered())
    reached = Kept("reached.json", Reached())
    unknown = Kept("unknown.json", Unknown(since=""))
    journal = Kept("journal.json", Journal())
    inbox = Kept("inbox.json", Inbox())

    __slots__ = ("_facts", "shelf")

    def __init__(self, place: Path | Shelf) -> None:
        """`place` is a folder, or another shelf."""
        self.shelf: Shelf = FolderShelf(place) if isinstance(place, Path) else place
        self._facts: tuple[object, tuple[datetime, datetime, KeyType]] | None = None

    @property
    def path(self) -> Path:
        """Where it is, for people."""
        return Path(self.shelf.where(""))

    @property
    def files(self) -> Path:
        """Where the files it was sent are."""
        return Path(self.shelf.where(_FILES))

    @property
    def identity_file(self) -> Path:
        """Key and certificate in use, for `use_identity`, which has to read it before anything else happens."""
        return self.shelf.as_file(_IDENTITY)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder; raises `DeviceFolderError` when another device does, `OSError` when it cannot be used."""
        try:
            make_private_folder(self.path)
            with hold_folder(self.path):
                yield
        except FolderInUseError:
            raise DeviceFolderError(
                f"another device runs on {self.path}: stop it, or choose another folder with --state"
            ) from None

    # Who it is.

    def load_persona(self) -> Persona | None:
        """Return the persona, None in a fresh folder. Raises `DeviceFolderError` when it is damaged."""
        if not self.shelf.exists(_PERSONA):
            return None
        try:
            persona = msgspec.json.decode(self.shelf.read(_PERSONA), type=Persona)
            parse_unit_id(persona.unit_id)
        except (CertificateError, msgspec.DecodeError, UnicodeDecodeError, InvalidValueError) as error:
            raise DeviceFolderError(f"{self.shelf.where(_PERSONA)} is damaged: {error}") from None
        return persona

    def save_persona(self, persona: Persona) -> None:
        """Keep who the device is."""
        self.shelf.write(_PERSONA, msgspec.json.format(msgspec.json.encode(persona)) + b"\n")

    # The request under way.

    def load_request(self) -> tuple[PrivateKey, bytes] | None:
        """Return the key and the DER of the CSR that are under way. Raises `CertificateError` when damaged."""
        if not self.shelf.exists(_REQUEST):
            return None
        data, where = self.shelf.read(_REQUEST), self.shelf.where(_REQUEST)
        found = _CSR.search(data)
        if found is None:
            raise CertificateError(Fault.UNREADABLE, f"{where} holds no certificate request")
        try:
            return key_from_pem(data, what=where), decode_body(found.group())
        except InvalidValueError as error:
            raise CertificateError(Fault.UNREADABLE, f"{where} is damaged: {error}") from None

    def make_request(self, unit_id: UnitId, key_type: KeyType) -> bytes:
        """Make a key and a CSR and keep both before anybody sees them; returns the DER of the CSR."""
        piece, der = new_request(unit_id, key_type)
        self.shelf.write(_REQUEST, piece)
        return der

    def place_request(self, piece: bytes) -> None:
        """Keep a request that `new_request` made ahead."""
        self.shelf.write(_REQUEST, piece)

    def drop_finished_request(self) -> None:
        """Remove a request whose certificate is already in use: a power cut came between the two steps."""
        if not self.shelf.exists(_IDENTITY):
            return
        request = self.load_request()
        if request is not None and self._load_identity()[0].public_key() == request[0].public_key():
            self.shelf.remove(_REQUEST)

    # The identity in use.

    def load_identity(self) -> Certificate | None:
        """Return the certificate in use, None before enrolment. Raises `CertificateError` when it is damaged."""
        return self._load_identity()[1] if self.shelf.exists(_IDENTITY) else None

    def _load_identity(self) -> tuple[PrivateKey, Certificate]:
        key, chain = identity_from_pem(self.shelf.read(_IDENTITY), self.shelf.where(_IDENTITY))
        return key, chain[0]

    def identity_dates(self) -> tuple[datetime, datetime] | None:
        """Return from when to when the certificate in use is good, None before enrolment; see `load_identity`."""
        facts = self._identity_facts()
        return None if facts is None else facts[:2]

    def identity_key_type(self) -> KeyType | None:
        """Return what kind of key is in use, None before enrolment; see `load_identity`."""
        facts = self._identity_facts()
        return None if facts is None else facts[2]

    def _identity_facts(self) -> tuple[datetime, datetime, KeyType] | None:
        """For the daily look and each connect: parsed again only when the identity is another than last time."""
        mark = self.shelf.mark(_IDENTITY)
        if mark is None:
            return None
        if self._facts is None or self._facts[0] != mark:
            self._facts = mark, _facts_of(self._load_identity()[1])
        return self._facts[1]

    def identity_serial(self) -> str:
        """Return the serial number of the certificate in use, nothing before enrolment; see `load_identity`."""
        certificate = self.load_identity()
        return "" if certificate is None else f"{certificate.serial_number:x}"

    def take_certificate(self, certificate: Certificate) -> None:
        """Put the certificate and the key of the request under way in use, in one step."""
        request = self.load_request()
        if request is None:
            raise CertificateError(Fault.MISMATCHED, "a certificate came, but no request was under way")
        self.shelf.write(_IDENTITY, identity_to_pem(request[0], [certificate]))
        self.shelf.remove(_REQUEST)
        self._facts = self.shelf.mark(_IDENTITY), _facts_of(certificate)

    # Whom it trusts.

    def load_trust(self) -> tuple[list[Certificate], list[Certificate]]:
        """Return pinned roots and helpful intermediates; no roots before trust is established."""
        return self._load_certificates(_ROOTS), self._load_certificates(_CHAIN)

    def _load_certificates(self, name: str) -> list[Certificate]:
        if not self.shelf.exists(name):
            return []
        data = self.shelf.read(name)
        try:
            return list(_parsed(data))
        except CertificateError:
            return load_pem_certificates(data, self.shelf.where(name))  # which names the damaged piece

    def save_trust(
        self, roots: Sequence[Certificate], intermediates: Sequence[Certificate], est_ca: Sequence[Certificate]
    ) -> None:
        """Pin the roots; they are written last, so that trust is either complete or absent."""
        for name, certificates in ((_EST_CA, est_ca), (_CHAIN, intermediates)):
            if certificates:
                self.shelf.write(name, to_pem(certificates))
            else:
                self.shelf.remove(name)
        self.shelf.write(_ROOTS, to_pem(roots))

    def replace_roots(self, roots: Sequence[Certificate]) -> None:
        """Pin these roots and no others (V2)."""
        self.shelf.write(_ROOTS, to_pem(roots))

    # The files it was sent.

    def keep_file(self, name: str, content: bytes) -> None:
        """Keep a file. Raises `OSError`."""
        self.shelf.write(f"{_FILES}/{name}", content)

    def file_size(self, name: str) -> int | None:
        """Return the size of a file, None when it is not there."""
        return self.shelf.size(f"{_FILES}/{name}")

    def remove_file(self, name: str) -> None:
        """Remove a file. Raises `OSError`."""
        self.shelf.remove(f"{_FILES}/{name}")

    # The end.

    def has_ums(self, generation: int) -> bool:
        """Whether the device is registered with some UMS: as OS 11 it has a pin, as OS 12 a certificate."""
        return self.shelf.exists(PIN if generation == 11 else _IDENTITY)

    def note_release(self, stamp: str, text: str) -> Path:
        """Write why the device gives up its registration (L6)."""
        name = f"self-release-{stamp}.log"
        self.shelf.write(name, text.encode())
        return Path(self.shelf.where(name))

    def forget(self) -> None:
        """Forget the server and all that came from it: what a released device does (L5, L6).

        The persona stays, what users were told, and with which certificate an OS 11 device answers, which no server
        made. The settings go because their versions are the server's.
        """
        for name in (PIN, SHARED_KEY, _IDENTITY, _REQUEST):
            self.shelf.remove(name)
        self.shelf.clear("trust-store")
        self.shelf.clear(_FILES)
        for kept in (self.settings, self.installed, self.connectors, self.announced_roots, self.reached, self.unknown):
            kept.remove()
        self.discovered.remove()
        self.journal.remove()  # last: a reset that was cut off is found in it and begun again

    def reset(self) -> None:
        """Forget everything but who it is: reset to factory defaults (J1)."""
        self.inbox.remove()
        self.forget()


def _facts_of(certificate: Certificate) -> tuple[datetime, datetime, KeyType]:
    kind = key_type(check_strength(certificate.public_key()))
    return certificate.not_valid_before_utc, certificate.not_valid_after_utc, kind


@lru_cache(maxsize=64)
def _parsed(data: bytes) -> tuple[Certificate, ...]:
    """Parse what thousands of devices pin alike once."""
    return tuple(load_pem_certificates(data, "the pinned certificates"))


def new_request(unit_id: UnitId, key_type: KeyType) -> tuple[bytes, bytes]:
    """Make a key and a CSR; returns both as they are kept, and the DER of the CSR."""
    key = generate_key(key_type)
    der = build_request(unit_id, key)
    return key_to_pem(key) + encode_body(der, Wrapping.PEM, "CERTIFICATE REQUEST"), der
