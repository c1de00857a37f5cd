# SPDX-License-Identifier: Apache-2.0
"""What every byte stream here can do, on a socket or in memory.

A `Stream` is a `trio.abc.Stream` with three additions: the peer's address, a send that never waits (so that a timer can
ping ten thousand idle connections without a task each), and a way to vanish without a goodbye.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    import ssl

    from umslab_runtime.tls import TLSStream

RECEIVE_BYTES = 16 * 1024  # one full TLS record


@dataclass(frozen=True, slots=True)
class Address:
    """One end of a connection: a literal address (or a memory host's name) and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


known_address = lru_cache(maxsize=1 << 15)(Address)
"""The same, for those who meet the same ten thousand addresses again and again."""


class Stream(trio.abc.Stream):
    """A byte stream with an address.

    `receive_some` gives `b""` at a clean end. A broken connection raises `trio.BrokenResourceError`, one that we closed
    `trio.ClosedResourceError`, as for every Trio stream.
    """

    __slots__ = ()

    @property
    @abstractmethod
    def peer(self) -> Address:
        """The other end."""

    @abstractmethod
    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Receive at least one byte, or `b""` at a clean end."""

    @abstractmethod
    def send_nowait(self, data: bytes) -> int:
        """Send what can be sent without waiting; return how many bytes were taken, 0 when none.

        The caller keeps the rest and sends it, from its first untaken byte, with the next call.
        """

    @abstractmethod
    def abort(self) -> None:
        """Drop the connection now, without a goodbye; never waits."""


class HttpStream(Stream):
    """What HTTP is spoken on: TLS, or a plain transport (`plain.PlainStream`)."""

    __slots__ = ()

    @property
    @abstractmethod
    def version(self) -> str | None:
        """The negotiated TLS version, such as `TLSv1.3`; None before the handshake, and without TLS."""

    @property
    @abstractmethod
    def peer_certificate(self) -> bytes | None:
        """The DER of the certificate the peer presented, or None."""

    @abstractmethod
    async def aclose_after_error(self) -> None:
        """Close so that the peer can read our last words although it is still sending; bounded in time and bytes."""


class Transport(Stream, trio.abc.HalfCloseableStream):
    """A plain stream fresh from a listener or a dial, which TLS can be put on."""

    __slots__ = ()

    @abstractmethod
    async def peek(self) -> bytes:
        """Wait for the next byte and return it without taking it, or `b""` at a clean end; errors as `receive_some`."""

    @abstractmethod
    def wrap_tls(self, context: ssl.SSLContext, *, server_side: bool, server_hostname: str | None = None) -> TLSStream:
        """Put TLS on this transport and own it from now on.

        No handshake happens yet. The context's certificate is taken now, so a context that is shared may be given the
        next identity as soon as this returns. Raises `umslab_runtime.tls.TLSError` when the connection is already gone.
        """
