# SPDX-License-Identifier: Apache-2.0
"""Accepts connections, puts TLS (or nothing) on them, then HTTP or what else is spoken there, and bounds them all.

A connection takes one task from accept to close. At most `limits.handshakes` are in the TLS handshake; at most
`limits.connections` are open, the next `OVERFLOW` are told that there are too many (HTTP: 503), and beyond those the
listen backlog waits. Servers that are given the same `Room` share these numbers. Whatever one connection does, the
others go on.
"""

from __future__ import annotations

import contextlib
import resource
from abc import ABC, abstractmethod
from collections import Counter
from typing import TYPE_CHECKING

import structlog
import trio

from umslab_runtime.http import Request, Response, retry_after, text_response
from umslab_runtime.http_server import HttpConnection
from umslab_runtime.plain import PlainStream
from umslab_runtime.tls import HandshakeGate, TLSError, TLSProblem

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Sequence

    from umslab_runtime.clock import Clock
    from umslab_runtime.http import Application, SwitchedRun, Upgrade
    from umslab_runtime.limits import Limits
    from umslab_runtime.network import Listener
    from umslab_runtime.streams import HttpStream, Transport

OVERFLOW = 64
_SPARE_DESCRIPTORS = 256  # database, logs, control socket, resolver
_CLOSE_SECONDS = 3.0

log = structlog.get_logger(__name__)


class Room:
    """How many connections there may be, whatever they speak, and what became of them."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        descriptors = descriptor_limit()
        self.most = min(limits.connections, descriptors - min(_SPARE_DESCRIPTORS, descriptors // 2))
        """Connections beyond it are told that there are too many."""
        self._places = trio.CapacityLimiter(self.most + OVERFLOW)
        self._handshakes = trio.CapacityLimiter(limits.handshakes)
        self.gate = HandshakeGate(limits.handshake_steps)
        self.counters: Counter[str] = Counter()

    @property
    def open_connections(self) -> int:
        """How many connections are open now, handshakes included."""
        return int(self._places.borrowed_tokens)

    @property
    def is_crowded(self) -> bool:
        """Whether there are more than there should be."""
        return self.open_connections > self.most

    async def enter(self, token: object) -> None:
        """Wait for a place, and for one among the handshakes."""
        await _take(self._places, token)
        await _take(self._handshakes, token)

    def end_handshake(self, token: object) -> None:
        """The handshake is over, well or not."""
        self._handshakes.release_on_behalf_of(token)

    def leave(self, token: object) -> None:
        """The connection is over."""
        self._places.release_on_behalf_of(token)


class StreamServer(ABC):
    """Accepts connections on any number of listeners and puts TLS on them; what is spoken is up to the subclass."""

    def __init__(self, *, context: Callable[[], ssl.SSLContext] | None, room: Room) -> None:
        """`context` is asked at every connection, so that a renewed certificate takes effect at once; None: no TLS."""
        self._context = context
        self._room = room
        self._listeners: list[Listener] = []
        self._stopping = False

    @property
    def counters(self) -> Counter[str]:
        """What became of connections; of all that share the room."""
        return self._room.counters

    @property
    def open_connections(self) -> int:
        """How many connections are open now, handshakes included; of all that share the room."""
        return self._room.open_connections

    async def serve(self, listeners: Sequence[Listener]) -> None:
        """Serve until `stop_accepting`, then until the last connection has ended."""
        self._listeners = list(listeners)
        async with trio.open_nursery() as nursery:
            for listener in listeners:
                nursery.start_soon(self._accept_from, listener, nursery)

    def stop_accepting(self) -> None:
        """Close the listeners; connections go on."""
        self._stopping = True
        for listener in self._listeners:
            listener.close()

    @abstractmethod
    async def converse(self, stream: HttpStream, *, crowded: bool) -> None:
        """Speak on a stream whose handshake is done; the caller closes it. `crowded`: just say that it is too much."""

    async def goes_without_tls(self, transport: Transport) -> bool:
        """Whether to speak on this connection as it is, though others have TLS; bounded in time as a handshake is."""
        del transport
        return False

    async def _accept_from(self, listener: Listener, nursery: trio.Nursery) -> None:
        with contextlib.suppress(trio.ClosedResourceError):
            while True:
                transport = await listener.accept()
                token = object()  # nobody in particular borrows: the connection's task gives back what this one took
                try:
                    await self._room.enter(token)
                except BaseException:
                    transport.abort()
                    raise
                nursery.start_soon(self._serve_one, transport, token)

    async def _serve_one(self, transport: Transport, token: object) -> None:
        self.counters["accepted"] += 1
        try:
            try:
                stream = await self._secure(transport)
            finally:
                self._room.end_handshake(token)
            if stream is not None:
                await self._serve_stream(stream)
        except Exception:
            transport.abort()
            self.counters["defects"] += 1
            log.exception("defect: a connection ended by an error of ours", peer=str(transport.peer))
        finally:
            self._room.leave(token)

    async def _secure(self, transport: Transport) -> HttpStream | None:
        if self._context is None:
            return PlainStream(transport)
        try:
            with trio.move_on_after(self._room.limits.handshake_seconds):
                if await self.goes_without_tls(transport):
                    self.counters["without-tls"] += 1
                    return PlainStream(transport)
                stream = transport.wrap_tls(self._context(), server_side=True)
                await stream.do_handshake(self._room.gate)
                self.counters["handshake-done"] += 1
                return stream
            refused = TLSError(TLSProblem.TRUNCATED, "the handshake took too long")
        except TLSError as error:
            refused = error
        except trio.BrokenResourceError as error:
            refused = TLSError(TLSProblem.TRUNCATED, f"the connection broke before the handshake: {error}")
        transport.abort()
        self.counters[f"handshake-{refused.problem}"] += 1
        log.info("handshake failed", peer=str(transport.peer), problem=str(refused.problem), detail=refused.detail)
        return None

    async def _serve_stream(self, stream: HttpStream) -> None:
        try:
            await self.converse(stream, crowded=self._room.is_crowded)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the peer is gone; nothing it does may end the server
        finally:
            with trio.move_on_after(_CLOSE_SECONDS, shield=True):
                await stream.aclose()


class ConnectionServer(StreamServer):
    """Serves one HTTP application."""

    def __init__(
        self,
        app: Application,
        *,
        context: Callable[[], ssl.SSLContext] | None,
        limits: Limits,
        clock: Clock,
        server_name: str,
        room: Room | None = None,
    ) -> None:
        """Without a `room` it has one of its own, bounded by the limits."""
        super().__init__(context=context, room=room or Room(limits))
        self._app = app
        self._limits = limits
        self._clock = clock
        self._server_name = server_name
        self._http: set[HttpConnection] = set()

    def stop_accepting(self) -> None:
        """Close the listeners; let requests under way finish and idle connections go."""
        super().stop_accepting()
        for connection in self._http:
            connection.close_when_idle()

    async def converse(self, stream: HttpStream, *, crowded: bool) -> None:
        """Speak HTTP, and what a request has switched to."""
        switched = await self._serve_http(stream, self._busy if crowded else self._answer)
        if switched is not None:
            run, first_bytes = switched
            del switched
            await run(stream, first_bytes)

    async def _serve_http(self, stream: HttpStream, app: Application) -> tuple[SwitchedRun, bytes] | None:
        connection = HttpConnection(stream, app, limits=self._limits, clock=self._clock, server_name=self._server_name)
        self._http.add(connection)
        if self._stopping:
            connection.close_when_idle()
        try:
            return await connection.serve()
        finally:
            self._http.discard(connection)
            if connection.refused is not None:
                self.counters[f"refused-{connection.refused}"] += 1

    async def _answer(self, request: Request, /) -> Response | Upgrade:
        try:
            return await self._app(request)
        except Exception:
            self.counters["defects"] += 1
            log.exception("defect: a request ended by an error of ours", peer=str(request.peer.address))
            message = "an error inside the server; its log has the details"
            return text_response(500, message, [("Connection", "close")])

    async def _busy(self, request: Request, /) -> Response:
        del request
        self.counters["refused-503"] += 1
        return text_response(503, "too many connections; come back later", [retry_after(10), ("Connection", "close")])


async def _take(limiter: trio.CapacityLimiter, token: object) -> None:
    """Take a place, waiting for one only when there is none: a turn of the loop for each would slow every connect."""
    try:
        limiter.acquire_on_behalf_of_nowait(token)
    except trio.WouldBlock:
        await limiter.acquire_on_behalf_of(token)


def descriptor_limit() -> int:
    """How many descriptors this process may have open."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def raise_descriptor_limit() -> int:
    """Raise the soft limit to the hard one; return it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard
