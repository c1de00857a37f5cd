# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_runtime.connections: limits, ends, and that nobody harms the others."""

from __future__ import annotations

import resource
import subprocess
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import structlog
import trio
from cryptography.hazmat.primitives.serialization import Encoding
from trio.testing import wait_all_tasks_blocked

from umslab_certs.identity import load_identity
from umslab_runtime import connections
from umslab_runtime.connections import ConnectionServer, descriptor_limit, raise_descriptor_limit
from umslab_runtime.http import Request, Response, Upgrade
from umslab_runtime.limits import Limits
from umslab_runtime.tls import TLSBrokenError

from .carriers import PATIENCE, Carrier, MemoryCarrier, SocketCarrier, patience, receive_all, receive_exactly
from .web import GET, Echo, answer, calendar

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from trio.testing import MockClock

    from umslab_runtime.http import Application
    from umslab_runtime.network import Listener
    from umslab_runtime.streams import HttpStream, Transport
    from umslab_runtime.tls import TLSStream

    from .pki import Pki

ROOT = answer(200, b"GET /")


@pytest.fixture(autouse=True)
def logs() -> Iterator[list[Any]]:
    """What was logged."""
    with structlog.testing.capture_logs() as captured:
        yield captured


class Site:
    """A server at work, and the way to it."""

    def __init__(self, server: ConnectionServer, carrier: Carrier, listener: Listener, pki: Pki) -> None:
        self.server = server
        self.listener = listener
        self.over = trio.Event()
        self._carrier = carrier
        self._pki = pki

    async def run(self) -> None:
        """Serve to the end."""
        await self.server.serve([self.listener])
        self.over.set()

    async def dial(self) -> Transport:
        """Connect without a word."""
        return await self._carrier.client.dial(self._carrier.target(self.listener))

    async def connect(self) -> TLSStream:
        """Connect and shake hands."""
        stream = (await self.dial()).wrap_tls(self._pki.client_context(), server_side=False, server_hostname="ums.lab")
        await stream.do_handshake()
        return stream

    async def get(self, stream: TLSStream | None = None, expected: bytes = ROOT) -> bytes:
        """Ask once, on a connection of its own if none is given."""
        if stream is None:
            stream = await self.connect()
            try:
                return await self.get(stream, expected)
            finally:
                await stream.aclose()
        await stream.send_all(GET)
        return await receive_exactly(stream, len(expected))


@asynccontextmanager
async def serving(
    pki: Pki,
    app: Application | None = None,
    limits: Limits | None = None,
    *,
    carrier: Carrier | None = None,
    context: ssl.SSLContext | None = None,
) -> AsyncIterator[Site]:
    """A running server."""
    carrier = carrier or MemoryCarrier()
    chosen = context or pki.server_context()
    server = ConnectionServer(
        app or Echo(),
        context=lambda: chosen,
        limits=limits or Limits(),
        clock=calendar(),
        server_name="test",
    )
    site = Site(server, carrier, await carrier.listen(), pki)
    with trio.fail_after(patience()):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(site.run)
            try:
                yield site
            finally:
                site.listener.close()
                nursery.cancel_scope.cancel()


async def test_serves_many_connections(carrier: Carrier, pki: Pki) -> None:
    """Connections are served side by side, and counted."""
    async with serving(pki, carrier=carrier) as site:
        streams = [await site.connect() for _ in range(20)]
        answers = [await site.get(stream) for stream in streams]
        open_now = site.server.open_connections
        for stream in streams:
            await stream.aclose()
        while site.server.open_connections:
            await wait_all_tasks_blocked()

    assert [ROOT] * 20 == answers
    assert (20, {"accepted": 20, "handshake-done": 20}) == (open_now, dict(site.server.counters))


async def test_serves_all_listeners(pki: Pki) -> None:
    """One server serves any number of addresses, and stops on all of them."""
    carrier = SocketCarrier()
    listeners = [await carrier.listen(), await carrier.listen()]
    server = ConnectionServer(Echo(), context=pki.server_context, limits=Limits(), clock=calendar(), server_name="test")
    sites = [Site(server, carrier, listener, pki) for listener in listeners]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.serve, listeners)
        answers = [await site.get() for site in sites]
        server.stop_accepting()

    assert [ROOT] * 2 == answers


# Limits.


async def test_connection_too_many_is_told_so(pki: Pki, autojump_clock: MockClock) -> None:
    """Over the limit a connection is answered 503 with the time to come back, and the others live."""
    async with serving(pki, limits=Limits(connections=2)) as site:
        inside = [await site.connect() for _ in range(2)]
        late = await site.connect()
        await late.send_all(GET)
        told = await receive_all(late)
        await late.aclose()
        answers = [await site.get(stream) for stream in inside]
        await inside[0].aclose()
        await trio.sleep(1)

        assert told.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
        assert b"\r\nRetry-After: 10\r\nConnection: close\r\n" in told
        assert told.endswith(b"\r\n\r\ntoo many connections; come back later\n")
        assert [ROOT] * 2 == answers
        later = await site.get(expected=ROOT.replace(b"00:00:00", b"00:00:01"))
        assert later.startswith(b"HTTP/1.1 200")
        await inside[1].aclose()


async def test_beyond_the_overflow_the_backlog_waits(
    pki: Pki, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When even the telling of 503 is at its limit, further connections wait until one ends."""
    monkeypatch.setattr(connections, "OVERFLOW", 1)
    async with serving(pki, limits=Limits(connections=1)) as site:
        inside = [await site.connect(), await site.connect()]
        connected: list[float] = []

        async def connect_late() -> None:
            stream = await site.connect()
            connected.append(trio.current_time())
            await stream.aclose()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(connect_late)
            nursery.start_soon(connect_late)
            await trio.sleep(5)
            waiting = (list(connected), site.server.open_connections)
            await inside[0].aclose()

        assert ([], 2) == waiting
        assert [5.0, 5.0] == connected
        await inside[1].aclose()


async def test_connection_that_waits_for_room_is_closed_with_the_server(
    pki: Pki, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that is cancelled leaves no connection behind, not even one that was still to be served."""
    monkeypatch.setattr(connections, "OVERFLOW", 1)
    async with serving(pki, limits=Limits(connections=1)) as site:
        inside = [await site.connect(), await site.connect()]
        waiting = await site.dial()
        await wait_all_tasks_blocked()

    with trio.fail_after(PATIENCE):
        assert b"" == await waiting.receive_some()
    for closing in (*inside, waiting):
        closing.abort()


async def test_handshakes_are_limited_and_bounded_in_time(pki: Pki, autojump_clock: MockClock) -> None:
    """Silent connections hold the places for handshakes for their time only."""
    async with serving(pki, limits=Limits(handshakes=2, handshake_seconds=10)) as site:
        silent = [await site.dial() for _ in range(3)]
        connected = trio.current_time()
        said = await site.get(expected=ROOT.replace(b"00:00:00", b"00:00:10"))

        assert said.startswith(b"HTTP/1.1 200")
        assert (0, 10) == (connected, trio.current_time())
        assert 2 == site.server.counters["handshake-truncated"]
        for transport in silent:
            transport.abort()


async def test_idle_connections_hold_no_place_for_handshakes(pki: Pki, autojump_clock: MockClock) -> None:
    """A connection whose handshake is done makes room for the next one."""
    async with serving(pki, limits=Limits(handshakes=1)) as site:
        streams = [await site.connect() for _ in range(5)]

        assert ROOT == await site.get(streams[0])
        assert 0 == trio.current_time()
        for stream in streams:
            await stream.aclose()


def test_limit_leaves_descriptors_for_the_rest(pki: Pki) -> None:
    """The connection limit is never more than the process has descriptors for; some are kept for other things."""
    script = """
import resource, trio
from umslab_runtime.connections import Room, descriptor_limit, raise_descriptor_limit
from umslab_runtime.limits import Limits

async def main():
    for limit in (2000, 300, 64):
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, 2000))
        print(descriptor_limit(), Room(Limits()).most)
    print(raise_descriptor_limit(), descriptor_limit())

trio.run(main)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=PATIENCE, check=True)

    assert ["2000 1744", "300 150", "64 32", "2000 2000"] == done.stdout.splitlines()


def test_descriptor_limit_of_this_process() -> None:
    """The limit is the soft one; raising it to the hard one says what it is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        assert soft == descriptor_limit()
        assert hard == raise_descriptor_limit() == descriptor_limit()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


_STARVE = """
import os, pathlib, resource, sys, trio, trio.testing
from umslab_runtime.clock import SystemClock
from umslab_runtime.connections import ConnectionServer
from umslab_runtime.http import text_response
from umslab_runtime.limits import Limits
from umslab_runtime.net_trio import TrioNetwork
from umslab_protocol.values.host_port import HostPort
from umslab_certs.tls import blind_context, server_context

async def app(request):
    return text_response(200, "alive")

async def main():
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    context = server_context(pathlib.Path(sys.argv[1]), [])
    server = ConnectionServer(app, context=lambda: context, limits=Limits(), clock=SystemClock(), server_name="x")
    network = TrioNetwork()
    listener = await network.listen("127.0.0.1", 0)
    async with trio.open_nursery() as nursery:
        client = await network.dial(HostPort("127.0.0.1", listener.address.port))
        taken = []
        try:
            while True:
                taken.append(os.open("/dev/null", os.O_RDONLY))
        except OSError:
            pass
        nursery.start_soon(server.serve, [listener])
        await trio.testing.wait_all_tasks_blocked()
        print("starved", server.open_connections, flush=True)
        for descriptor in taken:
            os.close(descriptor)
        stream = client.wrap_tls(blind_context(), server_side=False)
        await stream.do_handshake()
        await stream.send_all(b"GET / HTTP/1.1\\r\\nHost: a\\r\\nConnection: close\\r\\n\\r\\n")
        said = b""
        while more := await stream.receive_some():
            said += more
        await stream.aclose()
        print(said.split(b"\\r\\n\\r\\n")[1].decode(), end="", flush=True)
        server.stop_accepting()

trio.run(main)
"""


def test_survives_running_out_of_descriptors(pki: Pki) -> None:
    """A server that cannot accept for want of descriptors serves its clients later."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", _STARVE, str(pki.server)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )

    assert (["starved 0", "alive"], "") == (done.stdout.splitlines(), done.stderr)


# Harm.


async def test_bad_peers_harm_nobody(carrier: Carrier, pki: Pki, logs: list[Any]) -> None:
    """Peers that speak no TLS, vanish, or break HTTP are counted or ignored; the server goes on without a defect."""
    async with serving(pki, carrier=carrier) as site:
        good = await site.connect()
        plain = await site.dial()
        await plain.send_all(b"GET / HTTP/1.1\r\n\r\n")
        await plain.send_eof()
        await receive_all(plain)
        gone = await site.dial()
        gone.abort()
        cut = await site.connect()
        await cut.send_all(GET[:10])
        cut.abort()
        broken = await site.connect()
        await broken.send_all(b"nonsense\r\n\r\n")
        await receive_all(broken)
        await broken.aclose()
        said = await site.get(good)
        await good.aclose()
        plain.abort()
        while site.server.open_connections:
            await wait_all_tasks_blocked()

    assert said == ROOT
    assert {
        "accepted": 5,
        "handshake-done": 3,
        "handshake-not-tls": 1,
        "handshake-truncated": 1,
        "refused-400": 1,
    } == dict(site.server.counters)
    assert {"handshake failed"} == {entry["event"] for entry in logs}
    assert {"not-tls", "truncated"} == {entry["problem"] for entry in logs}


async def test_reset_in_the_handshake_harms_nobody(pki: Pki) -> None:
    """A connection that is reset while it shakes hands is a failed handshake, and the server goes on."""
    carrier = MemoryCarrier()
    async with serving(pki, carrier=carrier) as site:
        await site.dial()
        await wait_all_tasks_blocked()
        carrier.network.reset("client", "ums.lab")

        assert ROOT == await site.get()
        assert 1 == site.server.counters["handshake-truncated"]


async def test_defect_in_a_request_is_answered(pki: Pki, logs: list[Any]) -> None:
    """An error of ours is counted and logged, its client gets 500 and the end; the others live."""

    async def app(request: Request, /) -> Response:
        if request.path == "/bug":
            raise LookupError("a bug")
        return Response(200, [], b"GET /")

    async with serving(pki, app) as site:
        good, bad = await site.connect(), await site.connect()
        await bad.send_all(GET.replace(b"GET /", b"GET /bug"))
        told = await receive_all(bad)
        await bad.aclose()

        assert told.startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
        assert told.endswith(b"\r\n\r\nan error inside the server; its log has the details\n")
        assert b"\r\nConnection: close\r\n" in told
        assert ROOT == await site.get(good)
        assert 1 == site.server.counters["defects"]
        assert ["defect: a request ended by an error of ours"] == [entry["event"] for entry in logs]
        await good.aclose()


async def test_defect_behind_an_upgrade_ends_its_connection(pki: Pki, logs: list[Any]) -> None:
    """An error of ours in a switched connection closes that one; the others live."""

    async def run(stream: HttpStream, first_bytes: bytes, /) -> None:
        raise LookupError(stream, first_bytes)

    async def app(_: Request, /) -> Upgrade:
        return Upgrade([("Upgrade", "x"), ("Connection", "Upgrade")], run)

    async with serving(pki, app) as site:
        stream = await site.connect()
        await stream.send_all(GET.replace(b"\r\n\r\n", b"\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"))

        assert (await receive_all(stream)).startswith(b"HTTP/1.1 101 ")
        assert 1 == site.server.counters["defects"]
        assert ["defect: a connection ended by an error of ours"] == [entry["event"] for entry in logs]
        await stream.aclose()


async def test_defect_before_the_handshake_ends_its_connection(pki: Pki) -> None:
    """Even a server that has no context to give goes on."""
    carrier = MemoryCarrier()
    contexts: list[ssl.SSLContext] = []
    server = ConnectionServer(
        Echo(), context=lambda: contexts[0], limits=Limits(), clock=calendar(), server_name="test"
    )
    site = Site(server, carrier, await carrier.listen(), pki)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(site.run)
        transport = await site.dial()
        end = await transport.receive_some()
        contexts.append(pki.server_context())

        assert b"" == end
        assert 1 == server.counters["defects"]
        assert ROOT == await site.get()
        nursery.cancel_scope.cancel()
    transport.abort()
    site.listener.close()


async def test_vanished_peer_of_a_switched_connection(pki: Pki) -> None:
    """A peer that vanishes behind an upgrade is no defect."""

    async def run(stream: HttpStream, _: bytes, /) -> None:
        await stream.receive_some()

    async def app(_: Request, /) -> Upgrade:
        return Upgrade([("Upgrade", "x"), ("Connection", "Upgrade")], run)

    async with serving(pki, app) as site:
        stream = await site.connect()
        await stream.send_all(GET.replace(b"\r\n\r\n", b"\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"))
        await stream.receive_some()
        stream.abort()
        while site.server.open_connections:
            await wait_all_tasks_blocked()

        assert {"accepted": 1, "handshake-done": 1} == dict(site.server.counters)


async def test_slow_close_is_bounded(pki: Pki, autojump_clock: MockClock) -> None:
    """A peer that reads nothing does not keep its connection open for long."""

    async def run(stream: HttpStream, _: bytes, /) -> None:
        stream.send_nowait(bytes(1_000_000))

    async def app(_: Request, /) -> Upgrade:
        return Upgrade([("Upgrade", "x"), ("Connection", "Upgrade")], run)

    async with serving(pki, app) as site:
        stream = await site.connect()
        await stream.send_all(GET.replace(b"\r\n\r\n", b"\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"))
        await trio.sleep(5)

        assert 0 == site.server.open_connections
        with pytest.raises(TLSBrokenError):
            await receive_all(stream)


# The end.


async def test_stop_lets_idle_connections_go_and_requests_finish(pki: Pki, autojump_clock: MockClock) -> None:
    """Stopping ends idle connections at once, the busy one after its answer, and then the server."""

    async def app(request: Request, /) -> Response:
        if request.path == "/slow":
            await trio.sleep(3)
        return Response(200, [], b"GET /")

    async with serving(pki, app) as site:
        idle, used, busy = [await site.connect() for _ in range(3)]
        await site.get(used)
        await busy.send_all(GET.replace(b"GET /", b"GET /slow"))
        await trio.sleep(1)
        site.server.stop_accepting()
        ends = [await receive_all(idle), await receive_all(used)]
        ended = trio.current_time()
        last = await receive_all(busy)
        for stream in (idle, used, busy):
            await stream.aclose()
        await site.over.wait()

        assert ([b"", b""], 1.0) == (ends, ended)
        assert b"\r\nConnection: close\r\n" in last
        assert 3.0 == trio.current_time()


async def test_stop_ends_a_server_with_idle_connections_on_sockets(pki: Pki) -> None:
    """On real sockets, too, an idle connection does not keep a server from its end."""
    async with serving(pki, carrier=SocketCarrier()) as site:
        idle = await site.connect()
        await idle.send_all(GET)
        await idle.receive_some()
        await wait_all_tasks_blocked()
        site.server.stop_accepting()
        await site.over.wait()

        assert b"" == await receive_all(idle)
        await idle.aclose()


async def test_connection_that_shakes_hands_during_the_stop(pki: Pki, autojump_clock: MockClock) -> None:
    """A connection whose handshake ends after the stop is closed without waiting for a request."""
    async with serving(pki) as site:
        transport = await site.dial()
        await wait_all_tasks_blocked()
        site.server.stop_accepting()
        stream = transport.wrap_tls(pki.client_context(), server_side=False, server_hostname="ums.lab")
        await stream.do_handshake()

        assert b"" == await receive_all(stream)
        await stream.aclose()
        await site.over.wait()
        assert 0 == trio.current_time()


async def test_renewed_certificate_counts_for_new_connections(carrier: Carrier, pki: Pki) -> None:
    """A new context is used from the next connection on; the open ones keep theirs."""
    renewed = pki.server_of(pki.root)
    contexts = [pki.server_context()]
    server = ConnectionServer(
        Echo(), context=lambda: contexts[-1], limits=Limits(), clock=calendar(), server_name="test"
    )
    site = Site(server, carrier, await carrier.listen(), pki)
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(site.run)
            before = await site.connect()
            contexts.append(pki.server_context(renewed))
            after = await site.connect()

            assert _der(pki.server) == before.peer_certificate
            assert _der(renewed) == after.peer_certificate
            await before.send_all(GET)
            assert (await before.receive_some()).startswith(b"HTTP/1.1 200")
            for stream in (before, after):
                await stream.aclose()
            server.stop_accepting()


def _der(identity: Path) -> bytes:
    _, certificate = load_identity(identity)
    return certificate.public_bytes(Encoding.DER)
