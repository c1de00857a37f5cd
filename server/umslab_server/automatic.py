# SPDX-License-Identifier: Apache-2.0
"""Automatic registration: who gets a token without having a first-authentication key (facts A1-A4, A6).

Documented: the switch with its default off (A1), that devices without a certificate then register by themselves (A2),
and that imported ones may in any case (A3, our reading of a conflict). Simulated: the token (A6, NP12). It is good for
one request of one unit ID within `TOKEN_SECONDS`; it lives in memory only, so that strangers who ask write nothing,
and a device whose token a restart took asks for another.
"""

from __future__ import annotations

import hmac
import secrets
from typing import TYPE_CHECKING, NamedTuple

import structlog
from msgspec import Struct

from umslab_server import approval, registry
from umslab_server.enrolment import IN_BIN, EnrolmentRefused, unused_key
from umslab_server.meta import read_meta, write_meta
from umslab_server.store import timestamp

if TYPE_CHECKING:
    from sqlalchemy import Connection, RowMapping

    from umslab_protocol.values.unit_id import UnitId
    from umslab_runtime.clock import Clock
    from umslab_server.store import Store, Writer
    from umslab_server.throttle import Throttle

TOKEN_SECONDS = 300.0
MAX_TOKENS = 10_000
"""Tokens that are out at the same time; asking for one more is answered 503. So many used ones are remembered."""
FULL_SECONDS = 30.0
_SINCE = "automatic_since"

log = structlog.get_logger(__name__)

OFF = EnrolmentRefused(
    status=403,
    message="automatic registration is off, and this device was not imported: "
    "import it, give it a first-authentication key, or set enrolment.automatic for the time of a rollout",
)
KNOWN = EnrolmentRefused(
    status=403,
    message="automatic registration is off, and this device was registered before: "
    "give it a first-authentication key, or set enrolment.automatic for the time of a rollout",
)
FULL = EnrolmentRefused(status=503, message="too many devices register at the same time", retry_after=FULL_SECONDS)


class Token(Struct, frozen=True):
    """The answer is this token."""

    text: str


class _Given(NamedTuple):
    text: str
    ends: float
    bearer: str
    """Digest of the only key it is good for; empty until somebody uses it."""


class Automatic:
    """Gives tokens, and takes each back once."""

    def __init__(self, store: Store, throttle: Throttle, *, enabled: bool, clock: Clock) -> None:
        """`throttle` is its own: whoever asks for tokens is slowed down like somebody who guesses keys."""
        self._store = store
        self._throttle = throttle
        self._clock = clock
        self._tokens: dict[UnitId, _Given] = {}
        """Those nobody has used, the oldest first, as in the other:"""
        self._used: dict[UnitId, _Given] = {}
        self.enabled = enabled
        self.since: str | None = None
        """Since when the switch is on, over restarts."""

    async def start(self) -> None:
        """Note since when the switch is on, and warn while it is (A4)."""
        self.since = await self._store.change(self._note_switch)
        for notice in self.notices():
            log.warning(notice)

    def notices(self) -> list[str]:
        """What an administrator should know (A4); not a matter of health."""
        if not self.enabled:
            return []
        risk = "whoever reaches this server can become a device of it and gets its settings"
        return [f"automatic registration is on since {self.since}: {risk}; switch it off after the rollout"]

    def _note_switch(self, writer: Writer) -> str | None:
        before = read_meta(writer.connection, _SINCE) or ""
        if self.enabled == bool(before):
            return before or None
        write_meta(writer.connection, _SINCE, writer.stamp if self.enabled else "")
        writer.event("automatic-registration-on" if self.enabled else "automatic-registration-off", actor="server")
        return writer.stamp if self.enabled else None

    async def issue(self, unit_id: UnitId, source: str) -> Token | EnrolmentRefused:
        """Answer a device that asks for a token."""
        now = self._clock.monotonic()
        wait = self._throttle.wait_before_trying(source, unit_id, now)
        if wait > 0:
            return _slow_down(wait)
        device = await self._store.read(lambda connection: registry.get(connection, unit_id))
        refused = self._why_not(device)
        wait = self._throttle.wrong(source, unit_id, now)
        if refused is None:
            return self._hand_out(unit_id, now)
        stamp = timestamp(self._clock.utc())
        bearer = await self._store.read(lambda connection: _let_in(connection, unit_id, stamp))
        if bearer and refused is not IN_BIN:
            return self._hand_out(unit_id, now, bearer)
        if wait > 0:
            return _slow_down(wait)  # and no longer fills the event feed
        cause = {IN_BIN: "in-bin", OFF: "automatic-off", KNOWN: "automatic-off"}[refused]
        await self._store.change(
            lambda writer: writer.event("enrolment-refused", actor=source, unit_id=unit_id, cause=cause)
        )
        return refused

    def grant(self, unit_id: UnitId) -> Token | EnrolmentRefused:
        """Make the token of a device that a person has ordered to register (O4), whether the switch is on or off."""
        return self._hand_out(unit_id, self._clock.monotonic())

    def _why_not(self, device: RowMapping | None) -> EnrolmentRefused | None:
        if device is not None and device["binned_at"] is not None:
            return IN_BIN
        if self.enabled:
            return None
        if device is None:
            return OFF
        return None if device["registered_at"] is None else KNOWN

    def _hand_out(self, unit_id: UnitId, now: float, bearer: str = "") -> Token | EnrolmentRefused:
        self._tokens.pop(unit_id, None)
        while self._tokens and (oldest := next(iter(self._tokens))) and self._tokens[oldest].ends <= now:
            del self._tokens[oldest]
        if len(self._tokens) >= MAX_TOKENS:
            return FULL
        token = secrets.token_urlsafe(32)
        self._tokens[unit_id] = _Given(token, now + TOKEN_SECONDS, bearer)
        return Token(token)

    def take(self, unit_id: UnitId, token: str, source: str, bearer: str) -> bool:
        """Whether this is the token of the device; from now on it is good for this bearer only, a key's digest."""
        given = _matching(self._tokens.get(unit_id), token) or _matching(self._used.get(unit_id), token)
        if given is None or given.bearer not in {"", bearer}:
            return False
        if given is self._tokens.get(unit_id):
            del self._tokens[unit_id]
        if given.ends <= self._clock.monotonic():
            return False
        self._used.pop(unit_id, None)
        if len(self._used) >= MAX_TOKENS:
            del self._used[next(iter(self._used))]
        self._used[unit_id] = given._replace(bearer=bearer)
        self._throttle.right(source, unit_id)
        return True


def _matching(given: _Given | None, token: str) -> _Given | None:
    return given if given is not None and hmac.compare_digest(given.text.encode(), token.encode()) else None


def _let_in(connection: Connection, unit_id: UnitId, now: str) -> str:
    """Digest of the key with which a device was let in that has not got its certificate; empty for none."""
    return approval.let_in(connection, unit_id) or unused_key(connection, unit_id, now)


def _slow_down(wait: float) -> EnrolmentRefused:
    return EnrolmentRefused(status=429, message="too many requests for registration tokens", retry_after=wait)
