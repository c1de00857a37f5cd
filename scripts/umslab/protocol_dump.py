# SPDX-License-Identifier: Apache-2.0
"""`--protocol-dump`: what a device sent and received, readable, secrets masked."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

from umslab.printable import printable

if TYPE_CHECKING:
    from pathlib import Path

    from umslab_protocol.wire.codec import SessionCodec
    from umslab_protocol.wire.messages import Message
    from umslab_runtime.http_client import Tap

MAX_UNIT_BYTES = 64 * 1024
_AUTHORISATION = re.compile(rb"(?im)^(authorization:\s*\S+)[^\r\n]*")


class ProtocolDump:
    """Appends to a private file; call it as a tap, and leave its `with` block to close the file."""

    def __init__(self, path: Path) -> None:
        """Raises `OSError` when the file cannot be written."""
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._stream = os.fdopen(descriptor, "w", encoding="utf-8")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def __call__(self, direction: str, what: str, text: bytes, /) -> None:
        """Write one unit: a heading, then its lines, indented."""
        masked = _AUTHORISATION.sub(rb"\1 ***", text[:MAX_UNIT_BYTES])
        print(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ} {direction} {what}, {len(text)} bytes", file=self._stream)
        for line in masked.decode("utf-8", "backslashreplace").splitlines():
            print(f"    {printable(line)}", file=self._stream)
        if len(text) > MAX_UNIT_BYTES:
            print(f"    ... cut after {MAX_UNIT_BYTES} bytes", file=self._stream)
        self._stream.flush()


class TappedCodec:
    """A message codec that shows what passes."""

    def __init__(self, codec: SessionCodec, tap: Tap) -> None:
        self._codec = codec
        self._tap = tap

    def encode(self, message: Message) -> bytes:
        """Encode, and show what is sent."""
        payload = self._codec.encode(message)
        self._tap(">", "message", payload)
        return payload

    def decode(self, payload: bytes) -> Message:
        """Show what was received, then decode."""
        self._tap("<", "message", payload)
        return self._codec.decode(payload)
