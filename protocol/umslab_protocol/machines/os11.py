# SPDX-License-Identifier: Apache-2.0
"""What the roles of an OS 11 session share: the greeting on frames, and the goodbye when nothing is left to say.

Provenance: SIMULATED (wire/os11.py, NP3-NP5). The roles are os11_server.py and os11_device.py, two mirrored files with
two classes each, because on TCP 30001 the device calls and on TCP 30005 the server; a test pairs them back to back.

    TCP 30001   CallingDevice    AnsweringServer
    TCP 30005   AnsweringDevice  CallingServer

Once greeted, each is a session like any other (session.py). OS 11 holds no connection: the side that called says
goodbye when nothing is unanswered in either direction and nothing was said for `linger` seconds. Before the greeting
is done, a message that may not come now ends the conversation at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from umslab_protocol.errors import InvalidValueError, LocalProtocolError
from umslab_protocol.machines.carrier import Closed
from umslab_protocol.machines.frames import FrameMachine
from umslab_protocol.machines.session import Received, SessionEvent, SessionMachine
from umslab_protocol.values.unit_id import UnitId, parse_unit_id
from umslab_protocol.wire.close_codes import CloseCode
from umslab_protocol.wire.messages import VERSIONS, UnreadableMessageError
from umslab_protocol.wire.os11 import (
    MAX_GREETING_BYTES,
    NONCE_BYTES,
    ContactRefusal,
    Refused,
    decode_greeting,
    encode_greeting,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from umslab_protocol.wire.codec import SessionCodec
    from umslab_protocol.wire.messages import Message
    from umslab_protocol.wire.os11 import Greeting

MAX_OPEN = 256
"""Messages of the peer that this side has not answered; one more closes the session."""
LINGER_SECONDS = 2.0

_CLOSE_CODES = {ContactRefusal.BUSY: CloseCode.BUSY, ContactRefusal.VERSION: CloseCode.VERSION}


class Os11Session(SessionMachine):
    """See the module's docstring. `nonce` is 32 fresh random bytes; without `linger` the peer says goodbye."""

    __slots__ = (
        "_asked",
        "_deciding",
        "_frames",
        "_linger",
        "_max_message_bytes",
        "_nonce",
        "_owed",
        "_spoke",
        "_still_since",
        "refused",
    )

    def __init__(
        self,
        *,
        codec: SessionCodec,
        nonce: bytes,
        max_message_bytes: int,
        silent_after: float,
        greet_within: float,
        linger: float | None,
        now: float,
    ) -> None:
        if len(nonce) != NONCE_BYTES:
            raise LocalProtocolError(f"a nonce has {NONCE_BYTES} bytes, not {len(nonce)}")
        self._frames = FrameMachine(max_message_bytes=MAX_GREETING_BYTES, silent_after=silent_after, now=now)
        super().__init__(self._frames, codec=codec, greet_within=greet_within, now=now)
        self._max_message_bytes = max_message_bytes
        self._nonce = nonce.hex()
        self._linger = linger
        self._still_since = now
        self._spoke = False
        self._asked: set[int] = set()  # ids of ours that the peer has not answered
        self._owed: set[int] = set()  # ids of the peer's that we have not answered
        self._deciding = False
        self.refused: Refused | None = None
        """Why the peer did not go on, when it said so."""

    # What the pump calls.

    def receive(self, data: bytes, now: float) -> None:
        """Take bytes from the peer; never raises."""
        super().receive(data, now)
        if self._deciding and self._frames.buffered > MAX_GREETING_BYTES:
            self.close(CloseCode.POLICY, "too much was said before the answer", now)

    def next_event(self, now: float) -> SessionEvent | None:
        """Return the next thing that happened, or None when more bytes, or a verdict, are needed."""
        while not self._greeted:
            if self._deciding and not self.done:
                return None
            event = self._frames.next_event()
            if event is None or isinstance(event, Closed):
                return event
            if self._leaving or self._deciding:
                continue
            if (seen := self._take(event.payload, now)) is not None:
                return seen
        return super().next_event(now)

    def deadline(self) -> float | None:
        """When to call `on_deadline`; None for never."""
        deadline = super().deadline()
        if self._linger is None or not self.is_open:
            return deadline
        idle_at = self._idle_at(self._linger)
        return idle_at if deadline is None else min(deadline, idle_at)

    def on_deadline(self, now: float) -> None:
        """Close a session whose greeting did not come; say goodbye when all is said; give up on a silent peer."""
        if self._linger is not None and self.is_open and now >= self._idle_at(self._linger):
            if self._asked or self._owed or self._spoke:
                self._still_since, self._spoke = now, False
            else:
                self.close(CloseCode.NORMAL, "all is said", now)
                return
        super().on_deadline(now)

    def _idle_at(self, linger: float) -> float:
        return max(self._frames.heard_at, self._still_since) + linger

    # What users call.

    def send(self, message: Message) -> None:
        """Send a message; raises `LocalProtocolError` on a session that is closing."""
        super().send(message)
        self._spoke = True
        if (number := getattr(message, "id", None)) is not None:
            self._asked.add(number)
        self._owed.discard(getattr(message, "re", None) or 0)

    def refuse(self, refusal: ContactRefusal, message: str, now: float, *, retry_after: float | None = None) -> None:
        """Say no to the peer's greeting, and goodbye. `retry_after` is in seconds."""
        self._greet_with(Refused(refusal=refusal, message=message[:2000], retryAfter=retry_after))
        self.close(_CLOSE_CODES.get(refusal, CloseCode.REFUSED), message, now)

    def close(self, code: CloseCode, reason: str, now: float) -> None:
        """Begin to close; a second call does nothing."""
        self._deciding = False
        super().close(code, reason, now)

    # For the roles.

    def _meet(self, message: Greeting, now: float) -> Received | None:
        """Take one message of the greeting; at the end of it call `_begin`."""
        raise NotImplementedError

    def _begin(self, now: float) -> None:
        """The greeting is done: from here on it is a session."""
        self._greeted, self._deciding = True, False
        self._still_since = now
        self._frames.allow(self._max_message_bytes)

    def _greet_with(self, message: Greeting) -> None:
        """Say something of the greeting, unless the peer has said goodbye."""
        if self._frames.is_open:
            self._frames.send_text(encode_greeting(message))

    def _out_of_order(self, message: Greeting, now: float) -> None:
        kind = type(message).__struct_config__.tag
        self.close(CloseCode.PROTOCOL_ERROR, f"{kind} is not expected here", now)

    def _choose_version(self, offered: Iterable[int], now: float) -> int | None:
        """Return the highest common version, or refuse."""
        common = set(VERSIONS).intersection(offered)
        if not common:
            spoken = ", ".join(map(str, VERSIONS))
            self.refuse(ContactRefusal.VERSION, f"no version in common: version {spoken} is spoken here", now)
        return max(common, default=None)

    def _read_unit_id(self, text: str, now: float) -> UnitId | None:
        """Read the device's unit ID, or refuse."""
        try:
            return parse_unit_id(text)
        except InvalidValueError as error:
            self.refuse(ContactRefusal.REFUSED, str(error), now)
            return None

    # Inside.

    def _take(self, payload: bytes, now: float) -> Received | None:
        try:
            message = decode_greeting(payload)
        except UnreadableMessageError as error:
            self.close(CloseCode.PROTOCOL_ERROR, error.reason, now)
            return None
        if isinstance(message, Refused):
            self.refused = self.refused or message
            return None
        return self._meet(message, now)

    def _in_order(self, message: Message, now: float) -> SessionEvent | None:
        seen = super()._in_order(message, now)
        if isinstance(seen, Received):
            self._asked.discard(getattr(message, "re", None) or 0)
            if (number := getattr(message, "id", None)) is not None:
                self._owed.add(number)
                if len(self._owed) > MAX_OPEN:
                    self.close(CloseCode.POLICY, f"more than {MAX_OPEN} messages wait for an answer", now)
        return seen
