# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_runtime.http_client, against a server that says exactly what the test wants."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from umslab_protocol.errors import RemoteProtocolError
from umslab_protocol.wire.websocket_opening import accept_value
from umslab_runtime.http import Response
from umslab_runtime.http_client import (
    MAX_BODY_BYTES,
    MAX_HEADER_BYTES,
    USER_AGENT,
    HttpClientConnection,
    Opened,
    close_quietly,
)
from umslab_runtime.tls import TLSBrokenError

from .carriers import MemoryCarrier, receive_exactly, tls_pair

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trio.testing import MockClock

    from umslab_runtime.tls import TLSStream

    from .pki import Pki

KEY = bytes(16)
ACCEPT = accept_value("AAAAAAAAAAAAAAAAAAAAAA==").encode()
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
SWITCHED = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
    + ACCEPT
    + b"\r\n"
)


class Scripted:
    """A client's connection and the raw stream of the server it talks to."""

    def __init__(self, http: HttpClientConnection, client: TLSStream, server: TLSStream) -> None:
        self.http = http
        self.client = client
        self.server = server
        self.tapped: list[tuple[str, str, bytes]] = []

    def tap(self, direction: str, what: str, text: bytes, /) -> None:
        """Keep what was said."""
        self.tapped.append((direction, what, text))


@asynccontextmanager
async def scripted(pki: Pki, *parts: bytes, close: bool = False, tapped: bool = False) -> AsyncIterator[Scripted]:
    """A connection on which the server has said all this already, or says it when asked and then goodbye."""
    async with tls_pair(MemoryCarrier(), pki.server_context(), pki.client_context()) as (client, server):
        scripted = Scripted(HttpClientConnection(client, "ums.lab:8443"), client, server)
        if tapped:
            scripted.http = HttpClientConnection(client, "ums.lab:8443", scripted.tap)

        async def answer_and_close() -> None:
            await server.receive_some()
            await server.send_all(b"".join(parts))
            await server.aclose()

        async with trio.open_nursery() as nursery:
            if close:
                nursery.start_soon(answer_and_close)
            else:
                await server.send_all(b"".join(parts))
            yield scripted


# Requests.


async def test_request_says_who_asks(pki: Pki) -> None:
    """A request carries Host, our name, its own headers and, with a body, its length."""
    async with scripted(pki, OK) as to:
        await to.http.request("POST", "/est", headers=[("X-One", "1")], body=b"body")

        expected = (
            f"POST /est HTTP/1.1\r\nHost: ums.lab:8443\r\nUser-Agent: {USER_AGENT}\r\nX-One: 1\r\n"
            "Content-Length: 4\r\n\r\nbody"
        ).encode()
        assert expected == await receive_exactly(to.server, len(expected))


async def test_request_has_its_id(pki: Pki) -> None:
    """When the caller gave one."""
    async with scripted(pki, OK) as to:
        http = HttpClientConnection(to.client, "ums.lab:8443", request_id="02-7")
        await http.request("GET", "/info")

        assert b"\r\nUmslab-Request: 02-7\r\n" in await to.server.receive_some()


@pytest.mark.parametrize(("body", "length"), [(None, b""), (b"", b"Content-Length: 0\r\n")])
async def test_empty_body_is_not_no_body(pki: Pki, body: bytes | None, length: bytes) -> None:
    """A request without a body has no length; one with an empty body says that it is empty."""
    async with scripted(pki, OK) as to:
        await to.http.request("POST", "/est", body=body)

        assert (await to.server.receive_some()).endswith(b"(simulation)\r\n" + length + b"\r\n")


async def test_answers_are_whole(pki: Pki) -> None:
    """Status, headers in order, and the body, however it is delimited, come as one."""
    head = b"HTTP/1.1 403 Forbidden\r\nX: \xfc\r\nX: 2\r\n"
    chunked = head + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n"
    async with scripted(pki, chunked + OK) as to:
        first = await to.http.request("GET", "/")
        second = await to.http.request("GET", "/")

    assert Response(403, [("x", "\xfc"), ("x", "2"), ("transfer-encoding", "chunked")], b"abcd") == first
    assert b"hi" == second.body


async def test_connection_is_reused_while_it_can_be(pki: Pki) -> None:
    """Requests follow each other; after `Connection: close` no other one can be sent, and the client knows."""
    async with scripted(pki, OK, OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")) as to:
        await to.http.request("GET", "/")
        before = to.http.reusable
        await to.http.request("GET", "/")

        assert (True, False) == (before, to.http.reusable)


async def test_body_to_the_end_of_the_connection(pki: Pki) -> None:
    """An answer without a length ends with the connection."""
    async with scripted(pki, b"HTTP/1.0 200 OK\r\n\r\nall there is", close=True) as to:
        answer = await to.http.request("GET", "/")

        assert b"all there is" == answer.body
        assert not to.http.reusable


async def test_head_has_no_body(pki: Pki) -> None:
    """The length in an answer to HEAD is not waited for."""
    async with scripted(pki, b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", OK) as to:
        head = await to.http.request("HEAD", "/")
        get = await to.http.request("GET", "/")

        assert (b"", b"hi") == (head.body, get.body)


async def test_informational_answers_are_skipped(pki: Pki) -> None:
    """Answers that are none yet are passed over."""
    async with scripted(pki, b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK) as to:
        answer = await to.http.request("POST", "/", body=b"x")

        assert (200, b"hi") == (answer.status, answer.body)


async def test_answer_by_the_byte(pki: Pki, autojump_clock: MockClock) -> None:
    """An answer may come in any pieces."""
    async with scripted(pki) as to, trio.open_nursery() as nursery:

        async def dribble() -> None:
            for byte in OK:
                await to.server.send_all(bytes((byte,)))
                await trio.sleep(1)

        nursery.start_soon(dribble)
        answer = await to.http.request("GET", "/")

        assert b"hi" == answer.body


# Answers that are none.


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (b"", "no-answer"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", "no-answer"),
        (b"HTTP/1.1 200", "not-http"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", "not-http"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", "not-http"),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "not-http"),
        (b"HTTP/1.1 99 Low\r\n\r\n", "not-http"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5_000 + b"\r\n\r\n", "not-http"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "not-http"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * (MAX_HEADER_BYTES + 1), "not-http"),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n", "not-http"),
    ],
    ids=lambda value: repr(value[:40]) if isinstance(value, bytes) else value,
)
async def test_what_is_no_answer(pki: Pki, said: bytes, code: str) -> None:
    """Whatever the server says instead of an answer is its mistake, and named as such."""
    async with scripted(pki, said, close=True) as to:
        with pytest.raises(RemoteProtocolError) as refused:
            await to.http.request("GET", "/")

        assert code == refused.value.code
        assert not to.http.reusable


async def test_switch_that_was_asked_for_by_mistake(pki: Pki) -> None:
    """A request that asks to switch, by a header of its own, is no WebSocket for all that."""
    async with scripted(pki, SWITCHED + b"\r\n") as to:
        with pytest.raises(RemoteProtocolError, match="without being asked") as refused:
            await to.http.request("GET", "/", headers=[("Upgrade", "websocket"), ("Connection", "Upgrade")])

        assert "bad-upgrade" == refused.value.code


async def test_too_large_an_answer(pki: Pki) -> None:
    """A body is counted, and refused when it is larger than anything a UMS has to say."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"10000\r\n" + bytes(65_536) + b"\r\n"
    async with scripted(pki) as to, trio.open_nursery() as nursery:

        async def flood() -> None:
            with pytest.raises(TLSBrokenError):
                await to.server.send_all(head + chunk * 100)

        nursery.start_soon(flood)
        with pytest.raises(RemoteProtocolError, match=f"more than {MAX_BODY_BYTES} bytes") as refused:
            await to.http.request("GET", "/")
        to.client.abort()

        assert "too-large" == refused.value.code


async def test_largest_answer(pki: Pki) -> None:
    """The limit itself is allowed."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % MAX_BODY_BYTES
    async with scripted(pki) as to, trio.open_nursery() as nursery:
        nursery.start_soon(to.server.send_all, head + bytes(MAX_BODY_BYTES))
        answer = await to.http.request("GET", "/")

        assert MAX_BODY_BYTES == len(answer.body)


async def test_broken_connection_is_no_bad_answer(pki: Pki) -> None:
    """A connection that breaks is told from a server that misbehaves."""
    async with scripted(pki) as to:
        to.server.abort()

        with pytest.raises(trio.BrokenResourceError):
            await to.http.request("GET", "/")


# WebSockets.


async def test_opens_a_websocket(pki: Pki) -> None:
    """The opening asks for what RFC 6455 wants, and hands over what came behind the answer."""
    async with scripted(pki, SWITCHED + b"Sec-WebSocket-Protocol: two\r\n\r\nearly") as to:
        opened = await to.http.open_websocket("/ws", key=KEY, subprotocols=("one", "two"))
        asked = await to.server.receive_some()

    assert Opened("two", b"early") == opened
    assert asked.startswith(b"GET /ws HTTP/1.1\r\nHost: ums.lab:8443\r\n")
    assert b"\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: one, two\r\n" in asked


async def test_refused_websocket_is_an_answer(pki: Pki) -> None:
    """A server that does not switch says why, and its answer is given back whole."""
    async with scripted(pki, OK.replace(b"200 OK", b"410 Gone")) as to:
        answer = await to.http.open_websocket("/ws", key=KEY)

        assert Response(410, [("content-length", "2")], b"hi") == answer


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (SWITCHED.replace(ACCEPT, b"wrong") + b"\r\n", "Sec-WebSocket-Accept does not fit"),
        (SWITCHED.replace(b"websocket", b"h2c") + b"\r\n", "does not name websocket"),
        (SWITCHED + b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n", "an extension nobody offered"),
        (SWITCHED + b"Sec-WebSocket-Protocol: other\r\n\r\n", "a subprotocol nobody offered"),
    ],
)
async def test_bad_switch(pki: Pki, said: bytes, why: str) -> None:
    """A server that did not understand what it agreed to is refused."""
    async with scripted(pki, said) as to:
        with pytest.raises(RemoteProtocolError, match=why) as refused:
            await to.http.open_websocket("/ws", key=KEY, subprotocols=("one",))

        assert "bad-upgrade" == refused.value.code


# The tap.


async def test_tap_sees_both_directions(pki: Pki) -> None:
    """A protocol dump shows requests byte by byte and answers with their bodies, 101 included."""
    async with scripted(pki, OK + SWITCHED + b"\r\n", tapped=True) as to:
        await to.http.request("POST", "/est", body=b"body")
        await to.http.open_websocket("/ws", key=KEY)
        sent = await to.server.receive_some() + await to.server.receive_some()

    assert [">", "<", ">", "<"] == [direction for direction, _, _ in to.tapped]
    assert ["http request", "http answer"] * 2 == [what for _, what, _ in to.tapped]
    assert sent == to.tapped[0][2] + to.tapped[2][2]
    assert b"HTTP/1.1 200\r\ncontent-length: 2\r\n\r\nhi" == to.tapped[1][2]
    assert to.tapped[3][2].startswith(b"HTTP/1.1 101\r\nupgrade: websocket\r\n")


# Closing.


async def test_close_quietly_says_goodbye_also_when_cancelled(pki: Pki) -> None:
    """The server reads a clean end although our task has been cancelled."""
    async with scripted(pki) as to:
        with trio.CancelScope() as scope:
            scope.cancel()
            await close_quietly(to.client)

        assert b"" == await to.server.receive_some()


async def test_close_quietly_is_bounded(pki: Pki, autojump_clock: MockClock) -> None:
    """A peer that does not read does not hold us."""
    async with scripted(pki) as to:
        to.client.send_nowait(bytes(1_000_000))
        await wait_all_tasks_blocked()
        await close_quietly(to.client, within=0.5)

        assert 0.5 == trio.current_time()
