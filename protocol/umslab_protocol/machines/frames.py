# SPDX-License-Identifier: Apache-2.0
"""Messages on a plain byte stream: what carries a management session of OS 11 (TCP 30001 and 30005).

Provenance: SIMULATED. Nothing is published about the framing on these ports (G19, NP3, NP4). A frame is four bytes and
a body: the first byte tells what the body is (0 a message, 1 a goodbye), the other three how many bytes it has, most
significant first. A goodbye holds a close code and a reason, as the body of a WebSocket close frame does (RFC 6455
section 5.5.1); it is answered with a goodbye. A body is never empty.

The dialect is that of websocket.py. Frames are read one by one as `next_event` asks for them, so that a greeting can
raise the limit for what follows it in the same read.
"""

from __future__ import annotations

import struct

from umslab_protocol.errors import LocalProtocolError
from umslab_protocol.machines.carrier import Closed, MessageReceived, short_reason
from umslab_protocol.wire.close_codes import CloseCode

HEADER_BYTES = 4
LARGEST_BODY = 2**24 - 1
MESSAGE, GOODBYE = 0, 1
_GOODBYE_BYTES = range(2, 126)
_CODES = range(1000, 5000)
_NEVER_SENT = {1004, 1005, CloseCode.ABNORMAL, 1015}  # RFC 6455 section 7.4.1


class FrameMachine:
    """See the module's docstring. `silent_after` seconds without a sign of life end the conversation (None: never)."""

    __slots__ = (
        "_buffer",
        "_close_at",
        "_close_within",
        "_end",
        "_eof",
        "_most",
        "_output",
        "_said",
        "_silent_after",
        "_told",
        "heard_at",
    )

    def __init__(
        self, *, max_message_bytes: int, silent_after: float | None, now: float, close_within: float = 5.0
    ) -> None:
        self._most = max_message_bytes
        self._silent_after = silent_after
        self._close_within = close_within
        self._buffer = bytearray()
        self._output: list[bytes] = []
        self._said: Closed | None = None
        self._close_at: float | None = None
        self._eof = False
        self._end: Closed | None = None
        self._told = False
        self.heard_at = now
        """When the peer last gave a sign of life, on the clock of `now`."""

    def allow(self, max_message_bytes: int) -> None:
        """Set the limit for the messages that have not been read yet."""
        self._most = max_message_bytes

    @property
    def buffered(self) -> int:
        """How many bytes wait to be read by `next_event`."""
        return len(self._buffer)

    def receive(self, data: bytes, now: float) -> None:
        """Take bytes from the peer; whatever they are, this never raises."""
        if self._end is None and not self._eof:
            self.heard_at = now
            self._buffer += data

    def receive_eof(self, now: float) -> None:  # noqa: ARG002 - whatever comes in has a time
        """The peer's bytes have ended, cleanly or not."""
        self._eof = True

    def next_event(self) -> MessageReceived | Closed | None:
        """Return the next event, or None when more bytes are needed."""
        while self._end is None and (frame := self._next_frame()) is not None:
            kind, body = frame
            if kind == MESSAGE:
                return MessageReceived(body)
            self._take_goodbye(body)
        if self._end is None and self._eof:
            self._finish(
                self._said or Closed(CloseCode.ABNORMAL, "the connection ended without a goodbye", by_peer=True)
            )
        if self._end is None or self._told:
            return None
        self._told = True
        return self._end

    def send_text(self, payload: bytes) -> None:
        """Send one message; raises `LocalProtocolError` once closing has begun, or when it fits no frame."""
        if not self.is_open:
            raise LocalProtocolError("a message was sent on a connection that is closing")
        if not 0 < len(payload) <= LARGEST_BODY:
            raise LocalProtocolError(f"a frame holds 1 to {LARGEST_BODY} bytes, not {len(payload)}")
        self._output += (struct.pack(">I", len(payload)), payload)

    def close(self, code: CloseCode, reason: str, now: float) -> None:
        """Begin to close; a second call does nothing."""
        if self.is_open:
            self._say_goodbye(code, reason)
            self._close_at = now + self._close_within

    def output(self) -> bytes:
        """Return the bytes to send."""
        data = b"".join(self._output)
        self._output.clear()
        return data

    @property
    def is_open(self) -> bool:
        """Whether messages can still be sent."""
        return self._said is None and self._end is None and not self._eof

    @property
    def done(self) -> bool:
        """Whether there is nothing left to say or to wait for: send the output and close the connection."""
        return self._end is not None or self._eof

    def deadline(self) -> float | None:
        """When to call `on_deadline`, on the clock of `now`; None for never."""
        if self.done:
            return None
        if self._close_at is not None:
            return self._close_at
        return None if self._silent_after is None else self.heard_at + self._silent_after

    def on_deadline(self, now: float) -> None:
        """Give up on a silent peer, end a close that nobody answers."""
        deadline = self.deadline()
        if deadline is None or now < deadline:
            return
        if self._said is not None:
            self._finish(self._said)
        else:
            self._fail(CloseCode.SILENT, "no sign of life")

    def _next_frame(self) -> tuple[int, bytes] | None:
        """Cut one frame off the buffer; None when there is no whole one, or when it breaks the rules."""
        if len(self._buffer) < HEADER_BYTES:
            return None
        kind, length = self._buffer[0], int.from_bytes(self._buffer[1:HEADER_BYTES], "big")
        if kind not in {MESSAGE, GOODBYE}:
            self._fail(CloseCode.PROTOCOL_ERROR, f"a frame of the unknown kind {kind}")
        elif not length:
            self._fail(CloseCode.PROTOCOL_ERROR, "an empty frame")
        elif length > self._most:
            self._fail(CloseCode.TOO_BIG, f"a frame of {length} bytes, at most {self._most} are taken now")
        elif len(self._buffer) >= HEADER_BYTES + length:
            body = bytes(self._buffer[HEADER_BYTES : HEADER_BYTES + length])
            del self._buffer[: HEADER_BYTES + length]
            return kind, body
        return None

    def _take_goodbye(self, body: bytes) -> None:
        """Take the peer's goodbye: its own, or the answer to ours. Who said it first is who ended it."""
        read = _read_goodbye(body)
        if read is None:
            self._fail(CloseCode.PROTOCOL_ERROR, "a goodbye that cannot be read")
        elif self._said is not None:
            self._finish(self._said)
        else:
            self._say_goodbye(*read)
            self._finish(Closed(*read, by_peer=True))

    def _say_goodbye(self, code: int, reason: str) -> None:
        reason = short_reason(reason)
        body = struct.pack(">H", code) + reason.encode("utf-8")
        self._output.append(struct.pack(">I", GOODBYE << 24 | len(body)) + body)
        self._said = Closed(int(code), reason, by_peer=False)

    def _fail(self, code: CloseCode, reason: str) -> None:
        if self._said is None:
            self._say_goodbye(code, reason)
        self._finish(self._said)

    def _finish(self, end: Closed | None) -> None:
        self._end = end
        self._buffer.clear()


def _read_goodbye(body: bytes) -> tuple[int, str] | None:
    if len(body) not in _GOODBYE_BYTES:
        return None
    code = int.from_bytes(body[:2], "big")
    if code not in _CODES or code in _NEVER_SENT:
        return None
    try:
        return code, body[2:].decode("utf-8")
    except UnicodeDecodeError:
        return None
