# SPDX-License-Identifier: Apache-2.0
"""An HTTP server connection, and a client that says and hears plain bytes through TLS."""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import UTC, datetime
from http.client import responses
from typing import TYPE_CHECKING

import trio
from trio.testing import MockClock

from umslab_runtime.clock import Clock, VirtualClock
from umslab_runtime.http import Request, Response, text_response
from umslab_runtime.http_server import HttpConnection
from umslab_runtime.limits import Limits

from .carriers import MemoryCarrier, receive_all, receive_exactly, tls_pair

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from umslab_runtime.http import Application, Headers, SwitchedRun
    from umslab_runtime.tls import TLSStream

    from .carriers import Carrier
    from .pki import Pki

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
DEFAULTS = Limits()
GET = b"GET / HTTP/1.1\r\nHost: ums.lab\r\n\r\n"


class StoppedClock(Clock):
    """A calendar for tests in real time, on which it is always the same moment."""

    def utc(self) -> datetime:
        """That moment."""
        return EPOCH


def calendar() -> Clock:
    """A calendar that is at its beginning when the test is, and goes on only if the test's time is virtual."""
    return VirtualClock(EPOCH) if isinstance(trio.lowlevel.current_clock(), MockClock) else StoppedClock()


def answer(status: int, body: bytes = b"", *, headers: Headers | None = None, date: str = "00:00:00") -> bytes:
    """The exact bytes of an answer, on the first day of the test's calendar."""
    lines = [
        f"HTTP/1.1 {status} {responses[status]}",
        *(f"{name}: {value}" for name, value in headers or []),
        f"Date: Thu, 01 Jan 2026 {date} GMT",
        "Server: test",
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def last_answer(status: int, message: str, *, headers: Headers | None = None, date: str = "00:00:00") -> bytes:
    """The exact bytes of a refusal after which the connection is closed."""
    plain = [("Content-Type", "text/plain; charset=utf-8"), *(headers or [])]
    text = answer(status, f"{message}\n".encode(), headers=plain, date=date)
    return text.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1)


class Echo:
    """An application that answers with what it was asked, and keeps the requests."""

    def __init__(self) -> None:
        self.requests: list[Request] = []

    async def __call__(self, request: Request, /) -> Response:
        """Answer."""
        self.requests.append(request)
        return Response(200, [], f"{request.method} {request.path}".encode())


async def not_found(_: Request, /) -> Response:
    """An application that has nothing."""
    return text_response(404, "nothing here")


class Talk:
    """A client's stream and the server's connection at its other end."""

    def __init__(self, client: TLSStream, server: TLSStream, connection: HttpConnection) -> None:
        self.client = client
        self.server = server
        self.connection = connection
        self.switched: tuple[SwitchedRun, bytes] | None = None
        self.ended_at: float | None = None
        self.over = trio.Event()

    async def serve(self) -> None:
        """Serve the connection, then close it as its owner does."""
        self.switched = await self.connection.serve()
        self.ended_at = trio.current_time()
        if self.switched is None:
            await self.server.aclose()
        self.over.set()

    async def say(self, data: bytes) -> None:
        """Send bytes to the server."""
        await self.client.send_all(data)

    async def hear(self, expected: bytes) -> bytes:
        """Receive as many bytes as are expected."""
        return await receive_exactly(self.client, len(expected))

    async def rest(self) -> bytes:
        """Receive to the clean end."""
        return await receive_all(self.client)


@asynccontextmanager
async def talking(
    pki: Pki, app: Application, limits: Limits = DEFAULTS, *, carrier: Carrier | None = None, latency: float = 0.0
) -> AsyncIterator[Talk]:
    """A TLS connection that is being served."""
    contexts = pki.server_context(), pki.client_context(pki.device)
    async with tls_pair(carrier or MemoryCarrier(latency), *contexts) as (client, server):
        connection = HttpConnection(server, app, limits=limits, clock=calendar(), server_name="test")
        talk = Talk(client, server, connection)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(talk.serve)
            yield talk
            nursery.cancel_scope.cancel()
