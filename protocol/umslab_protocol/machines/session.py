# SPDX-License-Identifier: Apache-2.0
"""What both roles of a management session share: messages on a carrier, and what happens to bad ones.

Provenance: SIMULATED messages (wire/messages.py). The carrier is a standard WebSocket (OS 12: the roles are
session_server.py and session_device.py, two mirrored files; a test pairs them back to back) or simulated frames (OS 11:
os11.py).

A message that cannot be read, that this peer may not send, or whose `id` is not greater than the ones before is
answered with an `error` and the session goes on; after `MAX_BAD_MESSAGES` in a row it is closed, because a peer that
speaks another language will not learn ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from umslab_protocol.machines.carrier import Closed, MessageReceived
from umslab_protocol.wire.close_codes import CloseCode
from umslab_protocol.wire.messages import Error, Message, UnreadableMessageError

if TYPE_CHECKING:
    from umslab_protocol.machines.carrier import Carrier
    from umslab_protocol.wire.codec import SessionCodec

MAX_BAD_MESSAGES = 16


@dataclass(frozen=True, slots=True)
class Received:
    """The peer's message, read and in order."""

    message: Message


SessionEvent = Received | Closed


class SessionMachine:
    """A conversation machine: see websocket.py for the dialect. Roles override `_greet` and say when it is open."""

    __slots__ = ("_bad_messages", "_carrier", "_codec", "_greet_by", "_greeted", "_last_id", "_leaving")

    peer_may_send: ClassVar[tuple[type, ...]]
    """What the peer may say after the greeting."""

    def __init__(self, carrier: Carrier, *, codec: SessionCodec, greet_within: float, now: float) -> None:
        self._carrier = carrier
        self._codec = codec
        self._greet_by = now + greet_within
        self._greeted = False
        self._leaving = False
        self._bad_messages = 0
        self._last_id = 0

    # What the pump calls.

    def receive(self, data: bytes, now: float) -> None:
        """Take bytes from the peer; never raises."""
        self._carrier.receive(data, now)

    def receive_eof(self, now: float) -> None:
        """The peer's bytes have ended."""
        self._carrier.receive_eof(now)

    def output(self) -> bytes:
        """Return the bytes to send."""
        return self._carrier.output()

    @property
    def done(self) -> bool:
        """Whether to close the connection, after sending the output."""
        return self._carrier.done

    def deadline(self) -> float | None:
        """When to call `on_deadline`; None for never."""
        deadline = self._carrier.deadline()
        if self._greeted or not self._carrier.is_open:
            return deadline
        return self._greet_by if deadline is None else min(deadline, self._greet_by)

    def on_deadline(self, now: float) -> None:
        """Close a session whose greeting did not come; otherwise keep alive."""
        if not self._greeted and self._carrier.is_open and now >= self._greet_by:
            self.close(CloseCode.SILENT, "the greeting did not come in time", now)
        else:
            self._carrier.on_deadline(now)

    def next_event(self, now: float) -> SessionEvent | None:
        """Return the next thing that happened, or None when more bytes are needed.

        What the peer said before its goodbye is delivered, wherever the network cut; what comes after ours is not.
        """
        while (event := self._carrier.next_event()) is not None:
            if isinstance(event, Closed):
                return event
            if self._leaving:
                continue
            message = self._read(event, now)
            if message is not None and (seen := self._in_order(message, now)):
                return seen
        return None

    # What users call.

    @property
    def is_open(self) -> bool:
        """Whether the greeting is done and messages can be sent."""
        return self._greeted and self._carrier.is_open

    def send(self, message: Message) -> None:
        """Send a message; raises `LocalProtocolError` on a session that is closing."""
        self._carrier.send_text(self._codec.encode(message))

    def close(self, code: CloseCode, reason: str, now: float) -> None:
        """Begin to close; a second call does nothing."""
        self._leaving = True
        self._carrier.close(code, reason, now)

    # Inside.

    def _greet(self, message: Message, now: float) -> SessionEvent | None:
        """Take the first message; set `_greeted` or close."""
        raise NotImplementedError

    def _in_order(self, message: Message, now: float) -> SessionEvent | None:
        if not self._greeted:
            return self._greet(message, now)
        if not isinstance(message, self.peer_may_send):
            kind = type(message).__struct_config__.tag
            self._misplaced(message, "out-of-order", f"{kind} is not expected here", now)
            return None
        message_id = getattr(message, "id", None)
        if message_id is not None:
            if message_id <= self._last_id:
                self._misplaced(message, "duplicate-id", f"id {message_id} comes after id {self._last_id}", now)
                return None
            self._last_id = message_id
        self._bad_messages = 0
        return Received(message)

    def _read(self, event: MessageReceived, now: float) -> Message | None:
        try:
            return self._codec.decode(event.payload)
        except UnreadableMessageError as error:
            self._object(Error(code=error.code, message=error.reason[:2000], re=error.re), now)
            return None

    def _misplaced(self, message: Message, code: str, what: str, now: float) -> None:
        """Answer a message that may not come now."""
        self._object(Error(code=code, message=what, re=getattr(message, "id", None)), now)

    def _object(self, error: Error, now: float) -> None:
        """Answer a bad message; the one too many closes the session."""
        self._bad_messages += 1
        self._answer(error)
        if self._bad_messages >= MAX_BAD_MESSAGES:
            self.close(CloseCode.POLICY, f"{self._bad_messages} unreadable or misplaced messages", now)

    def _answer(self, message: Message) -> None:
        """Send an answer, unless the peer has said goodbye since it asked."""
        if self._carrier.is_open:
            self.send(message)
