# SPDX-License-Identifier: Apache-2.0
"""The other end of a WebSocket, written from RFC 6455 section 5.2 and able to misbehave: frames as plain bytes.

It shares no code with the product or with the frame library below it, so that neither can agree with itself.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
MASK = b"\x12\x34\x56\x78"


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame as it was read, unmasked."""

    opcode: int
    payload: bytes = b""
    fin: bool = True
    masked: bool = False


def write_frame(opcode: int, payload: bytes = b"", *, masked: bool, fin: bool = True, reserved: int = 0) -> bytes:
    """Return the bytes of a frame, legal or not."""
    length = len(payload)
    head = bytes([fin << 7 | reserved << 4 | opcode])
    if length < 126:
        head += bytes([masked << 7 | length])
    elif length < 65536:
        head += bytes([masked << 7 | 126]) + struct.pack("!H", length)
    else:
        head += bytes([masked << 7 | 127]) + struct.pack("!Q", length)
    return head + (MASK + apply_mask(payload, MASK) if masked else payload)


def write_close(code: int, reason: str = "", *, masked: bool) -> bytes:
    """Return the bytes of a close frame."""
    return write_frame(CLOSE, struct.pack("!H", code) + reason.encode(), masked=masked)


def read_frames(data: bytes) -> list[Frame]:
    """Read all frames; the bytes must end with the end of one."""
    frames = []
    while data:
        first, second = data[0], data[1]
        length, at = second & 0x7F, 2
        if length == 126:
            (length,), at = struct.unpack("!H", data[2:4]), 4
        elif length == 127:
            (length,), at = struct.unpack("!Q", data[2:10]), 10
        masked = bool(second & 0x80)
        mask, at = (data[at : at + 4], at + 4) if masked else (bytes(4), at)
        payload, data = data[at : at + length], data[at + length :]
        assert len(payload) == length, "the last frame is cut"
        frames.append(Frame(first & 0x0F, apply_mask(payload, mask), bool(first & 0x80), masked))
    return frames


def read_close(data: bytes) -> tuple[int, str]:
    """Return code and reason of the close frame that comes last."""
    last = read_frames(data)[-1]
    assert last.opcode == CLOSE
    return int.from_bytes(last.payload[:2], "big"), last.payload[2:].decode()


def apply_mask(data: bytes, mask: bytes) -> bytes:
    """Mask or unmask (RFC 6455 section 5.3)."""
    long_mask = int.from_bytes(mask * (len(data) // 4 + 1), "big") >> 8 * (4 - len(data) % 4)
    return (int.from_bytes(data, "big") ^ long_mask).to_bytes(len(data), "big")
