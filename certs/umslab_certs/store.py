# SPDX-License-Identifier: Apache-2.0
"""The server's web certificate on disk, below its own or an imported root, and the root that is to follow.

Provenance: documented behaviour (C1, C2: own root and one-year end certificates; C8: a company chain may replace them;
C10: chains for download; C36: a new root is announced before it is used), simulated files.

The folder holds `web.pem` (key, leaf, intermediates), which decides what is true; `chain.pem` (leaf to root) and
`root.pem`, for people and for finding the root; and `root.key`, unless the chain was imported. Each write is one
rename, and a change writes `chain.pem` before `web.pem` and `root.pem` after it: wherever the power fails, the leaf in
`web.pem` still finds its root in one of the other two, and `open` writes those two again.

An announced root waits in files of its own (succession.py). The switch to it replaces `web.pem` like any change; the
files of the succession go after that, and `settle` does what a power cut left undone. `previous.pem` is the chain that
the last switch replaced, for the record.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from umslab_certs.authority import Authority
from umslab_certs.chain import TrustPath, build_path, check_time, fingerprint, load_pem_certificates, subject_of, to_pem
from umslab_certs.errors import CertificateError, Fault
from umslab_certs.files import (
    make_private_folder,
    read_limited,
    refuse_overwriting,
    remove_durably,
    rename_durably,
    telling_damage,
    write_private,
)
from umslab_certs.identity import load_identity_chain, save_identity
from umslab_certs.imported import read_server_chain
from umslab_certs.keys import KeyType, check_strength, key_from_pem, key_to_pem, key_type
from umslab_certs.names import subject_names
from umslab_certs.succession import NEXT, NEXT_ROOT_KEY, Successor, new_root

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from pathlib import Path
    from typing import Self

    from cryptography.x509 import Certificate

    from umslab_certs.keys import PrivateKey
    from umslab_protocol.values.fingerprint import CommunicationToken, Fingerprint

_PREVIOUS = "previous.pem"


class WebCertificates:
    """The certificate of the web port with everything up to its root, kept in a folder of its own."""

    def __init__(self, folder: Path, path: TrustPath, successor: Successor | None = None) -> None:
        self._folder = folder
        self._path = path
        self._successor = successor

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
        refuse_overwriting(folder / "web.pem")
        san = subject_names(names)
        root = new_root(root_key_type, now)
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
        with telling_damage(folder):
            _, presented = load_identity_chain(folder / "web.pem")
            others = [
                certificate
                for name in ("chain.pem", "root.pem")
                for certificate in load_pem_certificates(read_limited(folder / name), str(folder / name))
            ]
            path, successor = build_path(presented[0], [*presented[1:], *others]), Successor.open(folder)
        if successor is not None and successor.path.leaf == path.leaf:
            successor = None  # the switch to it is done, but for what `settle` does
        store = cls(folder, path, successor)
        store._export()
        return store

    def settle(self) -> None:
        """Finish what a power cut interrupted; for whoever holds the folder, before anything else. Raises `OSError`."""
        if self._successor is not None:
            return
        following = self._folder / NEXT_ROOT_KEY
        if following.exists():
            if key_from_pem(read_limited(following), what=str(following)).public_key() == self.root.public_key():
                rename_durably(following, self._folder / "root.key")
            else:  # of an announcement that was not finished, or called off
                remove_durably(following)
        if (self._folder / NEXT).exists():  # of a switch that was not finished
            remove_durably(self._folder / NEXT)

    def renew(self, *, names: Iterable[str], now: datetime) -> None:
        """Replace key and leaf, below the same root and with the same kind of key.

        Raises `CertificateError`: INCOMPLETE when the chain was imported (its root key is not here), EXPIRED when the
        root is over, BAD_NAME, UNREADABLE; and `OSError`.
        """
        self.settle()
        root = self._own_root()
        kind = key_type(check_strength(self.leaf.public_key()))
        leaf, key = root.issue_server(subject_names(names), kind, now=now)
        self._replace(key, TrustPath(leaf, (), root.certificate))

    def import_chain(self, chain_pem: bytes, key_pem: bytes, *, names: Iterable[str], now: datetime) -> None:
        """Replace everything by a chain from elsewhere (C8), in any order, and forget the own root's key.

        `names` are what the leaf must cover; `localhost` is not added here. Raises `CertificateError` as
        `read_server_chain` does; then nothing has changed.
        """
        key, path = read_server_chain(chain_pem, key_pem, names=names, now=now)
        self.settle()
        self._replace(key, path)
        remove_durably(self._folder / "root.key")

    def announce(
        self, names: Iterable[str], *, root_key_type: KeyType, web_key_type: KeyType, now: datetime
    ) -> Certificate:
        """Make the root that is to follow, with a web certificate for `names`; the current one stays in use.

        Raises `CertificateError` (EXISTS when one is announced already, BAD_NAME) and `OSError`.
        """
        self._refuse_second_successor()
        return self._announce(
            Successor.create(self._folder, names, root_key_type=root_key_type, web_key_type=web_key_type, now=now)
        )

    def announce_chain(self, chain_pem: bytes, key_pem: bytes, *, names: Iterable[str], now: datetime) -> Certificate:
        """Take a chain from elsewhere as the one that is to follow (C8); raises as `import_chain` and `announce`."""
        self._refuse_second_successor()
        key, path = read_server_chain(chain_pem, key_pem, names=names, now=now)
        if path.root == self.root:
            message = f"{subject_of(path.root)} is the root already"
            raise CertificateError(
                Fault.EXISTS, message, "nothing needs to be announced: use `umslab certs import-web`"
            )
        return self._announce(Successor(self._folder, key, path))

    def switch(self, now: datetime) -> None:
        """Use the announced root and its web certificate from now on.

        Raises `CertificateError`: INCOMPLETE when none is announced, EXPIRED or NOT_YET_VALID when it can no longer or
        not yet be used; and `OSError`, after which `open` tells whether the switch is done.
        """
        following = self._announced()
        for certificate in following.path.chain:
            check_time(certificate, now)
        write_private(self._folder / _PREVIOUS, to_pem(self.chain))
        self._replace(following.key, following.path)
        if not (self._folder / NEXT_ROOT_KEY).exists():  # the chain is from elsewhere
            remove_durably(self._folder / "root.key")
        self.settle()

    def cancel(self) -> None:
        """Forget the announced root. Raises `CertificateError` (INCOMPLETE) when none is, and `OSError`."""
        self._announced().remove()
        self._successor = None

    @property
    def successor(self) -> TrustPath | None:
        """The chain that was announced, until the switch."""
        return None if self._successor is None else self._successor.path

    @property
    def previous(self) -> tuple[Certificate, ...]:
        """The chain that the last switch replaced; empty before the first. Raises `CertificateError`."""
        file = self._folder / _PREVIOUS
        chain = load_pem_certificates(read_limited(file), str(file)) if file.exists() else []
        return () if chain and chain[-1] == self.root else tuple(chain)  # written by a switch that was not done

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
        if self._successor is not None and self._successor.path.leaf == path.leaf:
            self._successor = None
        self._export()

    def _refuse_second_successor(self) -> None:
        if self._successor is not None:
            message = f"{subject_of(self._successor.path.root)} is announced already"
            raise CertificateError(Fault.EXISTS, message, "switch to it, or cancel the rotation")
        self.settle()

    def _announce(self, successor: Successor) -> Certificate:
        successor.save()
        self._successor = successor
        return successor.path.root

    def _announced(self) -> Successor:
        if self._successor is None:
            raise CertificateError(Fault.INCOMPLETE, "no new web root is announced", "announce one first")
        return self._successor

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
