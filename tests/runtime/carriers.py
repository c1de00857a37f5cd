# SPDX-License-Identifier: Apache-2.0
"""Connected pairs on either kind of network, with and without TLS, so that one test speaks for both carriers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio
from trio.testing import MockClock

from umslab_protocol.values.host_port import HostPort
from umslab_runtime.net_memory import MemoryNetwork
from umslab_runtime.net_trio import TrioNetwork

from .pki import NAME

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator

    from umslab_runtime.network import Listener, Network
    from umslab_runtime.streams import Stream, Transport
    from umslab_runtime.tls import TLSStream

PATIENCE = 20.0
"""Seconds after which a test in real time has failed."""


def patience() -> float:
    """Seconds after which a connected pair has been open for too long; virtual ones cost nothing."""
    return 10 * 86_400.0 if isinstance(trio.lowlevel.current_clock(), MockClock) else PATIENCE


class Carrier(ABC):
    """A network with a server's and a client's door."""

    client: Network

    @abstractmethod
    async def listen(self) -> Listener:
        """Listen at the server."""

    def target(self, listener: Listener) -> HostPort:
        """What the client dials."""
        return HostPort(listener.address.host, listener.address.port)

    async def connect(self) -> tuple[Transport, Transport]:
        """Return the client's and the server's end of a fresh connection."""
        listener = await self.listen()
        client = await self.client.dial(self.target(listener))
        server = await listener.accept()
        listener.close()
        return client, server


class SocketCarrier(Carrier):
    """Loopback TCP."""

    def __init__(self) -> None:
        self.client = TrioNetwork()

    async def listen(self) -> Listener:
        """Listen on a free port."""
        return await self.client.listen("127.0.0.1", 0)


class MemoryCarrier(Carrier):
    """The memory network, where time may be virtual."""

    def __init__(self, latency: float = 0.0) -> None:
        self.network = MemoryNetwork(latency=latency)
        self.server = self.network.host(NAME)
        self.client = self.network.host("client")

    async def listen(self) -> Listener:
        """Listen on a free port of the server."""
        return await self.server.listen("0.0.0.0", 0)


CARRIERS: dict[str, type[SocketCarrier | MemoryCarrier]] = {"socket": SocketCarrier, "memory": MemoryCarrier}


@asynccontextmanager
async def plain_pair(carrier: Carrier) -> AsyncIterator[tuple[Transport, Transport]]:
    """A connection without TLS: client, server. Both are gone at the end, and the whole is bounded in time."""
    with trio.fail_after(patience()):
        client, server = await carrier.connect()
        try:
            yield client, server
        finally:
            client.abort()
            server.abort()


@asynccontextmanager
async def raw_tls_pair(
    carrier: Carrier, server_context: ssl.SSLContext, client_context: ssl.SSLContext, name: str = NAME
) -> AsyncIterator[tuple[TLSStream, TLSStream]]:
    """A connection with TLS on it whose handshake has not begun: client, server."""
    async with plain_pair(carrier) as (client_end, server_end):
        client = client_end.wrap_tls(client_context, server_side=False, server_hostname=name)
        server = server_end.wrap_tls(server_context, server_side=True)
        try:
            yield client, server
        finally:
            client.abort()
            server.abort()


@asynccontextmanager
async def tls_pair(
    carrier: Carrier, server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> AsyncIterator[tuple[TLSStream, TLSStream]]:
    """A connection whose handshake is done on both sides: client, server."""
    async with raw_tls_pair(carrier, server_context, client_context) as (client, server):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.do_handshake)
            nursery.start_soon(server.do_handshake)
        yield client, server


async def receive_exactly(stream: Stream, count: int) -> bytes:
    """Receive `count` bytes; fewer when the stream ends."""
    data = bytearray()
    while len(data) < count and (more := await stream.receive_some(count - len(data))):
        data += more
    return bytes(data)


async def receive_all(stream: Stream) -> bytes:
    """Receive to the clean end."""
    data = bytearray()
    while more := await stream.receive_some():
        data += more
    return bytes(data)
