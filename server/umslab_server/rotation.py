# SPDX-License-Identifier: Apache-2.0
"""Two-phase exchange of the web root (C8, C36, V2): announce it to the devices, switch when they have acknowledged it.

What devices are to trust is the current root and, while one is announced, the next. A device that misses the switch
fails with error 46 and must come on board again. In the first installation there is nothing to tell, so nothing is sent
until a rotation was begun for the first time.

The certificate files decide which phase it is; `meta` keeps which one was told last. They are compared at the start and
after every change, so that what a power cut took from the feed is made up for.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import msgspec
from cryptography.hazmat.primitives.serialization import Encoding
from msgspec import Struct
from sqlalchemy import func, select

from umslab_certs.chain import fingerprint, to_pem
from umslab_protocol.wire.messages import Roots
from umslab_server.certificates import describe_one
from umslab_server.errors import RefusedError
from umslab_server.handout import Handout, Wanted, is_active
from umslab_server.meta import read_meta, write_meta
from umslab_server.store import timestamp
from umslab_server.tables import device

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography.x509 import Certificate
    from sqlalchemy import Connection

    from umslab_certs.keys import KeyType
    from umslab_protocol.wire.messages import Hello
    from umslab_runtime.clock import Clock
    from umslab_server.certificates import Certificates
    from umslab_server.presence import Presence
    from umslab_server.sessions import LiveSession
    from umslab_server.store import Store, Writer

NAMED_AT_MOST = 10
"""Devices that a refusal names; `ctl certs rotation` lists all."""
_META = "web-roots"


class RotationError(RefusedError):
    """The rotation cannot go on like this; the message says what is missing."""


class Behind(Struct, frozen=True, kw_only=True):
    """An active device that has not acknowledged the roots it is to trust."""

    unit_id: str
    name: str
    online: bool
    last_contact: str | None


class RotationView(Struct, frozen=True, kw_only=True):
    """How far the rotation is."""

    phase: str
    """`none` (never begun), `announced`, `switched`, `cancelled` or `replaced` (by an import while stopped)."""
    since: str | None
    root: dict[str, Any]
    next_root: dict[str, Any] | None
    previous_root: dict[str, Any] | None
    active: int
    """Devices that are registered, not in the recycle bin, and have a certificate that opens a session."""
    acknowledged: int
    """Those of them that have acknowledged what they are to trust now."""
    behind: list[Behind]


class _Record(Struct, frozen=True):
    """What was told last."""

    phase: str
    at: str
    root: str
    next_root: str


class Rotation:
    """Leads the rotation; `start` it before devices connect."""

    def __init__(self, store: Store, presence: Presence, certificates: Certificates, *, clock: Clock) -> None:
        self._store = store
        self._presence = presence
        self._certificates = certificates
        self._clock = clock
        self._handout = Handout(store, presence, "roots")

    async def start(self) -> None:
        """Take up what the files say. Raises `StoreError`."""
        record = await self._store.read(_read_record)
        if record is not None or self._certificates.next_root is not None:
            await self._note("server", "found at the start")
            self._want()

    async def greeted(self, session: LiveSession, hello: Hello, booted: bool) -> None:  # noqa: FBT001 - see OnGreeted
        """Tell a device that holds other roots."""
        del booted
        await self._handout.greeted(session, hello.roots)

    async def announce(self, *, root_key: KeyType | None, web_key: KeyType | None, actor: str) -> RotationView:
        """Make the next root and tell all devices. Raises `CertificateError` when one is announced already."""
        await self._certificates.announce_root(root_key, web_key)
        return await self._changed(actor)

    async def announce_chain(
        self, chain_pem: bytes, key_pem: bytes, *, names: Sequence[str], actor: str
    ) -> RotationView:
        """Announce a chain from elsewhere, whose leaf must cover `names`. Raises `CertificateError`."""
        await self._certificates.announce_chain(chain_pem, key_pem, names)
        return await self._changed(actor)

    async def switch(self, *, force: bool, actor: str) -> list[Behind]:
        """Use the next root; returns the devices that will fail (46), which there are with `force` only.

        Raises `RotationError` when an active device has not acknowledged it, `CertificateError` when none is announced.
        """
        lost: list[Behind] = []
        if self._certificates.next_root is not None:
            lost = (await self.view()).behind
        if lost and not force:
            raise RotationError(_tell_lost(lost))
        await self._certificates.switch_root()
        await self._changed(actor, lost)
        return lost

    async def cancel(self, *, actor: str) -> RotationView:
        """Forget the next root and tell all devices. Raises `CertificateError` when none is announced."""
        await self._certificates.cancel_root()
        return await self._changed(actor)

    async def view(self) -> RotationView:
        """Tell how far it is."""
        certificates, stamp = self._certificates, timestamp(self._clock.utc())
        digest = roots_digest(self._roots())

        def query(connection: Connection) -> tuple[_Record | None, int, list[Behind]]:
            record = _read_record(connection)
            active = connection.execute(select(func.count()).select_from(device).where(is_active(stamp))).scalar()
            return record, int(active or 0), self._behind(connection, digest, stamp)

        record, active, behind = await self._store.read(query)
        following, previous = certificates.next_root, certificates.previous_root
        if record is None:
            behind = []  # nobody was asked
        return RotationView(
            phase="none" if record is None else record.phase,
            since=None if record is None else record.at,
            root=describe_one(certificates.root),
            next_root=None if following is None else describe_one(following),
            previous_root=None if previous is None else describe_one(previous),
            active=active,
            acknowledged=active - len(behind) if record is not None else 0,
            behind=behind,
        )

    async def _changed(self, actor: str, lost: Sequence[Behind] = ()) -> RotationView:
        self._want()
        await self._note(actor, "", lost)
        await self._handout.tell_all()
        return await self.view()

    def _roots(self) -> list[Certificate]:
        following = self._certificates.next_root
        return [self._certificates.root] if following is None else [self._certificates.root, following]

    def _want(self) -> None:
        roots = self._roots()
        digest, pem = roots_digest(roots), to_pem(roots).decode("ascii")
        self._handout.wanted = Wanted(digest, lambda number: Roots(id=number, digest=digest, pem=pem))

    async def _note(self, actor: str, cause: str, lost: Sequence[Behind] = ()) -> None:
        root = fingerprint(self._certificates.root).digits
        following = self._certificates.next_root
        next_root = "" if following is None else fingerprint(following).digits
        switched = self._certificates.previous_root is not None

        def work(writer: Writer) -> None:
            before = _read_record(writer.connection)
            if before is not None and (before.root, before.next_root) == (root, next_root):
                return
            phase = _phase(before, root, next_root, switched=switched)
            record = _Record(phase, writer.stamp, root, next_root)
            write_meta(writer.connection, _META, msgspec.json.encode(record).decode())
            writer.event(f"web-root-{phase}", actor=actor, cause=cause, root=root, next_root=next_root, lost=len(lost))
            for one in lost:
                why = "it had not acknowledged the new web root before the switch (46)"
                writer.event("web-root-missed", actor=actor, unit_id=one.unit_id, cause=why)

        await self._store.change(work)

    def _behind(self, connection: Connection, digest: str, stamp: str) -> list[Behind]:
        query = (
            select(device.c.unit_id, device.c.name, device.c.last_contact)
            .where(is_active(stamp), device.c.roots_digest != digest)
            .order_by(device.c.unit_id)
        )
        return [
            Behind(
                unit_id=row.unit_id,
                name=row.name,
                online=self._presence.is_online(row.unit_id),
                last_contact=row.last_contact,
            )
            for row in connection.execute(query)
        ]


def roots_digest(roots: Sequence[Certificate]) -> str:
    """Name a set of roots: SHA-256 over their DER, in the order of their fingerprints."""
    ordered = sorted(roots, key=lambda one: fingerprint(one).digits)
    return hashlib.sha256(b"".join(one.public_bytes(Encoding.DER) for one in ordered)).hexdigest()


def _read_record(connection: Connection) -> _Record | None:
    text = read_meta(connection, _META)
    return None if text is None else msgspec.json.decode(text, type=_Record)


def _phase(before: _Record | None, root: str, next_root: str, *, switched: bool) -> str:
    """Name what happened since; an import while the server was stopped changes the root without a rotation."""
    if next_root:
        return "announced"
    if before is None:  # the registry could not be written when it was announced
        return "switched" if switched else "cancelled"
    if root == before.root:
        return "cancelled"
    return "switched" if root == before.next_root else "replaced"


def _tell_lost(lost: Sequence[Behind]) -> str:
    names = ", ".join(one.unit_id for one in lost[:NAMED_AT_MOST])
    more = f" and {len(lost) - NAMED_AT_MOST} more" if len(lost) > NAMED_AT_MOST else ""
    return (
        f"{len(lost)} active devices have not acknowledged the new root and would fail with error 46: {names}{more}; "
        "wait for them (`umslab ctl certs rotation` lists all), or switch with --force"
    )
