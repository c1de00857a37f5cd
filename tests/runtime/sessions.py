# SPDX-License-Identifier: Apache-2.0
"""Two session machines on two pumps, joined by a real TLS connection."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio

from tests.support.greeting import hello
from umslab_protocol.machines.session_device import DeviceSession
from umslab_protocol.machines.session_server import ServerSession, SessionRules
from umslab_protocol.wire.codec import JsonCodec
from umslab_protocol.wire.messages import Error, Message
from umslab_runtime.clock import SystemClock
from umslab_runtime.session_host import SessionHost, open_session_host

from .carriers import Carrier, MemoryCarrier, tls_pair
from .pki import UNIT_ID

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from umslab_protocol.machines.carrier import Closed
    from umslab_protocol.machines.session import Received
    from umslab_runtime.pump import SessionPump
    from umslab_runtime.tls import TLSStream

    from .pki import Pki

RULES = SessionRules()


class Side:
    """One end of a session: what it has received, and how it ended."""

    def __init__(self, pump: SessionPump, stream: TLSStream) -> None:
        self.pump = pump
        self.stream = stream
        self.received: list[Message] = []
        self.closed: Closed | None = None
        self.ended_at = 0.0
        self.over = trio.Event()
        self.may_go_on = trio.Event()
        """Set unless this side is to stop at the next message until it is."""
        self.may_go_on.set()
        self._moved = trio.Event()

    async def run(self, first_bytes: bytes = b"") -> None:
        """Carry the session to its end, then close the stream."""
        self.closed = await self.pump.run(first_bytes, self.on_received)
        self.ended_at = trio.current_time()
        await self.stream.aclose()
        self.over.set()

    async def on_received(self, received: Received) -> None:
        """Keep a message."""
        self.received.append(received.message)
        self._moved.set()
        self._moved = trio.Event()
        await self.may_go_on.wait()

    async def until(self, count: int) -> None:
        """Wait until so many messages have come, the greeting included."""
        while len(self.received) < count:
            await self._moved.wait()

    def texts(self) -> list[str]:
        """The texts received, the greeting not included."""
        return [message.message for message in self.received if isinstance(message, Error)]


def text(content: str) -> Error:
    """A message with free text."""
    return Error(code="text", message=content)


def server_machine(rules: SessionRules = RULES) -> ServerSession:
    """A server's machine that is to begin now."""
    return ServerSession(codec=JsonCodec(), rules=rules, server_name="test", session_id="s1", now=trio.current_time())


def device_machine() -> DeviceSession:
    """A device's machine that is to begin now."""
    return DeviceSession(codec=JsonCodec(), hello=hello(UNIT_ID), now=trio.current_time())


@asynccontextmanager
async def sessions(
    pki: Pki,
    *,
    carrier: Carrier | None = None,
    rules: SessionRules = RULES,
    write_seconds: float = 20.0,
    greet: bool = True,
) -> AsyncIterator[tuple[Side, Side, SessionHost]]:
    """A session whose greeting is done: the server's side, the device's side and the host of both."""
    contexts = pki.server_context(), pki.client_context()
    async with (
        tls_pair(carrier or MemoryCarrier(), *contexts) as (client_stream, server_stream),
        open_session_host(SystemClock(), write_seconds=write_seconds) as host,
        trio.open_nursery() as nursery,
    ):
        server = Side(host.pump(server_machine(rules), server_stream), server_stream)
        device = Side(host.pump(device_machine(), client_stream), client_stream)
        nursery.start_soon(server.run)
        if greet:
            nursery.start_soon(device.run)
            await server.until(1)
            await device.until(1)
        yield server, device, host
        nursery.cancel_scope.cancel()
