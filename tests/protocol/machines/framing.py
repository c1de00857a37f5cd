# SPDX-License-Identifier: Apache-2.0
"""The other end of a frame connection, written from docs/protocol.md and able to misbehave: frames as plain bytes."""

from __future__ import annotations

import struct

MESSAGE, GOODBYE = 0, 1


def write_frame(body: bytes, kind: int = MESSAGE) -> bytes:
    """Return the bytes of a frame, legal or not."""
    return bytes([kind]) + len(body).to_bytes(3, "big") + body


def write_goodbye(code: int, reason: str = "") -> bytes:
    """Return the bytes of a goodbye."""
    return write_frame(struct.pack("!H", code) + reason.encode(), GOODBYE)


def read_frames(data: bytes) -> list[tuple[int, bytes]]:
    """Read all frames as kind and body; the bytes must end with the end of one."""
    frames = []
    while data:
        length = int.from_bytes(data[1:4], "big")
        assert len(data) >= 4 + length, "half a frame"
        frames.append((data[0], data[4 : 4 + length]))
        data = data[4 + length :]
    return frames


def read_goodbye(data: bytes) -> tuple[int, str]:
    """Read the goodbye that ends these bytes."""
    kind, body = read_frames(data)[-1]
    assert kind == GOODBYE
    return int.from_bytes(body[:2], "big"), body[2:].decode()
