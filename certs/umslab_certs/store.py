# SPDX-License-Identifier: Apache-2.0
"""The server's certificates on disk: its web certificate below its own or an imported root, and its client authority.

Provenance: documented behaviour (C1, C2: own root and one-year end certificates; C8: a company chain may replace them;
C10, X12: chains for download; X8: a client CA of its own), simulated files.

The web folder holds `web.pem` (key, leaf, intermediates), which decides what is true; `chain.pem` (leaf to root) and
`root.pem`, for people and for finding the root; and `root.key`, unless the chain was imported. Each write is one
rename, and a change writes `chain.pem` before `web.pem` and `root.pem` after it: wherever the power fails, the leaf in
`web.pem` still finds its root in one of the other two, and `open` writes those two again.
"""

from __future__ import annotations

import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from umslab_certs.authority import Authority, create_root
from umslab_certs.chain import (
    TrustPath,
    build_path,
    certificate_for,
    check_ca,
    extension,
    fingerprint,
    load_pem_certificates,
    subject_of,
    to_pem,
)
from umslab_certs.errors import CertificateError, Fault
from umslab_certs.files import make_private_folder, read_limited, remove_durably, write_private
from umslab_certs.identity import load_identity_chain, save_identity
from umslab_certs.keys import (
    LARGEST_CA_RSA_BITS,
    KeyType,
    check_strength,
    key_from_pem,
    key_to_pem,
    key_type,
)
from umslab_certs.names import covers, subject_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime
    from pathlib import Path
    from typing import Self

    from cryptography.x509 import Certificate

    from umslab_certs.keys import PrivateKey
    from umslab_protocol.values.fingerprint import CommunicationToken, Fingerprint

_DAMAGED = "restore the folder from a backup; without one, remove it: a new root needs every device onboarded again"


class WebCertificates:
    """The certificate of the web port with everything up to its root, kept in a folder of its own."""

    def __init__(self, folder: Path, path: TrustPath) -> None:
        self._folder = folder
        self._path = path

    @classmethod
    def create(
        cls,
        folder: Path,
        names: Iterable[str],
        *,
        root_key_type: KeyType = KeyType.RSA4096,
        web_key_type: KeyType = KeyType.RSA4096,
        now: datetime,
    ) -> Self:
        """Make a root (20 years) and a web certificate (1 year) for `names` and `localhost` in a new folder.

        Raises `CertificateError` (EXISTS, BAD_NAME) and `OSError`. Interrupted half-way, it can be called again.
        """
        _refuse_overwriting(folder / "web.pem")
        san = subject_names(names)
        root = create_root(f"umslab lab root {secrets.token_hex(4)}", root_key_type, now=now)
        leaf, key = root.issue_server(san, web_key_type, now=now)
        make_private_folder(folder)
        write_private(folder / "root.key", key_to_pem(root.key))
        write_private(folder / "root.pem", to_pem(root.chain))
        path = TrustPath(leaf, (), root.certificate)
        store = cls(folder, path)
        store._replace(key, path)
        return store

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Read what `create` or a later change wrote; times are not judged, so that an expired leaf can be renewed.

        Raises `CertificateError` with the path and a hint when a piece is missing or damaged.
        """
        with _damaged(folder):
            _, presented = load_identity_chain(folder / "web.pem")
            others = [
                certificate
                for name in ("chain.pem", "root.pem")
                for certificate in load_pem_certificates(read_limited(folder / name), str(folder / name))
            ]
            store = cls(folder, build_path(presented[0], [*presented[1:], *others]))
        store._export()
        return store

    def renew(self, *, names: Iterable[str], now: datetime) -> None:
        """Replace key and leaf, below the same root and with the same kind of key.

        Raises `CertificateError`: INCOMPLETE when the chain was imported (its root key is not here), EXPIRED when the
        root is over, BAD_NAME, UNREADABLE; and `OSError`.
        """
        root = self._own_root()
        kind = key_type(check_strength(self.leaf.public_key()))
        leaf, key = root.issue_server(subject_names(names), kind, now=now)
        self._replace(key, TrustPath(leaf, (), root.certificate))

    def import_chain(self, chain_pem: bytes, key_pem: bytes, *, names: Iterable[str], now: datetime) -> None:
        """Replace everything by a chain from elsewhere (C8), in any order, and forget the own root's key.

        `names` are what the leaf must cover; `localhost` is not added here. Nothing changes when this raises
        `CertificateError`: UNREADABLE, WEAK_KEY, MISMATCHED, WRONG_USAGE (a CA certificate, or not for TLS servers),
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
        self._replace(key, path)
        remove_durably(self._folder / "root.key")

    @property
    def leaf(self) -> Certificate:
        """The certificate the web port presents."""
        return self._path.leaf

    @property
    def root(self) -> Certificate:
        """The certificate devices trust."""
        return self._path.root

    @property
    def chain(self) -> tuple[Certificate, ...]:
        """Leaf, intermediates, root."""
        return self._path.chain

    @property
    def fingerprint(self) -> Fingerprint:
        """SHA-256 of the root (C20)."""
        return fingerprint(self.root)

    @property
    def token(self) -> CommunicationToken:
        """What a person types on a device to vouch for the root (C21)."""
        return self.fingerprint.token

    @property
    def leaf_fingerprint(self) -> Fingerprint:
        """SHA-256 of the leaf (C22)."""
        return fingerprint(self.leaf)

    @property
    def identity_file(self) -> Path:
        """Key and certificates for `SSLContext.load_cert_chain`; replaced in one step by every change."""
        return self._folder / "web.pem"

    def export_chain(self) -> bytes:
        """Return leaf to root in PEM, for download (C10)."""
        return to_pem(self.chain)

    def _replace(self, key: PrivateKey, path: TrustPath) -> None:
        write_private(self._folder / "chain.pem", to_pem(path.chain))
        save_identity(self.identity_file, key, path.presented)
        self._path = path
        self._export()

    def _export(self) -> None:
        for name, certificates in (("chain.pem", self.chain), ("root.pem", (self.root,))):
            content = to_pem(certificates)
            if read_limited(self._folder / name) != content:
                write_private(self._folder / name, content)

    def _own_root(self) -> Authority:
        file = self._folder / "root.key"
        hint = "import a new chain instead, or create a new root in another folder"
        if not file.exists():
            raise CertificateError(Fault.INCOMPLETE, f"{file} is not there: the chain was imported", hint)
        key = key_from_pem(read_limited(file), what=str(file))
        if key.public_key() != self.root.public_key():  # an import was interrupted before it removed the old key
            raise CertificateError(Fault.MISMATCHED, f"{file} does not belong to {subject_of(self.root)}", hint)
        return Authority(self.root, key, (self.root,))


class ClientAuthority:
    """The authority that issues device certificates ("EST CA"), kept as one file in a folder."""

    def __init__(self, authority: Authority, folder: Path) -> None:
        self._authority = authority
        self._file = folder / "authority.pem"

    @classmethod
    def create(cls, folder: Path, *, key_type: KeyType = KeyType.P256, now: datetime) -> Self:
        """Make a self-signed authority that allows none below it; raise `CertificateError` (EXISTS) or `OSError`."""
        _refuse_overwriting(folder / "authority.pem")
        name = f"umslab lab EST client CA {secrets.token_hex(4)}"
        store = cls(create_root(name, key_type, now=now, path_length=0), folder)
        make_private_folder(folder)
        store._save()
        return store

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Read what `create` or `import_authority` wrote; times are not judged.

        Raises `CertificateError` with the path and a hint when the file is missing or damaged.
        """
        with _damaged(folder):
            key, chain = load_identity_chain(folder / "authority.pem")
            return cls(Authority(chain[0], key, build_path(chain[0], chain).chain), folder)

    def import_authority(self, chain_pem: bytes, key_pem: bytes, *, now: datetime) -> None:
        """Issue with an authority from elsewhere from now on; its chain may come in any order.

        Nothing changes when this raises `CertificateError`: UNREADABLE, WEAK_KEY, MISMATCHED, NOT_A_CA (also when an
        authority above does not allow as many below it), INCOMPLETE, EXPIRED and the other faults of `build_path`.
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
        self._authority = Authority(certificate, key, path.chain)
        self._save()

    @property
    def authority(self) -> Authority:
        """What issues device certificates now."""
        return self._authority

    @property
    def certificates(self) -> tuple[Certificate, ...]:
        """The issuing certificate and those above it, root last."""
        return self._authority.chain

    def export_chain(self) -> bytes:
        """Return the chain in PEM, as a trust list for a proxy that terminates TLS (X12)."""
        return to_pem(self.certificates)

    def _save(self) -> None:
        save_identity(self._file, self._authority.key, self._authority.chain)


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


def _refuse_overwriting(file: Path) -> None:
    if file.exists():
        raise CertificateError(Fault.EXISTS, f"{file} is already there", "open it, or remove the folder to start anew")


@contextmanager
def _damaged(folder: Path) -> Iterator[None]:
    """Add the folder and what to do about it to whatever is wrong with its files."""
    try:
        yield
    except CertificateError as problem:
        message = problem.message if str(folder) in problem.message else f"{folder}: {problem.message}"
        raise CertificateError(problem.fault, message, _DAMAGED) from None
