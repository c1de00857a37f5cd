# SPDX-License-Identifier: Apache-2.0
"""TLS where OpenSSL reads and writes the socket itself (see the essay in tls.py)."""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING

import trio

from umslab_runtime.streams import Address, Transport
from umslab_runtime.tls import LINGER_BYTES, TLSError, TLSProblem, TLSStream, explain_ssl_error

if TYPE_CHECKING:
    from collections.abc import Awaitable


class SocketTLSStream(TLSStream):
    """The carrier for real connections."""

    __slots__ = ("_fd", "_socket", "_write_waiter")

    _tls: ssl.SSLSocket

    def __init__(self, tls: ssl.SSLSocket, peer: Address) -> None:
        super().__init__(tls, peer)
        self._fd = tls.fileno()
        self._write_waiter: trio.Event | None = None

    def _wait_readable(self) -> Awaitable[None]:
        return trio.lowlevel.wait_readable(self._fd)  # noqa: ASYNC105 - awaited by the caller: one frame less per idle connection

    async def _wait_writable(self) -> None:
        # A sender and a receiver that must write (KeyUpdate) may wait together; Trio allows one waiter.
        if self._write_waiter is not None:
            await self._write_waiter.wait()
            return
        self._write_waiter = trio.Event()
        try:
            await trio.lowlevel.wait_writable(self._fd)
        finally:
            self._write_waiter.set()
            self._write_waiter = None

    def _write(self, data: memoryview) -> int:
        return self._tls.write(data)

    async def _flush(self) -> None:
        pass

    def _close_carrier(self) -> None:
        if self._tls.fileno() >= 0:
            trio.lowlevel.notify_closing(self._tls)
            self._tls.close()

    async def _half_close_and_drain(self) -> None:
        # Below TLS: the raw socket, not the broken TLS on it.
        fd = self._fd
        with socket.socket(fileno=socket.dup(fd)) as raw:
            raw.setblocking(False)
            raw.shutdown(socket.SHUT_WR)
            left = LINGER_BYTES
            while left > 0:
                try:
                    data = raw.recv(min(left, 16384))
                except BlockingIOError:
                    await trio.lowlevel.wait_readable(fd)
                    continue
                if not data:
                    return
                left -= len(data)


class SocketTransport(Transport):
    """A connected TCP socket, non-blocking."""

    __slots__ = ("_peer", "_sock")

    def __init__(self, sock: socket.socket, peer: Address) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._peer = peer

    @property
    def peer(self) -> Address:
        """The other end."""
        return self._peer

    def wrap_tls(self, context: ssl.SSLContext, *, server_side: bool, server_hostname: str | None = None) -> TLSStream:
        """Hand the socket to OpenSSL; see `Transport.wrap_tls`."""
        try:
            # Where the peer is gone already, wrap_socket raises and leaves a descriptor to the garbage collector.
            self._sock.getpeername()
            tls = context.wrap_socket(
                self._sock,
                server_side=server_side,
                server_hostname=server_hostname,
                do_handshake_on_connect=False,
                suppress_ragged_eofs=False,
            )
        except ssl.SSLError as error:
            self.abort()
            raise explain_ssl_error(error) from None
        except (OSError, ValueError) as error:
            self.abort()
            raise TLSError(TLSProblem.TRUNCATED, f"the connection is gone: {error}") from None
        return SocketTLSStream(tls, self._peer)

    async def peek(self) -> bytes:
        """Look at the next byte; see `Transport.peek`."""
        return await self._receive(1, socket.MSG_PEEK)

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Receive at least one byte, or `b""` at the end."""
        return await self._receive(max_bytes or 16384)

    async def _receive(self, most: int, flags: int = 0) -> bytes:
        while True:
            try:
                return self._sock.recv(most, flags)
            except BlockingIOError:
                pass
            except OSError as error:
                raise self._explain(error) from error
            await trio.lowlevel.wait_readable(self._sock)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send everything."""
        rest = memoryview(data)
        while rest:
            sent = self.send_nowait(bytes(rest))
            rest = rest[sent:]
            if rest:
                await trio.lowlevel.wait_writable(self._sock)

    def send_nowait(self, data: bytes) -> int:
        """Send what the kernel takes at once."""
        try:
            return self._sock.send(data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise self._explain(error) from error

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until the kernel takes more."""
        if self._sock.fileno() < 0:
            raise trio.ClosedResourceError("this connection is closed")
        await trio.lowlevel.wait_writable(self._sock)

    async def send_eof(self) -> None:
        """Say that nothing more comes."""
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError as error:
            raise self._explain(error) from error
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        """Close the socket."""
        self.abort()
        await trio.lowlevel.checkpoint()

    def abort(self) -> None:
        """Close the socket now."""
        if self._sock.fileno() >= 0:
            trio.lowlevel.notify_closing(self._sock)
            self._sock.close()

    def _explain(self, error: OSError) -> trio.BrokenResourceError | trio.ClosedResourceError:
        if self._sock.fileno() < 0:
            return trio.ClosedResourceError("this connection is closed")
        return trio.BrokenResourceError(error.strerror or str(error))
