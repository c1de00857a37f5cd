# SPDX-License-Identifier: Apache-2.0
"""Enrolment: from a certificate request to a certificate, once and durably.

Rules (the table of `docs/certificates.md`):

- Identity comes from the CSR alone: one CN that is a unit ID. The Basic user name is ignored (X6, X14).
- A device that was registered as OS 11 is an OS 12 device from then on (O6, registering.py).
- A device in the recycle bin is refused (RB4); a pre-imported one is welcome (K8).
- Instead of a key it may be the token of automatic registration, which is good for one key pair (automatic.py).
- With manual approval a first enrolment waits for a person (202, see approval.py); its key is not used up by waiting.
- The same request under the same key gets the certificate that was already issued, so that a device whose answer was
  lost can ask again; any other request gets a new serial. The same holds for renewals under the same certificate.
- A certificate is superseded when a newer one of its device is first used, never at issue (see device_sessions.py).
- A renewal needs the certificate being renewed in the TLS handshake, and the same identity (RFC 7030 section 4.2.2).
"""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import TYPE_CHECKING

import structlog
from cryptography.hazmat.primitives.serialization import Encoding
from msgspec import Struct
from sqlalchemy import and_, bindparam, select

from umslab_certs.chain import check_time, parse_certificate
from umslab_certs.csr import EnrolmentRequest, check_renewal, peek_unit_id, read_request
from umslab_certs.errors import CertificateError, Fault
from umslab_server import approval, keys, registry
from umslab_server.approval import Decision
from umslab_server.configuration.naming import Naming
from umslab_server.registering import become_os12, register
from umslab_server.store import timestamp
from umslab_server.tables import certificate

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime, timedelta

    from cryptography.x509 import Certificate
    from sqlalchemy import Connection, RowMapping

    from umslab_certs.authority import Authority
    from umslab_protocol.values.unit_id import UnitId
    from umslab_runtime.clock import Clock
    from umslab_server.automatic import Automatic
    from umslab_server.reach import Reach
    from umslab_server.store import Store, Writer
    from umslab_server.throttle import Throttle


log = structlog.get_logger(__name__)


# Made once, because every enrolment runs them.
_VALID = and_(
    certificate.c.unit_id == bindparam("which"),
    certificate.c.not_after > bindparam("now"),
    certificate.c.revoked_at.is_(None),
    certificate.c.superseded_at.is_(None),
)
_ACTIVE = select(certificate.c.sha256).where(_VALID, certificate.c.first_used_at.is_not(None))
_ISSUED_BEFORE = select(certificate.c.der).where(
    _VALID,
    certificate.c.request == bindparam("request_digest"),
    certificate.c.key_id.is_not_distinct_from(bindparam("under")),
    certificate.c.renews.is_not_distinct_from(bindparam("of")),
)


_UNUSED = (
    select(certificate.c.public_key)
    .where(
        _VALID, certificate.c.first_used_at.is_(None), certificate.c.key_id.is_(None), certificate.c.renews.is_(None)
    )
    .order_by(certificate.c.issued_at.desc())
)


class KnownDevice(StrEnum):
    """What happens to a known, active device that enrols again with a valid key."""

    ACCEPT = "accept"
    """It gets another certificate; the older one goes when the new one is used."""
    REPLACE = "replace"
    """It gets another certificate, and the older ones are revoked at once."""
    REFUSE = "refuse"


class Issued(Struct, frozen=True):
    """The answer is this certificate."""

    certificate: bytes


class EnrolmentRefused(Struct, frozen=True, kw_only=True):
    """The answer is this HTTP status and this sentence; 202 stands for: not yet, ask again."""

    status: int
    message: str
    retry_after: float | None = None


WRONG_KEY = EnrolmentRefused(status=401, message="this first-authentication key does not let this device enrol")
IN_BIN = EnrolmentRefused(
    status=403,
    message="a device with this unit ID is in the recycle bin: restore it or delete it for good, then enrol again",
)
REJECTED = EnrolmentRefused(
    status=403,
    message="the enrolment of this device was rejected: `umslab ctl approve` lets it in, or it asks with a new key",
)
WAITING = "this device waits for approval by a person; ask again later"
TOO_MANY_WAITING = "too many devices wait for approval already; ask again later"


class Enrolment:
    """Decides about certificate requests."""

    def __init__(
        self,
        store: Store,
        reach: Reach,
        throttle: Throttle,
        *,
        authority: Callable[[], Authority],
        clock: Clock,
        lifetime: timedelta,
        known_device: KnownDevice,
        accept_expired: bool,
        approval_seconds: float | None = None,
        naming: Naming | None = None,
        automatic: Automatic | None = None,
    ) -> None:
        """`approval_seconds` is how long a device that waits for approval is to wait; None approves everybody."""
        self._store = store
        self._reach = reach
        self._throttle = throttle
        self._authority = authority
        self._clock = clock
        self._lifetime = lifetime
        self._known_device = known_device
        self._accept_expired = accept_expired
        self._approval_seconds = approval_seconds
        self._naming = naming or Naming()
        self._automatic = automatic

    async def enrol(self, der: bytes, secret: str, source: str) -> Issued | EnrolmentRefused:
        """Answer `simpleenroll`: `secret` is the key that was presented, `source` the address it came from."""
        try:
            unit_id = peek_unit_id(der)
            wait = self._throttle.wait_before_trying(source, unit_id, self._clock.monotonic())
            if wait > 0:
                return _slow_down(wait)
            request = read_request(der)
        except CertificateError as error:
            return EnrolmentRefused(status=400, message=str(error))
        # A source that guesses a lot no longer fills the event feed with its guesses.
        noisy = self._throttle.is_slowed(source, self._clock.monotonic())
        by_token = self._automatic is not None and self._automatic.take(
            unit_id, secret, source, request.public_key_digest
        )
        with self._throttle.trying(source, unit_id):
            try:
                answer, replaced = await self._store.change(
                    lambda writer: self._enrol(writer, request, None if by_token else secret, source, quiet=noisy)
                )
            except CertificateError as error:
                return _cannot_issue(error)
            if answer is WRONG_KEY:
                wait = self._throttle.wrong(source, unit_id, self._clock.monotonic())
                return _slow_down(wait) if wait > 0 else answer
        self._throttle.right(source, unit_id)
        if replaced:
            self._reach.refuse(unit_id, "this device enrolled again")
        return answer

    def _enrol(
        self, writer: Writer, request: EnrolmentRequest, secret: str | None, source: str, *, quiet: bool
    ) -> tuple[Issued | EnrolmentRefused, bool]:
        """Without `secret` a token stands for the device, and there is no key."""
        unit_id = request.unit_id
        key_id = None if secret is None else _find_key(writer, request, secret)
        if key_id is None and secret is not None:
            if not quiet:
                writer.event("enrolment-refused", actor=source, unit_id=unit_id, cause="wrong-key")
            return WRONG_KEY, False
        device = registry.get(writer.connection, unit_id)
        if device is not None and device["binned_at"] is not None:
            writer.event("enrolment-refused", actor=source, unit_id=unit_id, cause="in-bin")
            return IN_BIN, False
        if earlier := _issued_before(writer, request, key_id=key_id):
            return Issued(earlier), False
        active = device is not None and _has_active(writer, unit_id)
        if active and self._known_device is KnownDevice.REFUSE:
            writer.event("enrolment-refused", actor=source, unit_id=unit_id, cause="known-device")
            return EnrolmentRefused(status=403, message="this device is registered already"), False
        if (not_yet := self._ask_for_approval(writer, request, source)) is not None:
            return not_yet, False
        approval.forget(writer, unit_id)
        replace = active and self._known_device is KnownDevice.REPLACE
        if replace:
            registry.revoke_all(writer, unit_id, "replaced by a new enrolment")
        self._register(writer, unit_id, device, key_id)
        moved = become_os12(writer, unit_id, device, actor="enrolment")
        if device is not None:  # it may have been reset: what it holds it says at its next hello
            registry.update(writer, unit_id, roots_digest="", connectors_digest="")
        return self._issue_first(writer, request, key_id, source), replace or moved

    def _issue_first(self, writer: Writer, request: EnrolmentRequest, key_id: int | None, source: str) -> Issued:
        issued = self._issue(writer, request, key_id=key_id, renews=None)
        if key_id is None:
            writer.event("device-enrolled", actor=source, unit_id=request.unit_id, key_kind="automatic")
        else:
            keys.count_use(writer, key_id, request.unit_id, request.public_key_digest)
            writer.event("device-enrolled", actor=source, unit_id=request.unit_id, key=key_id)
        return issued

    def _register(self, writer: Writer, unit_id: UnitId, device: RowMapping | None, key_id: int | None) -> None:
        """Make it a registered OS 12 device, and note who brought it."""
        register(writer, unit_id, device, self._naming, actor="enrolment")
        onboarded_by, role = ("", "") if key_id is None else keys.onboarder(writer.connection, key_id)
        if onboarded_by or role:
            registry.update(writer, unit_id, onboarded_by=onboarded_by, onboarding_role=role)

    def _ask_for_approval(self, writer: Writer, request: EnrolmentRequest, source: str) -> EnrolmentRefused | None:
        if self._approval_seconds is None:
            return None
        decision = approval.ask(writer, request.unit_id, request.public_key_digest, source)
        if decision is Decision.REJECTED:
            writer.event("enrolment-refused", actor=source, unit_id=request.unit_id, cause="rejected")
            return REJECTED
        if decision is Decision.WAITING:
            return EnrolmentRefused(status=202, message=WAITING, retry_after=self._approval_seconds)
        if decision is Decision.FULL:
            return EnrolmentRefused(status=503, message=TOO_MANY_WAITING, retry_after=self._approval_seconds)
        return None

    async def renew(self, der: bytes, presented: bytes, source: str) -> Issued | EnrolmentRefused:
        """Answer `simplereenroll`: `presented` is the DER of the client certificate of the TLS handshake."""
        try:
            current = parse_certificate(presented)
            check_presented_time(current, self._clock.utc(), accept_expired=self._accept_expired)
        except CertificateError as error:
            return EnrolmentRefused(status=403, message=str(error))
        try:
            request = read_request(der)
            check_renewal(request, current)
        except CertificateError as error:
            return EnrolmentRefused(status=400, message=str(error))
        digest = hashlib.sha256(presented).hexdigest()
        try:
            return await self._store.change(lambda writer: self._renew(writer, request, digest, source))
        except CertificateError as error:
            return _cannot_issue(error)

    def _renew(self, writer: Writer, request: EnrolmentRequest, digest: str, source: str) -> Issued | EnrolmentRefused:
        unit_id = request.unit_id
        row = writer.connection.execute(select(certificate).where(certificate.c.sha256 == digest)).mappings().first()
        refused = _why_not_renewable(row)
        device = registry.get(writer.connection, unit_id)
        if refused is None and device is not None and device["binned_at"] is not None:
            refused = IN_BIN
        if refused is not None:
            writer.event("renewal-refused", actor=source, unit_id=unit_id, cause=refused.message)
            return refused
        if earlier := _issued_before(writer, request, renews=digest):
            return Issued(earlier)
        issued = self._issue(writer, request, key_id=None, renews=digest)
        writer.event("certificate-renewed", actor=source, unit_id=unit_id)
        return issued

    def _issue(self, writer: Writer, request: EnrolmentRequest, *, key_id: int | None, renews: str | None) -> Issued:
        made = self._authority().issue_device(request, now=writer.now, lifetime=self._lifetime)
        der = made.public_bytes(Encoding.DER)
        row = {
            "sha256": hashlib.sha256(der).hexdigest(),
            "unit_id": request.unit_id,
            "serial": f"{made.serial_number:032X}",
            "public_key": request.public_key_digest,
            "request": _request_digest(request),
            "key_id": key_id,
            "renews": renews,
            "der": der,
            "not_after": timestamp(made.not_valid_after_utc),
            "issued_at": writer.stamp,
        }
        writer.connection.execute(certificate.insert(), row)
        return Issued(der)


def check_presented_time(presented: Certificate, now: datetime, *, accept_expired: bool) -> None:
    """Judge the dates of a device's certificate; with the switch of fact X9 an expired one passes.

    The TLS handshake has judged them already, unless the switch is on or time is virtual. Raises `CertificateError`.
    """
    try:
        check_time(presented, now)
    except CertificateError as error:
        if not (accept_expired and error.fault is Fault.EXPIRED):
            raise


def _slow_down(wait: float) -> EnrolmentRefused:
    return EnrolmentRefused(status=429, message="too many wrong first-authentication keys", retry_after=wait)


def _cannot_issue(error: CertificateError) -> EnrolmentRefused:
    log.error("the EST client CA cannot issue", problem=str(error))
    return EnrolmentRefused(status=503, message=f"this server's client CA cannot issue certificates: {error}")


def _request_digest(request: EnrolmentRequest) -> str:
    return hashlib.sha256(request.der).hexdigest()


def _find_key(writer: Writer, request: EnrolmentRequest, secret: str) -> int | None:
    return keys.find_usable(writer.connection, secret, request.unit_id, request.public_key_digest)


def _issued_before(
    writer: Writer, request: EnrolmentRequest, *, key_id: int | None = None, renews: str | None = None
) -> bytes | None:
    """The certificate that the same request has got already: under this key, as this renewal, or under a token."""
    asked = {
        "request_digest": _request_digest(request),
        "which": request.unit_id,
        "now": writer.stamp,
        "under": key_id,
        "of": renews,
    }
    found: bytes | None = writer.connection.execute(_ISSUED_BEFORE, asked).scalar()
    return found


def unused_key(connection: Connection, unit_id: UnitId, now: str) -> str:
    """The public key of a certificate that was issued under a token and never used; empty for none."""
    return connection.execute(_UNUSED, {"which": unit_id, "now": now}).scalar() or ""


def _has_active(writer: Writer, unit_id: UnitId) -> bool:
    return writer.connection.execute(_ACTIVE, {"which": unit_id, "now": writer.stamp}).first() is not None


def _why_not_renewable(row: RowMapping | None) -> EnrolmentRefused | None:
    if row is None:
        return EnrolmentRefused(status=403, message="this certificate is not in the registry")
    state = registry.certificate_state(row)
    if state in {"revoked", "superseded"}:
        return EnrolmentRefused(status=403, message=f"this certificate is {state}")
    return None
