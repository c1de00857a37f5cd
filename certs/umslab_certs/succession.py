# SPDX-License-Identifier: Apache-2.0
"""The web root that will follow, with its web certificate, kept beside the current one until the switch.

Provenance: documented need (C8, C36: devices are told about a new root before the chain is exchanged; V2: two roots may
be trusted at the same time), simulated files.

`next.pem` (key, leaf, everything above it) decides whether a root is announced; `next-root.key` is written before it
and removed after it, unless the chain was imported.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from umslab_certs.authority import create_root
from umslab_certs.chain import TrustPath, build_path
from umslab_certs.files import remove_durably, write_private
from umslab_certs.identity import load_identity_chain, save_identity
from umslab_certs.keys import KeyType, key_to_pem
from umslab_certs.names import subject_names

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from pathlib import Path
    from typing import Self

    from umslab_certs.authority import Authority
    from umslab_certs.keys import PrivateKey

NEXT = "next.pem"
NEXT_ROOT_KEY = "next-root.key"


class Successor:
    """A chain that waits for its switch; not on disk before `save`."""

    def __init__(self, folder: Path, key: PrivateKey, path: TrustPath, root: Authority | None = None) -> None:
        self._folder = folder
        self._root = root
        self.key = key
        self.path = path

    @classmethod
    def create(
        cls, folder: Path, names: Iterable[str], *, root_key_type: KeyType, web_key_type: KeyType, now: datetime
    ) -> Self:
        """Make a root and a web certificate for `names`. Raises `CertificateError` (BAD_NAME)."""
        root = new_root(root_key_type, now)
        leaf, key = root.issue_server(subject_names(names), web_key_type, now=now)
        return cls(folder, key, TrustPath(leaf, (), root.certificate), root)

    @classmethod
    def open(cls, folder: Path) -> Self | None:
        """Read what `save` wrote, None when there is nothing; raises `CertificateError` for a damaged file."""
        if not (folder / NEXT).exists():
            return None
        key, chain = load_identity_chain(folder / NEXT)
        return cls(folder, key, build_path(chain[0], chain))

    def save(self) -> None:
        """Write it; from the last step on it is announced. Raises `OSError`."""
        if self._root is not None:
            write_private(self._folder / NEXT_ROOT_KEY, key_to_pem(self._root.key))
        save_identity(self._folder / NEXT, self.key, self.path.chain)

    def remove(self) -> None:
        """Forget it; from the first step on it is not announced. Raises `OSError`."""
        remove_durably(self._folder / NEXT)
        remove_durably(self._folder / NEXT_ROOT_KEY)


def new_root(key_type: KeyType, now: datetime) -> Authority:
    """Make the authority of a lab's web certificates; each has a name of its own."""
    return create_root(f"umslab lab root {secrets.token_hex(4)}", key_type, now=now)
