# SPDX-License-Identifier: Apache-2.0
"""A session's pump without a stream: it keeps what it was asked to send."""

from __future__ import annotations

from typing import TYPE_CHECKING

from umslab_runtime.pump import SessionPump

if TYPE_CHECKING:
    from umslab_protocol.wire.close_codes import CloseCode
    from umslab_protocol.wire.messages import Message


class RecordingPump(SessionPump):
    """Open until it is closed."""

    __slots__ = ("closes", "sent")

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.closes: list[tuple[CloseCode, str]] = []

    @property
    def is_open(self) -> bool:
        """Whether nobody has closed it yet."""
        return not self.closes

    def send(self, message: Message) -> None:
        """Keep a message."""
        self.sent.append(message)

    def close(self, code: CloseCode, reason: str) -> None:
        """Keep the reason."""
        self.closes.append((code, reason))
