# SPDX-License-Identifier: Apache-2.0
"""The authority that issues device certificates ("EST CA") on disk, and those that did so before it.

Provenance: documented behaviour (X8: a client CA of its own; X12: its chain for download; V7: a new one issues while
devices with the older one still come in), simulated files.

`authority.pem` (key and chain) decides who issues. `earlier-*.pem` (chains without keys) are accepted until they are
retired. A change writes the chain of the authority that is about to become an earlier one first and `authority.pem`
second: wherever the power fails, the old or the new one issues, and certificates of both are accepted.
"""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING

from umslab_certs.authority import Authority, create_root
from umslab_certs.chain import (
    MAX_CERTIFICATES,
    MAX_DEPTH,
    build_path,
    fingerprint,
    load_pem_certificates,
    subject_of,
    to_pem,
)
from umslab_certs.errors import CertificateError, Fault
from umslab_certs.files import (
    make_private_folder,
    read_limited,
    refuse_overwriting,
    remove_durably,
    telling_damage,
    write_private,
)
from umslab_certs.identity import load_identity_chain, save_identity
from umslab_certs.imported import read_authority
from umslab_certs.keys import KeyType

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path
    from typing import Self

    from cryptography.x509 import Certificate

MAX_EARLIER = 8
"""Earlier authorities that are accepted at the same time."""
_SHORTEST_NAME = 8  # hexadecimal digits of a fingerprint that name an authority


class ClientAuthority:
    """Who issues device certificates, and whose certificates are accepted; kept in a folder of its own."""

    def __init__(self, authority: Authority, folder: Path, earlier: Sequence[tuple[Certificate, ...]] = ()) -> None:
        self._authority = authority
        self._folder = folder
        self._file = folder / "authority.pem"
        self._earlier = list(earlier)

    @classmethod
    def create(cls, folder: Path, *, key_type: KeyType = KeyType.P256, now: datetime) -> Self:
        """Make a self-signed authority that allows none below it; raise `CertificateError` (EXISTS) or `OSError`."""
        refuse_overwriting(folder / "authority.pem")
        store = cls(_new_authority(key_type, now), folder)
        make_private_folder(folder)
        save_identity(store._file, store._authority.key, store._authority.chain)
        return store

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Read what `create` or a later change wrote; times are not judged.

        Raises `CertificateError` with the path and a hint when a file is missing or damaged.
        """
        with telling_damage(folder):
            key, chain = load_identity_chain(folder / "authority.pem")
            earlier = [_load_chain(file) for file in sorted(folder.glob("earlier-*.pem"))]
            authority = Authority(chain[0], key, build_path(chain[0], chain).chain)
        # A change that was cut off may have named the one that issues as an earlier one already, or still.
        return cls(authority, folder, [one for one in earlier if one[0] != authority.certificate])

    def renew(self, key_type: KeyType, *, now: datetime) -> None:
        """Issue with a new self-signed authority from now on; the one so far stays accepted.

        Raises `CertificateError` (TOO_LARGE when too many earlier ones are kept) and `OSError`.
        """
        self._succeed(_new_authority(key_type, now))

    def import_authority(self, chain_pem: bytes, key_pem: bytes, *, now: datetime) -> None:
        """Issue with an authority from elsewhere from now on; its chain may come in any order. See `renew`.

        Raises `CertificateError` as `read_authority` does, and EXISTS when it is the one that issues already; then
        nothing has changed.
        """
        self._succeed(read_authority(chain_pem, key_pem, now=now))

    def find_earlier(self, name: str) -> Certificate:
        """Return the earlier authority with this fingerprint, one of its four parts or its beginning.

        Raises `CertificateError`: UNREADABLE when `name` is none of these, INCOMPLETE when it names none or several,
        EXISTS when it names the one that issues.
        """
        digits = re.sub(r"[:\-\s]", "", name).upper()
        if not re.fullmatch(rf"[0-9A-F]{{{_SHORTEST_NAME},64}}", digits, re.ASCII):
            hint = f"write a part of 16 hexadecimal digits, or the first {_SHORTEST_NAME} or more"
            raise CertificateError(Fault.UNREADABLE, f"{name[:80]!r} names no SHA-256 fingerprint", hint)
        if _is_named(self._authority.certificate, digits):
            message = f"{subject_of(self._authority.certificate)} is the one that issues"
            raise CertificateError(Fault.EXISTS, message, "make or import a new one first")
        found = [chain[0] for chain in self._earlier if _is_named(chain[0], digits)]
        if len(found) != 1:
            what = "several earlier client CAs have" if found else "no earlier client CA has"
            raise CertificateError(Fault.INCOMPLETE, f"{what} the fingerprint {digits}")
        return found[0]

    def retire(self, certificate: Certificate) -> None:
        """Accept certificates of this earlier authority no longer. Raises `OSError`."""
        remove_durably(self._earlier_file(certificate))
        self._earlier = [chain for chain in self._earlier if chain[0] != certificate]

    @property
    def authority(self) -> Authority:
        """What issues device certificates now."""
        return self._authority

    @property
    def certificates(self) -> tuple[Certificate, ...]:
        """The issuing certificate and those above it, root last."""
        return self._authority.chain

    @property
    def earlier(self) -> tuple[Certificate, ...]:
        """The authorities that issued before, as long as they are accepted."""
        return tuple(chain[0] for chain in self._earlier)

    @property
    def accepted(self) -> tuple[Certificate, ...]:
        """Whose certificates are accepted: the anchors of TLS, the issuing one first."""
        return (self._authority.certificate, *self.earlier)

    @property
    def all_certificates(self) -> tuple[Certificate, ...]:
        """Every accepted authority with those above it, each certificate once, the issuing one first."""
        chains = (self._authority.chain, *self._earlier)
        return tuple(dict.fromkeys(certificate for chain in chains for certificate in chain))

    def export_chain(self) -> bytes:
        """Return all of them in PEM, as a trust list for a proxy that terminates TLS (X12)."""
        return to_pem(self.all_certificates)

    def _succeed(self, following: Authority) -> None:
        current = self._authority
        if following.certificate == current.certificate:
            raise CertificateError(Fault.EXISTS, f"{subject_of(current.certificate)} issues already")
        earlier = [current.chain, *(chain for chain in self._earlier if chain[0] != following.certificate)]
        together = {certificate for chain in (following.chain, *earlier) for certificate in chain}
        if len(earlier) > MAX_EARLIER or len(together) + MAX_DEPTH > MAX_CERTIFICATES:  # cacerts answers all of them
            message = f"{len(self._earlier)} earlier client CAs are accepted already"
            raise CertificateError(Fault.TOO_LARGE, message, "retire one that no device needs any more")
        write_private(self._earlier_file(current.certificate), to_pem(current.chain))
        save_identity(self._file, following.key, following.chain)
        self._authority, self._earlier = following, earlier
        remove_durably(self._earlier_file(following.certificate))  # when an earlier one issues once more

    def _earlier_file(self, certificate: Certificate) -> Path:
        return self._folder / f"earlier-{fingerprint(certificate).digits[:32].lower()}.pem"


def _new_authority(key_type: KeyType, now: datetime) -> Authority:
    return create_root(f"umslab lab EST client CA {secrets.token_hex(4)}", key_type, now=now, path_length=0)


def _load_chain(file: Path) -> tuple[Certificate, ...]:
    certificates = load_pem_certificates(read_limited(file), str(file))
    return build_path(certificates[0], certificates).chain


def _is_named(certificate: Certificate, digits: str) -> bool:
    known = fingerprint(certificate)
    return known.digits.startswith(digits) or digits in known.parts
