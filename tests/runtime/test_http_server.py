# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_runtime.http_server: exact bytes through TLS, in virtual time."""

from __future__ import annotations

import re
import ssl
from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from umslab_runtime.http import Request, Response, Upgrade, text_response
from umslab_runtime.limits import Limits

from .web import GET, Echo, answer, last_answer, not_found, talking

if TYPE_CHECKING:
    from trio.testing import MockClock

    from umslab_runtime.streams import HttpStream

    from .carriers import Carrier
    from .pki import Pki

ROOT = answer(200, b"GET /")
UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: ums.lab\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


def post(body: bytes, *headers: bytes) -> bytes:
    """A POST with a length."""
    lines = [b"POST /est HTTP/1.1", b"Host: ums.lab", b"Content-Length: %d" % len(body), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


# Requests that are answered.


async def test_request_is_complete(pki: Pki, autojump_clock: MockClock) -> None:
    """The application sees method, path, query, headers, body and who asks; the answer says who answers, and when."""
    app = Echo()
    async with talking(pki, app) as talk:
        await talk.say(post(b"\x00body", b"X-One: 1", b"x-one: \xfc").replace(b"/est", b"/est/%2e?q=1?2"))

        assert answer(200, b"POST /est/%2e") == await talk.hear(answer(200, b"POST /est/%2e"))
    (request,) = app.requests
    assert ("POST", "/est/%2e", "q=1?2", b"\x00body") == (request.method, request.path, request.query, request.body)
    assert [("host", "ums.lab"), ("content-length", "5"), ("x-one", "1"), ("x-one", "\xfc")] == request.headers
    assert ("client", "TLSv1.3") == (request.peer.address.host, request.peer.tls_version)
    assert request.peer.certificate is not None
    assert pki.device.read_text().endswith(ssl.DER_cert_to_PEM_cert(request.peer.certificate).strip() + "\n")


async def test_id_of_a_request_is_repeated(pki: Pki, autojump_clock: MockClock) -> None:
    """In its own answer, also when that is a refusal, and not in the next one's."""
    named = GET.replace(b"\r\n\r\n", b"\r\nUmslab-Request: 02-7\r\n\r\n")
    repeated = ROOT.replace(b"\r\nDate", b"\r\nUmslab-Request: 02-7\r\nDate")
    async with talking(pki, Echo()) as talk:
        await talk.say(named + GET)

        assert repeated + ROOT == await talk.hear(repeated + ROOT)


async def test_connection_is_kept(pki: Pki, autojump_clock: MockClock) -> None:
    """Requests follow each other on one connection, whether they come apart or all at once, or byte by byte."""
    app = Echo()
    async with talking(pki, app) as talk:
        await talk.say(GET)
        one = await talk.hear(ROOT)
        await talk.say(GET * 3)
        three = await talk.hear(ROOT * 3)
        for byte in GET:
            await talk.say(bytes((byte,)))
        last = await talk.hear(ROOT)

    assert (ROOT, ROOT * 3, ROOT) == (one, three, last)
    assert 5 == len(app.requests)


async def test_head_has_no_body(pki: Pki, autojump_clock: MockClock) -> None:
    """HEAD is answered with the length of what GET would give, and the next request is read as usual."""
    expected = answer(200, b"HEAD /").removesuffix(b"HEAD /")
    async with talking(pki, Echo()) as talk:
        await talk.say(GET.replace(b"GET", b"HEAD") + GET)

        assert expected + ROOT == await talk.hear(expected + ROOT)


@pytest.mark.parametrize("status", [204, 304])
async def test_answers_without_a_body(pki: Pki, autojump_clock: MockClock, status: int) -> None:
    """An answer that cannot have a body has none, and no length, whatever the application gave."""

    async def app(_: Request, /) -> Response:
        return Response(status, [], b"never seen")

    expected = answer(status).replace(b"Content-Length: 0\r\n", b"")
    async with talking(pki, app) as talk:
        await talk.say(GET + GET)

        assert expected * 2 == await talk.hear(expected * 2)


@pytest.mark.parametrize(
    ("request_line", "headers"),
    [
        (b"GET / HTTP/1.0", b""),
        (b"GET / HTTP/1.0", b"Connection: keep-alive\r\n"),
        (b"GET / HTTP/1.1", b"Host: a\r\nConnection: close\r\n"),
    ],
)
async def test_last_request_of_a_connection(
    pki: Pki, autojump_clock: MockClock, request_line: bytes, headers: bytes
) -> None:
    """After HTTP/1.0 and after `Connection: close` comes the end; what was pipelined behind it is not served."""
    app = Echo()
    async with talking(pki, app) as talk:
        await talk.say(request_line + b"\r\n" + headers + b"\r\n" + GET)

        assert ROOT.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n") == await talk.rest()
    assert 1 == len(app.requests)


async def test_chunked_body(pki: Pki, autojump_clock: MockClock) -> None:
    """A body in chunks is put together; trailers are ignored."""
    app = Echo()
    head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with talking(pki, app) as talk:
        await talk.say(head + b"3\r\nabc\r\n")
        await wait_all_tasks_blocked()
        await talk.say(b"2;ext=1\r\nde\r\n0\r\nTrailer: x\r\n\r\n" + GET)
        await talk.hear(answer(200, b"POST /") + ROOT)

    assert [b"abcde", b""] == [request.body for request in app.requests]


async def test_client_that_asks_first_is_told_to_go_on(pki: Pki, autojump_clock: MockClock) -> None:
    """`Expect: 100-continue` is answered before the body, and the body after it."""
    go_on = b"HTTP/1.1 100 Continue\r\n\r\n"
    async with talking(pki, Echo()) as talk:
        await talk.say(post(b"", b"Expect: 100-continue").replace(b"Length: 0", b"Length: 4"))
        told = await talk.hear(go_on)
        await talk.say(b"body")

        assert told == go_on
        assert answer(200, b"POST /est") == await talk.hear(answer(200, b"POST /est"))


async def test_request_limit_of_a_connection(pki: Pki, autojump_clock: MockClock) -> None:
    """The last request that a connection may carry is answered with a goodbye."""
    async with talking(pki, Echo(), Limits(requests_per_connection=2)) as talk:
        await talk.say(GET * 3)

        assert ROOT + ROOT.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n") == await talk.rest()


async def test_client_may_stop_talking(pki: Pki, autojump_clock: MockClock) -> None:
    """A client that has said goodbye still gets the answer to what it asked before."""
    async with talking(pki, Echo()) as talk:
        await talk.say(GET)
        await wait_all_tasks_blocked()
        await talk.client.aclose()
        await talk.over.wait()

        assert talk.switched is None


# Requests that are refused.

BAD = [
    (b"hello\r\n\r\n", 400, "illegal request line"),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n", 400, "illegal request line"),
    (b"GET / HTTP/1.1\r\n\r\n", 400, "Missing mandatory Host: header"),
    (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "Found multiple Host: headers"),
    (b"GET / HTTP/1.1\r\nHost: a\r\nBad Name: x\r\n\r\n", 400, "illegal header line"),
    (b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n", 400, "illegal request line"),
    (post(b"").replace(b"Length: 0", b"Length: -1"), 400, "bad Content-Length"),
    (post(b"").replace(b"Length: 0", b"Length: " + b"9" * 5_000), 400, "bad Content-Length"),
    (post(b"").replace(b"Length: 0", b"Length: 1, 2"), 400, "conflicting Content-Length headers"),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", 400, "illegal chunk header"),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501, "Only Transfer-Encoding: chunked"),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 20_000, 431, "Receive buffer too long"),
    (b"x" * 20_000, 431, "Receive buffer too long"),
]


@pytest.mark.parametrize(("request_bytes", "status", "why"), BAD, ids=[f"{status}-{why}" for _, status, why in BAD])
async def test_unreadable_requests(
    pki: Pki, autojump_clock: MockClock, request_bytes: bytes, status: int, why: str
) -> None:
    """What is no request is refused with the right status and a reason, and that is the end of the connection."""
    app = Echo()
    async with talking(pki, app) as talk:
        await talk.say(request_bytes)
        said = await talk.rest()

    (reason,) = re.findall(rb"\r\n\r\n(not a request this server can read: .*)\n", said)
    assert last_answer(status, reason.decode()) == said
    assert why in reason.decode()
    assert [] == app.requests


async def test_proxying_is_refused(pki: Pki, autojump_clock: MockClock) -> None:
    """CONNECT is refused before the application sees it: it could not answer it like another request."""
    app = Echo()
    async with talking(pki, app) as talk:
        await talk.say(b"CONNECT 192.168.0.1:443 HTTP/1.1\r\nHost: a\r\n\r\n")

        assert last_answer(501, "this server is no proxy") == await talk.rest()
    assert [] == app.requests


@pytest.mark.parametrize("begun", [b"GET / HT", post(b"abc")[:-1]])
async def test_request_that_ends_in_the_middle(pki: Pki, autojump_clock: MockClock, begun: bytes) -> None:
    """A client that says goodbye in the middle of its request is not served."""
    app = Echo()
    async with talking(pki, app) as talk:
        await talk.say(begun)
        await wait_all_tasks_blocked()
        await talk.client.aclose()
        await talk.over.wait()

    assert [] == app.requests


TOO_LARGE = last_answer(413, "a request body may have at most 1000 bytes")


@pytest.mark.parametrize("length", [b"1001", b"9" * 20])
@pytest.mark.parametrize("expecting", [b"", b"Expect: 100-continue\r\n"])
async def test_too_long_by_its_own_word(carrier: Carrier, pki: Pki, length: bytes, expecting: bytes) -> None:
    """A body that says it is too long is refused before it is read; the client can read that while it still sends."""
    app = Echo()
    async with talking(pki, app, Limits(body_bytes=1_000), carrier=carrier) as talk:
        await talk.say(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: " + length + b"\r\n" + expecting + b"\r\n")
        await talk.say(b"x" * 30_000)

        assert TOO_LARGE == await talk.rest()
        talk.client.abort()
    assert [] == app.requests


async def test_too_long_by_counting(carrier: Carrier, pki: Pki) -> None:
    """A body in chunks is counted, and refused when it is too long; one that just fits is not."""
    head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with talking(pki, Echo(), Limits(body_bytes=1_000), carrier=carrier) as talk:
        await talk.say(head + b"3e8\r\n" + b"x" * 1_000 + b"\r\n0\r\n\r\n")
        fits = await talk.hear(answer(200, b"POST /"))
        await talk.say(head + b"3e9\r\n" + b"x" * 30_000)

        assert answer(200, b"POST /") == fits
        assert TOO_LARGE == await talk.rest()
        talk.client.abort()


async def test_body_that_just_fits(pki: Pki, autojump_clock: MockClock) -> None:
    """The limit itself is allowed."""
    app = Echo()
    async with talking(pki, app, Limits(body_bytes=1_000)) as talk:
        await talk.say(post(b"x" * 1_000))
        await talk.hear(answer(200, b"POST /est"))

    assert [1_000] == [len(request.body) for request in app.requests]


# Deadlines.


async def test_silent_client_is_left(pki: Pki, autojump_clock: MockClock) -> None:
    """A connection on which nothing is asked is closed in time, without an answer nobody asked for."""
    async with talking(pki, Echo(), Limits(idle_seconds=60)) as talk:
        assert b"" == await talk.rest()
        assert 60 == talk.ended_at


async def test_idle_client_is_left(pki: Pki, autojump_clock: MockClock) -> None:
    """So is one between two requests; the time begins anew with each."""
    async with talking(pki, Echo(), Limits(idle_seconds=60)) as talk:
        await trio.sleep(50)
        await talk.say(GET)

        assert answer(200, b"GET /", date="00:00:50") == await talk.rest()
        assert 110 == talk.ended_at


async def test_slow_headers(pki: Pki, autojump_clock: MockClock) -> None:
    """A request whose headers come by the spoonful is refused in time, counted from its first byte."""
    async with talking(pki, Echo(), Limits(header_seconds=10, idle_seconds=60)) as talk:
        await trio.sleep(30)

        async def dribble() -> None:
            for byte in GET:
                await talk.say(bytes((byte,)))
                await trio.sleep(1)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(dribble)
            said = await talk.rest()
            nursery.cancel_scope.cancel()

        assert last_answer(408, "the headers of the request took too long", date="00:00:40") == said


async def test_slow_headers_of_a_pipelined_request(pki: Pki, autojump_clock: MockClock) -> None:
    """A request that has begun behind another one is no idle connection."""
    async with talking(pki, Echo(), Limits(header_seconds=10, idle_seconds=60)) as talk:
        await talk.say(GET + b"GET / HT")

        assert ROOT + last_answer(408, "the headers of the request took too long", date="00:00:10") == await talk.rest()


async def test_slow_body(pki: Pki, autojump_clock: MockClock) -> None:
    """A body that does not come is not waited for beyond its time."""
    async with talking(pki, Echo(), Limits(body_seconds=20)) as talk:
        await talk.say(post(b"x" * 100)[:-1])

        assert last_answer(408, "the body of the request took too long", date="00:00:20") == await talk.rest()


async def test_slow_reader_is_cut_off(pki: Pki, autojump_clock: MockClock) -> None:
    """A client that does not read its answer loses the connection, in time."""

    async def app(_: Request, /) -> Response:
        return Response(200, [], bytes(1_000_000))

    async with talking(pki, app, Limits(write_seconds=20)) as talk:
        await talk.say(GET)
        await talk.over.wait()

        assert 20 == talk.ended_at
        with pytest.raises(trio.BrokenResourceError):
            await talk.rest()


async def test_refusal_that_nobody_reads(pki: Pki, autojump_clock: MockClock) -> None:
    """A client that goes away instead of reading its refusal harms nobody."""
    async with talking(pki, Echo()) as talk:
        await talk.say(b"nonsense\r\n\r\n")
        talk.client.abort()
        await talk.over.wait()

        assert talk.switched is None


@pytest.mark.parametrize("sent", [b"", b"GET / HT", post(b"abc")[:-1], GET])
async def test_vanished_client(pki: Pki, autojump_clock: MockClock, sent: bytes) -> None:
    """A client that vanishes, wherever it was, ends its connection and nothing else."""
    async with talking(pki, Echo()) as talk:
        await talk.say(sent)
        await wait_all_tasks_blocked()
        talk.client.abort()
        await talk.over.wait()

        assert talk.switched is None


# Draining.


async def test_idle_connection_goes_at_once(carrier: Carrier, pki: Pki) -> None:
    """A connection between two requests is closed as soon as its server is to stop."""
    async with talking(pki, Echo(), carrier=carrier) as talk:
        await talk.say(GET)
        await talk.hear(ROOT)
        await wait_all_tasks_blocked()
        talk.connection.close_when_idle()

        assert b"" == await talk.rest()
        await talk.over.wait()
        assert talk.ended_at is not None


async def test_request_under_way_is_finished(pki: Pki, autojump_clock: MockClock) -> None:
    """A request that is being served gets its answer, with a goodbye in it."""

    async def app(_: Request, /) -> Response:
        await trio.sleep(5)
        return Response(200, [], b"late")

    async with talking(pki, app) as talk:
        await talk.say(GET)
        await trio.sleep(1)
        talk.connection.close_when_idle()

        expected = answer(200, b"late", date="00:00:05").replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
        assert expected == await talk.rest()


async def test_request_that_has_begun_is_finished(pki: Pki, autojump_clock: MockClock) -> None:
    """A request of which a part has come is read to its end."""
    async with talking(pki, Echo()) as talk:
        await talk.say(GET[:5])
        await wait_all_tasks_blocked()
        talk.connection.close_when_idle()
        await talk.say(GET[5:])

        assert ROOT.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n") == await talk.rest()


async def test_connection_that_begins_too_late(pki: Pki, autojump_clock: MockClock) -> None:
    """A connection that is told before anything was asked is closed without waiting."""
    async with talking(pki, Echo()) as talk:
        talk.connection.close_when_idle()

        assert b"" == await talk.rest()
        assert 0 == talk.ended_at


# Upgrades.


async def echo_back(stream: HttpStream, first_bytes: bytes, /) -> None:
    """Carry a switched connection: give back what comes."""
    await stream.send_all(first_bytes)


class Switching:
    """An application that upgrades `/ws`, if its answer says so."""

    def __init__(self, *, willing: bool = True) -> None:
        self._willing = willing

    async def __call__(self, request: Request, /) -> Response | Upgrade:
        """Answer."""
        if request.path == "/ws" and self._willing:
            return Upgrade([("Upgrade", "websocket"), ("Connection", "Upgrade")], echo_back)
        return text_response(403, "no")


async def test_upgrade_hands_over_what_came_behind(pki: Pki, autojump_clock: MockClock) -> None:
    """After 101 the connection belongs to the application, with the bytes that came behind the request."""
    expected = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nServer: test\r\n\r\n"
    async with talking(pki, Switching()) as talk:
        await talk.say(UPGRADE + b"early frame")
        said = await talk.hear(expected)
        await talk.over.wait()

        assert said == expected
        assert (echo_back, b"early frame") == talk.switched
        await talk.say(b"later")
        assert b"later" == await talk.server.receive_some()


async def test_refused_upgrade_keeps_the_connection(pki: Pki, autojump_clock: MockClock) -> None:
    """A client whose upgrade is refused can go on asking."""
    refused = answer(403, b"no\n", headers=[("Content-Type", "text/plain; charset=utf-8")])
    async with talking(pki, Switching(willing=False)) as talk:
        await talk.say(UPGRADE)
        first = await talk.hear(refused)
        await talk.say(UPGRADE + GET)

        assert refused == first
        assert refused * 2 == await talk.hear(refused * 2)


async def test_upgrade_to_a_client_that_does_not_read(pki: Pki, autojump_clock: MockClock) -> None:
    """A client that vanishes before its upgrade is answered gets none."""
    async with talking(pki, Switching()) as talk:
        await talk.say(UPGRADE)
        talk.client.abort()
        await talk.over.wait()


async def test_errors_of_the_application_come_out(pki: Pki) -> None:
    """What the application raises is its caller's business: see test_connections.py."""

    async def app(_: Request, /) -> Response:
        raise LookupError("a bug")

    with pytest.RaisesGroup(LookupError, flatten_subgroups=True):
        async with talking(pki, app) as talk:
            await talk.say(GET)
            await talk.over.wait()


async def test_not_found_is_an_answer_like_any_other(pki: Pki, autojump_clock: MockClock) -> None:
    """A refusal by the application keeps the connection."""
    expected = answer(404, b"nothing here\n", headers=[("Content-Type", "text/plain; charset=utf-8")])
    async with talking(pki, not_found) as talk:
        await talk.say(GET + GET)

        assert expected * 2 == await talk.hear(expected * 2)
