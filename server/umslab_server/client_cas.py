# SPDX-License-Identifier: Apache-2.0
"""The EST client CAs of a running server (V7): a new one issues, earlier ones are accepted until they are retired.

The certificate files decide; `meta` keeps which ones were told last. They are compared at the start and after every
change, so that what a power cut took from the feed is made up for. What a retired one had issued is revoked in the
change that tells of it: then whoever asks the registry about a device knows that it is locked out, and why.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct
from sqlalchemy import select

from umslab_certs.chain import fingerprint, names_as_issuer, parse_certificate, subject_of
from umslab_server.certificates import describe_one
from umslab_server.configuration.library import chunks
from umslab_server.errors import RefusedError
from umslab_server.meta import read_meta, write_meta
from umslab_server.store import timestamp
from umslab_server.tables import certificate

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cryptography.x509 import Certificate
    from sqlalchemy import Connection

    from umslab_certs.keys import KeyType
    from umslab_protocol.values.unit_id import UnitId
    from umslab_runtime.clock import Clock
    from umslab_server.certificates import Certificates
    from umslab_server.presence import Presence
    from umslab_server.store import Store, Writer

NAMED_AT_MOST = 10
RETIRED = "the EST client CA that issued it was retired"
_META = "client-cas"


class ClientCaError(RefusedError):
    """A client CA is still needed; the message says by whom."""


class ClientCaView(Struct, frozen=True, kw_only=True):
    """One EST client CA."""

    issues: bool
    ca: dict[str, Any]
    devices: int
    """Devices with a certificate of it that opens a session."""


class ClientCas:
    """Changes them; `start` it before devices connect."""

    def __init__(self, store: Store, presence: Presence, certificates: Certificates, *, clock: Clock) -> None:
        self._store = store
        self._presence = presence
        self._certificates = certificates
        self._clock = clock

    async def start(self) -> None:
        """Take up what the files say. Raises `StoreError`."""
        await self._note("server", "found at the start")

    async def renew(self, *, key_type: KeyType | None, actor: str) -> list[ClientCaView]:
        """Issue with a new authority from now on. Raises `CertificateError`."""
        await self._certificates.renew_issuer(key_type)
        await self._note(actor, "")
        return await self.view()

    async def import_authority(self, chain_pem: bytes, key_pem: bytes, *, actor: str) -> list[ClientCaView]:
        """Issue with an authority from elsewhere from now on. Raises `CertificateError`."""
        await self._certificates.import_issuer(chain_pem, key_pem)
        await self._note(actor, "")
        return await self.view()

    async def retire(self, name: str, *, force: bool, actor: str) -> list[str]:
        """Accept an earlier authority no longer; returns the devices that are locked out, with `force` only.

        Their certificates are revoked, and sessions that were opened with these end. Raises `ClientCaError` when
        devices still need it, `CertificateError` when `name` does not name one.
        """
        found = self._certificates.find_earlier_issuer(name)
        needed_by = (await self._devices_of([found]))[0]
        if needed_by and not force:
            raise ClientCaError(_tell_needed(found, needed_by))
        await self._certificates.retire_issuer(found)
        return await self._note(actor, "")

    async def view(self) -> list[ClientCaView]:
        """List them, the one that issues first."""
        all_of_them = [self._certificates.issuing, *self._certificates.earlier_issuers]
        devices = await self._devices_of(all_of_them)
        return [
            ClientCaView(issues=at == 0, ca=describe_one(one), devices=len(devices[at]))
            for at, one in enumerate(all_of_them)
        ]

    async def _devices_of(self, issuers: Sequence[Certificate]) -> list[list[str]]:
        """For each of them the devices with a good certificate of it, by unit ID."""
        stamp = timestamp(self._clock.utc())

        def query(connection: Connection) -> list[list[str]]:
            found: list[set[str]] = [set() for _ in issuers]
            for unit_id, _, issued in _good(connection, stamp):
                for at, issuer in enumerate(issuers):
                    if names_as_issuer(issued, issuer):
                        found[at].add(unit_id)
            return [sorted(one) for one in found]

        return await self._store.read(query)

    async def _note(self, actor: str, cause: str) -> list[str]:
        """Tell the feed what is another one now; returns the devices that are locked out by what is gone."""
        accepted = (self._certificates.issuing, *self._certificates.earlier_issuers)
        now = [fingerprint(one).digits for one in accepted]

        def work(writer: Writer) -> dict[str, str]:
            text = read_meta(writer.connection, _META)
            before = None if text is None else msgspec.json.decode(text, type=list[str])
            if before == now:
                return {}
            write_meta(writer.connection, _META, msgspec.json.encode(now).decode())
            if before is None:
                return {}
            if before[0] != now[0]:
                writer.event("client-ca-changed", actor=actor, cause=cause, issuing=now[0])
            gone = sorted(set(before) - set(now))
            # Where none is left of those before, somebody has exchanged the files, and may put the old ones back.
            revoked = _revoke_others(writer, accepted) if gone and set(before) & set(now) else {}
            locked_out = len(set(revoked.values()))
            for one in gone:
                writer.event("client-ca-retired", actor=actor, cause=cause, retired=one, locked_out=locked_out)
            return revoked

        revoked = await self._store.change(work)
        for session in self._presence:
            if session.admitted.certificate in revoked:
                self._presence.refuse(session.unit_id, RETIRED)
        return sorted(set(revoked.values()))


def _good(connection: Connection, stamp: str) -> Iterator[tuple[UnitId, str, Certificate]]:
    """Unit ID, SHA-256 and content of each certificate that opens a session at this time."""
    query = select(certificate.c.unit_id, certificate.c.sha256, certificate.c.der).where(
        certificate.c.revoked_at.is_(None),
        certificate.c.superseded_at.is_(None),
        certificate.c.not_after > stamp,
    )
    for unit_id, digest, der in connection.execute(query):
        yield unit_id, digest, parse_certificate(der)


def _revoke_others(writer: Writer, accepted: Sequence[Certificate]) -> dict[str, str]:
    """Revoke what none of these authorities has issued; return SHA-256 and unit ID of each."""
    revoked: dict[str, str] = {
        digest: unit_id
        for unit_id, digest, issued in _good(writer.connection, writer.stamp)
        if not any(names_as_issuer(issued, issuer) for issuer in accepted)
    }
    for some in chunks(list(revoked)):
        values = {"revoked_at": writer.stamp, "revoked_why": RETIRED}
        writer.connection.execute(certificate.update().where(certificate.c.sha256.in_(some)).values(**values))
    return revoked


def _tell_needed(found: Certificate, needed_by: Sequence[str]) -> str:
    names = ", ".join(needed_by[:NAMED_AT_MOST])
    more = f" and {len(needed_by) - NAMED_AT_MOST} more" if len(needed_by) > NAMED_AT_MOST else ""
    return (
        f"{len(needed_by)} devices have certificates of {subject_of(found)} and would be locked out: {names}{more}; "
        "wait until they have renewed, or retire it with --force"
    )
