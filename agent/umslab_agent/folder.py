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
"""

from __future__ import annotations

import re
import shutil
from contextlib import contextmanager, suppress
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
    KeptFile,
    KnownConnectors,
    Reached,
    SettingsDocument,
    Unknown,
)
from umslab_agent.persona import Persona
from umslab_certs.chain import load_pem_certificates, to_pem
from umslab_certs.csr import build_request
from umslab_certs.errors import CertificateError, Fault
from umslab_certs.files import make_private_folder, read_limited, remove_durably, write_private
from umslab_certs.identity import load_identity, save_identity
from umslab_certs.keys import generate_key, key_from_pem, key_to_pem
from umslab_protocol.errors import InvalidValueError
from umslab_protocol.values.unit_id import parse_unit_id
from umslab_protocol.wire.transfer import Wrapping, decode_body, encode_body
from umslab_runtime.folder_lock import FolderInUseError, hold_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from cryptography.x509 import Certificate

    from umslab_certs.keys import KeyType, PrivateKey
    from umslab_protocol.values.unit_id import UnitId

_CSR = re.compile(rb"-----BEGIN CERTIFICATE REQUEST-----.*?-----END CERTIFICATE REQUEST-----", re.DOTALL)


class DeviceFolder:
    """One device's folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.identity_file = path / "identity.pem"
        self._persona_file = path / "device.json"
        self._request_file = path / "request.pem"
        self._roots_file = path / "trust-store" / "cacerts.pem"
        self._chain_file = path / "trust-store" / "chain.pem"
        self._est_ca_file = path / "trust-store" / "est" / "est-ca.pem"
        self._dates: tuple[tuple[int, int, int], tuple[datetime, datetime]] | None = None
        self.boots = KeptFile(path / "boots.json", Boots())
        self.settings = KeptFile(path / "settings.json", SettingsDocument())
        self.installed = KeptFile(path / "installed.json", Installed())
        self.files = path / "files"
        self.connectors = KeptFile(path / "connectors.json", KnownConnectors())
        self.announced_roots = KeptFile(path / "roots.json", AnnouncedRoots())
        self.discovered = KeptFile(path / "discovered.json", Discovered())
        self.reached = KeptFile(path / "reached.json", Reached())
        self.unknown = KeptFile(path / "unknown.json", Unknown(since=""))
        self.journal = KeptFile(path / "journal.json", Journal())
        self.inbox = KeptFile(path / "inbox.json", Inbox())

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
        if not self._persona_file.exists():
            return None
        try:
            persona = msgspec.json.decode(read_limited(self._persona_file), type=Persona)
            parse_unit_id(persona.unit_id)
        except (CertificateError, msgspec.DecodeError, UnicodeDecodeError, InvalidValueError) as error:
            raise DeviceFolderError(f"{self._persona_file} is damaged: {error}") from None
        return persona

    def save_persona(self, persona: Persona) -> None:
        """Keep who the device is."""
        write_private(self._persona_file, msgspec.json.format(msgspec.json.encode(persona)) + b"\n")

    # The request under way.

    def load_request(self) -> tuple[PrivateKey, bytes] | None:
        """Return the key and the DER of the CSR that are under way. Raises `CertificateError` when damaged."""
        if not self._request_file.exists():
            return None
        data = read_limited(self._request_file)
        found = _CSR.search(data)
        if found is None:
            raise CertificateError(Fault.UNREADABLE, f"{self._request_file} holds no certificate request")
        try:
            return key_from_pem(data, what=str(self._request_file)), decode_body(found.group())
        except InvalidValueError as error:
            raise CertificateError(Fault.UNREADABLE, f"{self._request_file} is damaged: {error}") from None

    def make_request(self, unit_id: UnitId, key_type: KeyType) -> bytes:
        """Make a key and a CSR and keep both before anybody sees them; returns the DER of the CSR."""
        key = generate_key(key_type)
        der = build_request(unit_id, key)
        write_private(self._request_file, key_to_pem(key) + encode_body(der, Wrapping.PEM, "CERTIFICATE REQUEST"))
        return der

    def drop_finished_request(self) -> None:
        """Remove a request whose certificate is already in use: a power cut came between the two steps."""
        request = self.load_request()
        if request is None or not self.identity_file.exists():
            return
        if load_identity(self.identity_file)[0].public_key() == request[0].public_key():
            remove_durably(self._request_file)

    # The identity in use.

    def load_identity(self) -> Certificate | None:
        """Return the certificate in use, None before enrolment. Raises `CertificateError` when it is damaged."""
        return load_identity(self.identity_file)[1] if self.identity_file.exists() else None

    def identity_dates(self) -> tuple[datetime, datetime] | None:
        """Return from when to when the certificate in use is good, None before enrolment; see `load_identity`.

        For the daily look: the file is parsed again only when it is another than last time.
        """
        try:
            found = self.identity_file.stat()
        except FileNotFoundError:
            return None
        mark = (found.st_ino, found.st_mtime_ns, found.st_size)
        if self._dates is None or self._dates[0] != mark:
            certificate = load_identity(self.identity_file)[1]
            self._dates = mark, (certificate.not_valid_before_utc, certificate.not_valid_after_utc)
        return self._dates[1]

    def take_certificate(self, certificate: Certificate) -> None:
        """Put the certificate and the key of the request under way in use, in one step."""
        request = self.load_request()
        if request is None:
            raise CertificateError(Fault.MISMATCHED, "a certificate came, but no request was under way")
        save_identity(self.identity_file, request[0], [certificate])
        remove_durably(self._request_file)

    # Whom it trusts.

    def load_trust(self) -> tuple[list[Certificate], list[Certificate]]:
        """Return pinned roots and helpful intermediates; no roots before trust is established."""
        if not self._roots_file.exists():
            return [], []
        roots = load_pem_certificates(read_limited(self._roots_file), str(self._roots_file))
        if not self._chain_file.exists():
            return roots, []
        return roots, load_pem_certificates(read_limited(self._chain_file), str(self._chain_file))

    def save_trust(
        self, roots: Sequence[Certificate], intermediates: Sequence[Certificate], est_ca: Sequence[Certificate]
    ) -> None:
        """Pin the roots; they are written last, so that trust is either complete or absent."""
        make_private_folder(self._est_ca_file.parent)
        for file, certificates in ((self._est_ca_file, est_ca), (self._chain_file, intermediates)):
            if certificates:
                write_private(file, to_pem(certificates))
            elif file.exists():
                remove_durably(file)
        write_private(self._roots_file, to_pem(roots))

    def replace_roots(self, roots: Sequence[Certificate]) -> None:
        """Pin these roots and no others (V2)."""
        write_private(self._roots_file, to_pem(roots))

    # The end.

    def note_release(self, stamp: str, text: str) -> Path:
        """Write why the device gives up its registration (L6)."""
        file = self.path / f"self-release-{stamp}.log"
        write_private(file, text.encode())
        return file

    def forget(self) -> None:
        """Forget the server and all that came from it: what a released device does (L5, L6).

        The persona stays, and what users were told. The settings go because their versions are the server's.
        """
        for file in (self.identity_file, self._request_file):
            with suppress(FileNotFoundError):
                remove_durably(file)
        shutil.rmtree(self.path / "trust-store", ignore_errors=True)
        shutil.rmtree(self.files, ignore_errors=True)
        for kept in (self.settings, self.installed, self.connectors, self.announced_roots, self.reached, self.unknown):
            kept.remove()
        self.discovered.remove()
        self.journal.remove()  # last: a reset that was cut off is found in it and begun again

    def reset(self) -> None:
        """Forget everything but who it is: reset to factory defaults (J1)."""
        self.inbox.remove()
        self.forget()
