# SPDX-License-Identifier: Apache-2.0
"""TLS over any transport, through OpenSSL's memory buffers (see the essay in tls.py)."""

from __future__ import annotations

import contextlib
import ssl
from typing import TYPE_CHECKING

import trio

from umslab_runtime.streams import RECEIVE_BYTES
from umslab_runtime.tls import LINGER_BYTES, TLSStream

if TYPE_CHECKING:
    from umslab_runtime.streams import Transport


class MemoryTLSStream(TLSStream):
    """The carrier for memory networks and byte-exact evidence."""

    __slots__ = ("_encrypted", "_incoming", "_outgoing", "_transport", "_unsent")

    def __init__(
        self, transport: Transport, context: ssl.SSLContext, *, server_side: bool, server_hostname: str | None
    ) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._transport = transport
        self._unsent = b""
        self._encrypted = 0  # bytes of the caller's in a record that the transport has not taken whole
        tls = context.wrap_bio(self._incoming, self._outgoing, server_side=server_side, server_hostname=server_hostname)
        super().__init__(tls, transport.peer)

    async def _wait_readable(self) -> None:
        # Never waits for the peer to read: two sides that both send would wait for each other for ever.
        with contextlib.suppress(trio.BrokenResourceError):
            self._flush_nowait()
        try:
            data = await self._transport.receive_some()
        except trio.BrokenResourceError:
            data = b""  # a reset is an end without close_notify, and OpenSSL will say so
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    async def _wait_writable(self) -> None:
        await self._flush()
        await self._transport.wait_send_all_might_not_block()

    def _write(self, data: memoryview) -> int:
        # What OpenSSL does on a socket: a record counts once it is out; until then the same bytes are offered again.
        if not self._encrypted:
            self._encrypted = self._tls.write(data[:RECEIVE_BYTES])
        if not self._flush_nowait():
            raise ssl.SSLWantWriteError
        taken, self._encrypted = self._encrypted, 0
        return taken

    async def _flush(self) -> None:
        # Cancellation-safe: what the transport has not taken stays in `_unsent`, in order.
        while not self._flush_nowait():
            await self._transport.wait_send_all_might_not_block()

    def _flush_nowait(self) -> bool:
        data = self._unsent + self._outgoing.read()
        if data:
            self._unsent = data[self._transport.send_nowait(data) :]
        return not self._unsent

    def _close_carrier(self) -> None:
        self._transport.abort()

    async def _half_close_and_drain(self) -> None:
        await self._transport.send_eof()
        left = LINGER_BYTES
        while left > 0 and (data := await self._transport.receive_some(left)):
            left -= len(data)
