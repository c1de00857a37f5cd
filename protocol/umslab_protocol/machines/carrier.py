# SPDX-License-Identifier: Apache-2.0
"""What a management session asks of whatever carries its messages: a WebSocket (OS 12) or frames (OS 11).

The two carriers are websocket.py and frames.py; session.py is what they carry.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from umslab_protocol.wire.close_codes import CloseCode


@dataclass(frozen=True, slots=True)
class MessageReceived:
    """One whole message."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Closed:
    """The conversation is over; nothing follows. `by_peer` tells who began."""

    code: int
    reason: str
    by_peer: bool


class Carrier(Protocol):
    """Whole messages, bounded, alive or closed; a conversation machine whose dialect websocket.py describes."""

    heard_at: float
    """When the peer last gave a sign of life, on the clock of `now`."""

    def receive(self, data: bytes, now: float) -> None:
        """Take bytes from the peer; whatever they are, this never raises."""
        ...

    def receive_eof(self, now: float) -> None:
        """The peer's bytes have ended, cleanly or not."""
        ...

    def next_event(self) -> MessageReceived | Closed | None:
        """Return the next event, or None when more bytes are needed."""
        ...

    def send_text(self, payload: bytes) -> None:
        """Send one message; raises `LocalProtocolError` once closing has begun."""
        ...

    def close(self, code: CloseCode, reason: str, now: float) -> None:
        """Begin to close; a second call does nothing."""
        ...

    def output(self) -> bytes:
        """Return the bytes to send."""
        ...

    @property
    def is_open(self) -> bool:
        """Whether messages can still be sent."""
        ...

    @property
    def done(self) -> bool:
        """Whether there is nothing left to say or to wait for: send the output and close the connection."""
        ...

    def deadline(self) -> float | None:
        """When to call `on_deadline`, on the clock of `now`; None for never."""
        ...

    def on_deadline(self, now: float) -> None:
        """Do what is due."""
        ...


def short_reason(reason: str) -> str:
    """Cut a close reason to the 123 bytes that one may have (RFC 6455 section 5.5)."""
    return reason.encode("utf-8")[:123].decode("utf-8", "ignore")
