# SPDX-License-Identifier: Apache-2.0
"""What the registry does with management sessions: lets devices in, keeps what they say, notes when they leave.

"Unknown device" (410) is told apart from every other refusal (403) and from "busy" (503), because a device reacts to it
differently (facts L5, L7). A deleted device is let in once more, only to be told that it was deleted (L4). OS 11
devices are let in by their key (os11/contacts.py); from the hello on their sessions are handled here too.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, select

from umslab_certs.chain import parse_certificate
from umslab_certs.csr import device_unit_id
from umslab_certs.errors import CertificateError, Fault
from umslab_protocol.wire.close_codes import CloseCode, Refusal
from umslab_protocol.wire.messages import Ack, Error, Hello, Message, Result
from umslab_server import keys, registry, tombstones
from umslab_server.enrolment import check_presented_time
from umslab_server.sessions import Admitted, LiveSession, NotAdmitted
from umslab_server.store import StoreError
from umslab_server.tables import certificate, tombstone

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection, RowMapping

    from umslab_protocol.machines.carrier import Closed
    from umslab_protocol.values.unit_id import UnitId
    from umslab_runtime.clock import Clock
    from umslab_runtime.http import Peer
    from umslab_server.reach import Reach
    from umslab_server.sessions import Handler, OnGreeted
    from umslab_server.store import Store, Writer

NO_CERTIFICATE = NotAdmitted(
    403, Refusal.NO_CERTIFICATE, "ws-connect needs the client certificate that enrolment issued"
)
_ENDS_OF_CONTACT = {CloseCode.NORMAL, CloseCode.GOING_AWAY, CloseCode.DEREGISTERED}
# Made once, because every connect runs them.
_CERTIFICATE = select(certificate).where(certificate.c.sha256 == bindparam("digest"))
_USE = certificate.update().where(certificate.c.sha256 == bindparam("digest"))
_SUPERSEDE = certificate.update().where(
    certificate.c.unit_id == bindparam("which"),
    certificate.c.id < bindparam("newest"),
    certificate.c.superseded_at.is_(None),
)
BUSY = NotAdmitted(503, Refusal.BUSY, "the registry is busy", retry_after=5.0)


class DeviceSessions:
    """The session service on the registry; see `sessions.SessionService`."""

    def __init__(
        self,
        store: Store,
        reach: Reach,
        *,
        clock: Clock,
        accept_expired: bool,
        handlers: Mapping[type, Handler],
        on_greeted: Sequence[OnGreeted],
    ) -> None:
        """`handlers` take the messages of known devices by type; `on_greeted` are called in order after each hello."""
        self._store = store
        self._reach = reach
        self._clock = clock
        self._accept_expired = accept_expired
        self._handlers = handlers
        self._on_greeted = on_greeted
        self._stopping = False
        self.messages: Counter[type] = Counter()
        """Messages of devices by type."""
        self.sent: Counter[type] = Counter()
        """Messages to devices by type, without `welcome`."""
        self.mismatches = 0
        """Hellos that named another unit ID than the certificate of their connection; each was refused."""
        reach.presence.on_deregistered = self._deregistered

    def stop(self) -> None:
        """From now on everybody is told that the server is busy."""
        self._stopping = True

    async def admit(self, peer: Peer) -> Admitted | NotAdmitted:
        """Decide by the client certificate; marks its first use."""
        presented = self._presented(peer)
        if isinstance(presented, NotAdmitted):
            return presented
        unit_id, digest = presented
        address = peer.address.host
        try:
            return await self._store.change(lambda writer: _admit(writer, unit_id, digest, address))
        except StoreError:
            return BUSY

    async def judge(self, peer: Peer) -> UnitId | NotAdmitted:
        """Decide by the same rules whose request this is, without marking anything; a deleted device is unknown."""
        presented = self._presented(peer)
        if isinstance(presented, NotAdmitted):
            return presented
        unit_id, digest = presented
        try:
            known, refused = await self._store.read(lambda connection: _judge(connection, unit_id, digest))
        except StoreError:
            return BUSY
        return (refused or unit_id) if known else _unknown(unit_id)

    def _presented(self, peer: Peer) -> tuple[UnitId, str] | NotAdmitted:
        """Read whose certificate was presented; return its SHA-256 too."""
        if self._stopping:
            return BUSY
        if peer.certificate is None:
            return NO_CERTIFICATE
        try:
            parsed = parse_certificate(peer.certificate)
            unit_id = device_unit_id(parsed)
            check_presented_time(parsed, self._clock.utc(), accept_expired=self._accept_expired)
        except CertificateError as error:
            late = error.fault in {Fault.EXPIRED, Fault.NOT_YET_VALID}
            return NotAdmitted(403, Refusal.EXPIRED if late else Refusal.REFUSED, str(error))
        return unit_id, hashlib.sha256(peer.certificate).hexdigest()

    async def received(self, session: LiveSession, message: Message) -> None:
        """Handle one message of a device."""
        self.messages[type(message)] += 1
        if isinstance(message, Hello):
            await self._greeted(session, message)
        elif isinstance(message, Ack | Error | Result):
            session.answered(message)
        elif session.admitted.known and not session.told_deleted:
            await self._handle(session, message)

    async def _handle(self, session: LiveSession, message: Message) -> None:
        handler = self._handlers.get(type(message))
        if handler is not None:
            await handler(session, message)
        else:
            kind = type(message).__struct_config__.tag
            why = f"this server does nothing with {kind}"
            session.send(Error(code="unsupported", message=why, re=getattr(message, "id", None)))

    def left(self, session: LiveSession, closed: Closed) -> None:
        """Note that a session is over."""
        session.forsake()
        if not self._reach.leave(session):
            return
        unit_id, code, reason = session.unit_id, int(closed.code), closed.reason
        kind = "contact-broken" if session.admitted.os11 else "device-disconnected"
        as_usual = session.admitted.os11 and closed.code in _ENDS_OF_CONTACT

        def work(writer: Writer) -> None:
            if registry.get(writer.connection, unit_id) is None:
                return
            registry.update(writer, unit_id, last_contact=writer.stamp)
            if not as_usual:
                actor = "device" if closed.by_peer else "server"
                writer.event(kind, actor=actor, unit_id=unit_id, cause=reason, code=code)

        with suppress(StoreError):  # a full store loses a date, nothing that was promised
            self._store.post(work)

    async def _greeted(self, session: LiveSession, hello: Hello) -> None:
        if self._stopping:
            session.close(CloseCode.GOING_AWAY, "the server is stopping")
            return
        if not session.admitted.known:
            self._reach.presence.tell_deleted(session)
            return
        if hello.unitID != session.unit_id:
            self.mismatches += 1
            session.close(CloseCode.REFUSED, "hello names another unit ID than the certificate")
            return
        self._reach.join(session)
        if await self._look_again(session):
            booted = await self._note_boot(session, hello)
            for greeted in self._on_greeted:
                await greeted(session, hello, booted)

    async def _look_again(self, session: LiveSession) -> bool:
        """End a session whose device was deleted, or certificate revoked, between the opening and hello.

        From `join` on it is in `Reach`, where whoever deletes or revokes finds it. Tells whether it may go on.
        """
        unit_id, digest = session.unit_id, None if session.admitted.os11 else session.admitted.certificate
        try:
            known, refused = await self._store.read(lambda connection: _judge(connection, unit_id, digest))
        except StoreError:
            session.close(CloseCode.BUSY, BUSY.message)
            return False
        if not known:
            self._reach.deregister(unit_id)
        elif refused is not None:
            session.close(CloseCode.REFUSED, refused.message)
        return known and refused is None

    async def _note_boot(self, session: LiveSession, hello: Hello) -> bool:
        """Tell whether the device has booted since it was last here, and keep that."""
        if hello.boot == session.admitted.boot:
            return False
        unit_id = session.unit_id

        def work(writer: Writer) -> None:
            if registry.get(writer.connection, unit_id) is not None:
                # What was kept for the reboot is due from now on.
                registry.update(writer, unit_id, boot=hello.boot, booted_at=writer.stamp, settings_when="now")
                writer.event("device-booted", actor="device", unit_id=unit_id, boot=hello.boot)

        with suppress(StoreError):  # then it counts as a boot again next time
            await self._store.change(work)
        return True

    def _deregistered(self, session: LiveSession) -> None:
        unit_id = session.unit_id

        def work(writer: Writer) -> None:
            if tombstones.unbury(writer, unit_id):
                writer.event("device-deregistered", actor="device", unit_id=unit_id)

        with suppress(StoreError):  # then the tombstone stays, for a device that does not come back
            self._store.post(work)
        session.close(CloseCode.DEREGISTERED, "this device was deleted from the UMS")


def _admit(writer: Writer, unit_id: UnitId, digest: str, address: str) -> Admitted | NotAdmitted:
    device = registry.get(writer.connection, unit_id)
    if device is None:
        buried = writer.connection.execute(select(tombstone).where(tombstone.c.unit_id == unit_id)).first()
        if buried is not None:
            return Admitted(unit_id, known=False)
        writer.event("connect-refused", actor=address, unit_id=unit_id, cause="unknown-device")
        return _unknown(unit_id)
    row = _certificate(writer.connection, digest)
    if refused := _why_refused(row):
        writer.event("connect-refused", actor=address, unit_id=unit_id, cause=refused.message)
        return refused
    if row is not None and row["first_used_at"] is None:
        _first_use(writer, row)
    registry.update(writer, unit_id, last_contact=writer.stamp, last_ip=address)
    writer.event("device-connected", actor="device", unit_id=unit_id, address=address)
    return Admitted(
        unit_id,
        info_digest=hashlib.sha256(device["info"].encode()).hexdigest(),
        certificate=digest,
        boot=device["boot"],
    )


def _unknown(unit_id: UnitId) -> NotAdmitted:
    return NotAdmitted(410, Refusal.UNKNOWN_DEVICE, f"no device with unit ID {unit_id} is registered here")


def _judge(connection: Connection, unit_id: UnitId, digest: str | None) -> tuple[bool, NotAdmitted | None]:
    """Tell whether the device is known, and what is wrong with its certificate; an OS 11 device needs none."""
    known = registry.get(connection, unit_id) is not None
    return known, None if digest is None else _why_refused(_certificate(connection, digest))


def _certificate(connection: Connection, digest: str) -> RowMapping | None:
    return connection.execute(_CERTIFICATE, {"digest": digest}).mappings().first()


def _why_refused(row: RowMapping | None) -> NotAdmitted | None:
    if row is None:
        return NotAdmitted(403, Refusal.REFUSED, "the device is known, but this certificate is not one of its own")
    state = registry.certificate_state(row)
    if state == "revoked":
        return NotAdmitted(403, Refusal.REVOKED, f"this certificate is revoked: {row['revoked_why']}")
    if state == "superseded":
        return NotAdmitted(403, Refusal.REFUSED, "a newer certificate of this device is in use")
    return None


def _first_use(writer: Writer, row: RowMapping) -> None:
    """Mark the first use of a certificate: older ones are superseded, its one-time key is spent (K5)."""
    unit_id, digest = row["unit_id"], row["sha256"]
    writer.connection.execute(_USE, {"digest": digest, "first_used_at": writer.stamp})
    older = {"which": unit_id, "newest": row["id"], "superseded_at": writer.stamp}
    writer.connection.execute(_SUPERSEDE, older)
    if row["key_id"] is not None:
        keys.spend(writer, row["key_id"])
    writer.event("certificate-first-used", actor="device", unit_id=unit_id, serial=row["serial"])
