# SPDX-License-Identifier: Apache-2.0
"""HTTP without TLS, for what is served to programs on the same machine."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import trio

from umslab_runtime.streams import HttpStream
from umslab_runtime.tls import LINGER_BYTES, LINGER_SECONDS

if TYPE_CHECKING:
    from umslab_runtime.streams import Address, Transport


_GONE = (trio.BrokenResourceError, trio.ClosedResourceError)


class PlainStream(HttpStream):
    """A transport as it is."""

    __slots__ = ("_transport",)

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    @property
    def peer(self) -> Address:
        """The other end."""
        return self._transport.peer

    @property
    def version(self) -> None:
        """There is no TLS."""
        return None

    @property
    def peer_certificate(self) -> None:
        """Nobody presents one."""
        return None

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Receive at least one byte, or `b""` at the end."""
        return await self._transport.receive_some(max_bytes)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send everything."""
        await self._transport.send_all(data)

    def send_nowait(self, data: bytes) -> int:
        """Send what the carrier takes at once; see `Stream.send_nowait`."""
        return self._transport.send_nowait(data)

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until a send has a chance not to wait."""
        await self._transport.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        """Close."""
        await self._transport.aclose()

    async def aclose_after_error(self) -> None:
        """Say that nothing more comes, read away what the peer still sends, and close; see `HttpStream`."""
        left = LINGER_BYTES
        try:
            with trio.move_on_after(LINGER_SECONDS), contextlib.suppress(*_GONE):
                await self._transport.send_eof()
                while left > 0 and (data := await self._transport.receive_some()):
                    left -= len(data)
        finally:
            self._transport.abort()

    def abort(self) -> None:
        """Drop the connection now."""
        self._transport.abort()
