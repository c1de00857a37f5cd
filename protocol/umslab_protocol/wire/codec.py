# SPDX-License-Identifier: Apache-2.0
"""The seam where someone who knows a real format plugs it in (house.md section 5).

A codec turns messages into the payload of WebSocket messages and back. Ours is the SIMULATED JSON of messages.py. A
package that registers another one under the entry-point group `umslab.session_codec` can be chosen by name
(`session_codec` in the server's configuration, `--session-codec` on the device) without touching anything else.
"""

from __future__ import annotations

from typing import Protocol

from umslab_protocol.wire.messages import Message, decode_message, encode_message

ENTRY_POINT_GROUP = "umslab.session_codec"


class SessionCodec(Protocol):
    """Messages to bytes and back."""

    def encode(self, message: Message) -> bytes:
        """Return the payload of one WebSocket text message."""
        ...

    def decode(self, payload: bytes) -> Message:
        """Return the message, or raise `UnreadableMessageError` whatever the bytes are."""
        ...


class JsonCodec:
    """The simulated format of messages.py."""

    def encode(self, message: Message) -> bytes:
        """Write JSON."""
        return encode_message(message)

    def decode(self, payload: bytes) -> Message:
        """Read JSON."""
        return decode_message(payload)
