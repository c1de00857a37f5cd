# SPDX-License-Identifier: Apache-2.0
"""One open WebSocket as a conversation machine: whole messages, bounded, alive or closed.

Provenance: standard (RFC 6455). Frames are the sans-IO core of `websockets` (measured at a quarter of wsproto's time a
message, and with a size limit of its own); whole messages, keep-alive and the deadlines of closing are ours.

    receive(data, now) / receive_eof(now)   bytes in
    next_event()                            MessageReceived, Closed, or None: need more bytes
    send_text(), close()                    requests to send
    output()                                bytes out, to be sent after each of these calls
    deadline() / on_deadline(now)           when to wake it, and what to call then
    done                                    close the connection now
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from websockets.frames import Frame, Opcode
from websockets.protocol import Protocol, Side, State

from umslab_protocol.errors import LocalProtocolError
from umslab_protocol.machines.carrier import Closed, MessageReceived, short_reason
from umslab_protocol.wire.close_codes import CloseCode

_DATA = {Opcode.TEXT, Opcode.BINARY, Opcode.CONT}


class Role(Enum):
    """Which side of the connection this is: clients mask, servers close first."""

    CLIENT = Side.CLIENT
    SERVER = Side.SERVER


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepAlive:
    """Seconds: ping after `ping_after` of silence (None: never), give up `answer_within` later."""

    ping_after: float | None
    answer_within: float
    close_within: float = 5.0


class WebSocketMachine:
    """See the module's docstring."""

    __slots__ = (
        "_close_at",
        "_closed",
        "_events",
        "_keep_alive",
        "_partial",
        "_pinged_at",
        "_taken",
        "_text",
        "_ws",
        "heard_at",
    )

    def __init__(self, role: Role, *, max_message_bytes: int, keep_alive: KeepAlive, now: float) -> None:
        self._ws = Protocol(role.value, state=State.OPEN, max_size=max_message_bytes)
        self._keep_alive = keep_alive
        self._events: list[MessageReceived | Closed] = []  # an empty deque has 600 bytes, ten thousand times
        self._taken = 0
        self._partial = bytearray()
        self._text = False
        self.heard_at = now
        """When the peer last gave a sign of life, on the clock of `now`."""
        self._pinged_at: float | None = None
        self._close_at: float | None = None
        self._closed = False

    def receive(self, data: bytes, now: float) -> None:
        """Take bytes from the peer; whatever they are, this never raises."""
        if self._ws.state is State.CLOSED:
            return
        self.heard_at = now
        self._pinged_at = None
        self._ws.receive_data(data)
        for frame in self._ws.events_received():
            if isinstance(frame, Frame) and frame.opcode in _DATA and not self._closed:
                self._take(frame)
        if self._ws.close_rcvd is not None or self._ws.parser_exc is not None:
            self._end()

    def receive_eof(self, now: float) -> None:  # noqa: ARG002 - whatever comes in has a time
        """The peer's bytes have ended, cleanly or not."""
        self._ws.receive_eof()
        self._end()

    def next_event(self) -> MessageReceived | Closed | None:
        """Return the next event, or None when more bytes are needed."""
        if not self._events:
            return None
        event = self._events[self._taken]
        self._taken += 1
        if self._taken == len(self._events):
            self._events.clear()
            self._taken = 0
        return event

    def send_text(self, payload: bytes) -> None:
        """Send one message; raises `LocalProtocolError` once closing has begun."""
        if self._ws.state is not State.OPEN:
            raise LocalProtocolError("a message was sent on a WebSocket that is closing")
        self._ws.send_text(payload)

    def close(self, code: CloseCode, reason: str, now: float) -> None:
        """Begin to close; a second call does nothing."""
        if self._ws.state is State.OPEN:
            self._ws.send_close(code, short_reason(reason))
            self._close_at = now + self._keep_alive.close_within

    def output(self) -> bytes:
        """Return the bytes to send; the end-of-stream mark of the core is told by `done` instead."""
        return b"".join(self._ws.data_to_send())

    @property
    def is_open(self) -> bool:
        """Whether messages can still be sent."""
        return self._ws.state is State.OPEN

    @property
    def done(self) -> bool:
        """Whether there is nothing left to say or to wait for: send the output and close the connection."""
        return self._closed

    def deadline(self) -> float | None:
        """When to call `on_deadline`, on the clock of `now`; None for never."""
        if self._closed:
            return None
        if self._close_at is not None:
            return self._close_at
        if self._keep_alive.ping_after is None:
            return None
        if self._pinged_at is not None:
            return self._pinged_at + self._keep_alive.answer_within
        return self.heard_at + self._keep_alive.ping_after

    def on_deadline(self, now: float) -> None:
        """Ping a silent peer, give up on a dead one, end a close that nobody answers."""
        deadline = self.deadline()
        if deadline is None or now < deadline:
            return
        if self._close_at is not None:
            self._end()
        elif self._pinged_at is None:
            self._ws.send_ping(b"")
            self._pinged_at = now
        else:
            self._fail(CloseCode.SILENT, "no sign of life")

    def _take(self, frame: Frame) -> None:
        """Gather a message; the core has checked order and size, so that `_partial` is bounded too."""
        if frame.opcode is not Opcode.CONT:
            self._text = frame.opcode is Opcode.TEXT
        self._partial += frame.data
        if not frame.fin:
            return
        payload = bytes(self._partial)
        self._partial.clear()
        if self._text and not _is_utf8(payload):
            self._fail(CloseCode.INVALID_DATA, "a text message is not UTF-8")  # RFC 6455 section 8.1
        else:
            self._events.append(MessageReceived(payload))

    def _fail(self, code: CloseCode, reason: str) -> None:
        self._ws.fail(code, reason)
        self._end()

    def _end(self) -> None:
        """Tell the end once. What the peer said counts, then what we said, then that nobody said anything."""
        if self._closed:
            return
        self._closed = True
        received, sent = self._ws.close_rcvd, self._ws.close_sent
        if received is not None and (sent is None or self._ws.close_rcvd_then_sent):
            event = Closed(received.code, received.reason, by_peer=True)
        elif sent is not None:
            event = Closed(sent.code, sent.reason, by_peer=False)
        else:
            event = Closed(CloseCode.ABNORMAL, "the connection ended without a goodbye", by_peer=True)
        self._events.append(event)


def _is_utf8(payload: bytes) -> bool:
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True
