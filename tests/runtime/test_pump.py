# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_runtime.pump: whole sessions over TLS, most of them in virtual time."""

from __future__ import annotations

import gc
import weakref
from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.support.greeting import hello
from umslab_certs.device_communication import make_self_signed
from umslab_certs.identity import save_identity
from umslab_certs.keys import KeyType
from umslab_certs.tls import exact_context_12, server_context_12
from umslab_protocol.errors import LocalProtocolError
from umslab_protocol.machines.carrier import Closed
from umslab_protocol.machines.os11_device import CallingDevice
from umslab_protocol.machines.os11_server import AnsweringServer, Greeted, ServerSide
from umslab_protocol.machines.session_server import SessionRules
from umslab_protocol.values.device_key import DeviceKey
from umslab_protocol.wire.close_codes import CloseCode
from umslab_protocol.wire.codec import JsonCodec
from umslab_protocol.wire.messages import Hello, Welcome
from umslab_runtime.clock import SystemClock
from umslab_runtime.pump import MAX_BACKLOG_BYTES
from umslab_runtime.session_host import open_session_host

from .carriers import MemoryCarrier, tls_pair
from .pki import PRESENT, UNIT_ID
from .sessions import Side, device_machine, server_machine, sessions, text

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

    from umslab_protocol.machines.session import Received
    from umslab_runtime.pump import SessionPump
    from umslab_runtime.session_host import SessionHost

    from .carriers import Carrier
    from .pki import Pki

LONG = "x" * 2_000


async def test_greets_and_carries_messages_in_order(carrier: Carrier, pki: Pki) -> None:
    """After the greeting both sides send at once, and everything arrives in order."""
    async with sessions(pki, carrier=carrier) as (server, device, _):
        for number in range(200):
            server.pump.send(text(f"down {number}"))
            device.pump.send(text(f"up {number}"))
        await device.until(201)
        await server.until(201)

        assert (Hello, Welcome) == (type(server.received[0]), type(device.received[0]))
        assert [f"down {number}" for number in range(200)] == device.texts()
        assert [f"up {number}" for number in range(200)] == server.texts()
        assert server.pump.is_open
        assert device.pump.is_open


async def test_os11_on_tls_1_2(carrier: Carrier, tmp_path: Path) -> None:
    """The same pump carries an OS 11 session: the verdict is given while it waits, and who called says goodbye."""
    certificate, key = make_self_signed(KeyType.P256, now=PRESENT)
    save_identity(tmp_path / "tckey.pem", key, [certificate])
    contexts = server_context_12(tmp_path / "tckey.pem"), exact_context_12(certificate)
    heard: list[object] = []
    async with (
        tls_pair(carrier, *contexts) as (client_stream, server_stream),
        open_session_host(SystemClock(), write_seconds=10) as host,
        trio.open_nursery() as nursery,
    ):
        now = trio.current_time()
        side = ServerSide(codec=JsonCodec(), rules=SessionRules(), server_name="test", session_id="s", nonce=b"s" * 32)
        answering = AnsweringServer(side, now=now)
        secret, unit_hello = DeviceKey(bytes(32)), hello(UNIT_ID)
        calling = CallingDevice(codec=JsonCodec(), hello=unit_hello, key=secret, nonce=b"d" * 32, linger=0.05, now=now)
        device = Side(host.pump(calling, client_stream), client_stream)

        async def decide(received: Received) -> None:
            heard.append(received)
            await trio.lowlevel.checkpoint()
            answering.admit(secret, trio.current_time())

        assert "TLSv1.2" == server_stream.version
        nursery.start_soon(device.run)
        closed = await host.pump(answering, server_stream).run(b"", decide)
        await server_stream.aclose()
        await device.over.wait()

    assert [Greeted(unit_hello, UNIT_ID, 0)] == heard
    assert [Welcome] == [type(message) for message in device.received]
    assert Closed(CloseCode.NORMAL, "all is said", by_peer=True) == closed
    assert Closed(CloseCode.NORMAL, "all is said", by_peer=False) == device.closed


async def test_bytes_behind_the_request_come_first(pki: Pki) -> None:
    """What came behind the HTTP request is the beginning of the session."""
    contexts = pki.server_context(), pki.client_context()
    async with tls_pair(MemoryCarrier(), *contexts) as (_, stream):
        async with open_session_host(SystemClock(), write_seconds=1) as host, trio.open_nursery() as nursery:
            server = Side(host.pump(server_machine(), stream), stream)
            nursery.start_soon(server.run, device_machine().output())
            await server.until(1)
            nursery.cancel_scope.cancel()

        assert [Hello] == [type(message) for message in server.received]


async def test_next_message_waits_for_the_last(pki: Pki) -> None:
    """Messages are given one after the other: while one is being dealt with, nothing more is read."""
    async with sessions(pki) as (server, device, _):
        server.may_go_on = trio.Event()
        for number in range(3):
            device.pump.send(text(str(number)))
        await server.until(2)
        await wait_all_tasks_blocked()
        meanwhile = server.texts()
        server.may_go_on.set()
        await server.until(4)

        assert ["0"] == meanwhile
        assert ["0", "1", "2"] == server.texts()


@pytest.mark.parametrize("closer", ["server", "device"])
async def test_close_reaches_both_sides(carrier: Carrier, pki: Pki, closer: str) -> None:
    """Last words arrive before the goodbye; both sides know the code and who began."""
    async with sessions(pki, carrier=carrier) as (server, device, _):
        begins, follows = (server, device) if closer == "server" else (device, server)
        begins.pump.send(text("last words"))
        begins.pump.close(CloseCode.GOING_AWAY, "the end")
        begins.pump.close(CloseCode.NORMAL, "once more")
        await begins.over.wait()
        await follows.over.wait()

        assert Closed(CloseCode.GOING_AWAY, "the end", by_peer=False) == begins.closed
        assert Closed(CloseCode.GOING_AWAY, "the end", by_peer=True) == follows.closed
        assert ["last words"] == follows.texts()
        assert not begins.pump.is_open
        with pytest.raises(LocalProtocolError):
            begins.pump.send(text("too late"))


async def test_vanished_peer_ends_the_session(carrier: Carrier, pki: Pki) -> None:
    """A connection that is cut ends the session without a goodbye."""
    async with sessions(pki, carrier=carrier) as (server, device, _):
        device.stream.abort()
        await server.over.wait()
        await device.over.wait()

        assert Closed(CloseCode.ABNORMAL, "the connection ended without a goodbye", by_peer=True) == server.closed


# Deadlines.


async def test_missing_greeting_ends_the_session(pki: Pki, autojump_clock: MockClock) -> None:
    """A peer that never greets is told goodbye in time, and left when it does not answer that either."""
    async with sessions(pki, rules=SessionRules(hello_within=10), greet=False) as (server, _, _):
        await server.over.wait()

        assert CloseCode.SILENT == (server.closed and server.closed.code)
        assert 10 < server.ended_at <= 20


async def test_pings_keep_a_session_alive(pki: Pki, autojump_clock: MockClock) -> None:
    """A session in which nobody says anything lives for as long as pings are answered."""
    async with sessions(pki, rules=SessionRules(ping_after=60, pong_within=5)) as (server, device, _):
        await trio.sleep(7_200)

        assert (None, None) == (server.closed, device.closed)


async def test_dead_peer_is_noticed(pki: Pki, autojump_clock: MockClock) -> None:
    """A peer behind a cut link is given up on both sides, in the time the rules say, and nothing hangs."""
    carrier = MemoryCarrier()
    rules = SessionRules(ping_after=60, pong_within=5)
    async with sessions(pki, carrier=carrier, rules=rules) as (server, device, _):
        carrier.network.partition("client", "ums.lab")
        await server.over.wait()
        await device.over.wait()

        assert CloseCode.SILENT == (server.closed and server.closed.code)
        assert CloseCode.SILENT == (device.closed and device.closed.code)
        assert 65 == server.ended_at
        assert 120 <= device.ended_at <= 130


async def test_unanswered_close_ends_anyway(pki: Pki, autojump_clock: MockClock) -> None:
    """A goodbye that nobody answers does not keep the session open."""
    async with sessions(pki) as (server, device, _):
        device.may_go_on = trio.Event()  # reads no further than the next message
        server.pump.send(text("listen"))
        await device.until(2)
        server.pump.close(CloseCode.DEREGISTERED, "go")
        await server.over.wait()

        assert Closed(CloseCode.DEREGISTERED, "go", by_peer=False) == server.closed
        assert 0 < server.ended_at <= 10


async def test_close_while_a_message_is_dealt_with(pki: Pki, autojump_clock: MockClock) -> None:
    """A session that ends while its last message is still being dealt with ends when that is done."""
    async with sessions(pki) as (server, device, _):
        server.may_go_on = trio.Event()
        device.pump.send(text("hard work"))
        await server.until(2)
        server.pump.close(CloseCode.REPLACED, "newer")
        await trio.sleep(60)
        before = server.closed
        server.may_go_on.set()
        await server.over.wait()

        assert before is None
        assert CloseCode.REPLACED == (server.closed and server.closed.code)


# Slow readers.


async def stop_reading(side: Side, other: Side) -> None:
    """Let a side deal with one message for ever."""
    side.may_go_on = trio.Event()
    other.pump.send(text("stop"))
    await side.until(len(side.received) + 1)


async def test_backlog_is_bounded(carrier: Carrier, pki: Pki) -> None:
    """A peer that lets a megabyte pile up is dropped, and what it did not read is let go."""
    async with sessions(pki, carrier=carrier) as (server, device, _):
        await stop_reading(device, server)
        sent = most = 0
        while not server.over.is_set():
            if server.pump.is_open:
                server.pump.send(text(LONG))
                sent += len(LONG)
                most = max(most, len(server.pump._backlog))
            if sent % 50_000 == 0:
                await wait_all_tasks_blocked()

        assert Closed(CloseCode.SLOW_READER, "the peer did not read what it was sent", by_peer=False) == server.closed
        assert MAX_BACKLOG_BYTES * 0.9 < most <= MAX_BACKLOG_BYTES
        assert b"" == server.pump._backlog


async def test_backlog_is_not_kept_for_ever(pki: Pki, autojump_clock: MockClock) -> None:
    """A peer that does not take a backlog in time is dropped, however small it is."""
    async with sessions(pki, write_seconds=30) as (server, device, _):
        await stop_reading(device, server)
        while not server.pump._backlog:
            server.pump.send(text(LONG))
        await server.over.wait()

        assert CloseCode.SLOW_READER == (server.closed and server.closed.code)
        assert 30 == server.ended_at


async def test_backlog_is_delivered_to_a_peer_that_reads_again(carrier: Carrier, pki: Pki) -> None:
    """A peer that was slow for a while gets everything in order, what was said meanwhile included."""
    async with sessions(pki, carrier=carrier) as (server, device, _):
        await stop_reading(device, server)
        count = 0
        while len(server.pump._backlog) < 300_000:
            server.pump.send(text(f"{count} {LONG[:1900]}"))
            count += 1
        device.may_go_on.set()
        await device.until(2 + count)

        assert ["stop"] == device.texts()[:1]
        assert list(range(count)) == [int(said.split()[0]) for said in device.texts()[1:]]
        assert b"" == server.pump._backlog


async def test_last_words_wait_for_a_slow_reader_a_moment(pki: Pki, autojump_clock: MockClock) -> None:
    """At the end a backlog gets a moment to leave; a peer that reads again in it gets every word."""
    async with sessions(pki) as (server, device, _):
        await stop_reading(device, server)
        count = 0
        while len(server.pump._backlog) < 200_000:
            server.pump.send(text(f"{count} {LONG[:1900]}"))
            count += 1
        device.pump.close(CloseCode.NORMAL, "bye")  # the server sees it, answers, and is done
        await wait_all_tasks_blocked()
        still_there = server.closed is None
        await trio.sleep(1)
        device.may_go_on.set()
        await server.over.wait()
        await device.over.wait()

        assert still_there
        assert Closed(CloseCode.NORMAL, "bye", by_peer=True) == server.closed
        assert b"" == server.pump._backlog


async def test_last_words_do_not_wait_for_ever(pki: Pki, autojump_clock: MockClock) -> None:
    """A peer that says goodbye and reads nothing more holds the session for a moment only."""
    async with sessions(pki) as (server, device, _):
        await stop_reading(device, server)
        while not server.pump._backlog:
            server.pump.send(text(LONG))
        device.pump.close(CloseCode.NORMAL, "bye")
        await server.over.wait()

        assert Closed(CloseCode.NORMAL, "bye", by_peer=True) == server.closed
        assert 2 == server.ended_at


async def test_sending_on_a_broken_stream_is_left_to_the_reader(pki: Pki) -> None:
    """A send finds the connection gone and says nothing: the reading task ends the session."""
    async with sessions(pki) as (server, device, _):
        device.stream.abort()
        server.pump.send(text("into the void"))
        await server.over.wait()

        assert CloseCode.ABNORMAL == (server.closed and server.closed.code)


async def test_backlog_of_a_vanished_peer_is_let_go(pki: Pki) -> None:
    """A peer that vanishes with a backlog waiting leaves no helper and no bytes behind."""
    async with sessions(pki) as (server, device, _):
        await stop_reading(device, server)
        while not server.pump._backlog:
            server.pump.send(text(LONG))
        device.stream.abort()
        await server.over.wait()
        await wait_all_tasks_blocked()

        assert CloseCode.ABNORMAL == (server.closed and server.closed.code)
        assert b"" == server.pump._backlog


# Memory.


class Witness:
    """Something that a session keeps alive for as long as it lives."""


async def test_nothing_is_kept_of_a_session(pki: Pki) -> None:
    """When a session has ended, neither the timers nor the host keep anything of it alive."""
    witness = Witness()
    kept = weakref.ref(witness)

    async def live(pump: SessionPump, witness: Witness) -> None:
        async def on_received(_: Received) -> None:
            assert witness is not None

        host.timers.watch(pump)
        await pump.run(device_machine().output(), on_received)

    contexts = pki.server_context(), pki.client_context()
    async with tls_pair(MemoryCarrier(), *contexts) as (client, stream):
        async with open_session_host(SystemClock(), write_seconds=1) as host, trio.open_nursery() as nursery:
            nursery.start_soon(live, host.pump(server_machine(), stream), witness)
            del witness
            await wait_all_tasks_blocked()
            alive = kept() is not None
            watched = len(host.timers._live)
            await client.aclose()
            await wait_all_tasks_blocked()
            gc.collect()

            assert (True, 1) == (alive, watched)
            assert kept() is None
            assert {} == host.timers._live
            assert [] == [entry for entry in host.timers._heap if entry.sleeper is not None]


async def test_idle_session_is_one_task(pki: Pki) -> None:
    """An idle session costs one parked task; its helper for a backlog has gone."""
    async with sessions(pki) as (server, device, _):
        await wait_all_tasks_blocked()
        before = trio.lowlevel.current_statistics().tasks_living
        await stop_reading(device, server)
        while not server.pump._backlog:
            server.pump.send(text(LONG))
        await wait_all_tasks_blocked()
        helping = trio.lowlevel.current_statistics().tasks_living
        device.may_go_on.set()
        while server.pump._backlog:
            await wait_all_tasks_blocked()
        await wait_all_tasks_blocked()

        assert (before + 1, before) == (helping, trio.lowlevel.current_statistics().tasks_living)


async def test_many_sessions_share_the_timers(pki: Pki, autojump_clock: MockClock) -> None:
    """Many idle sessions live on one heap of deadlines for an hour, with one task each."""
    contexts = pki.server_context(), pki.client_context()
    async with open_session_host(SystemClock(), write_seconds=5) as host, trio.open_nursery() as nursery:
        before = trio.lowlevel.current_statistics().tasks_living
        sides: list[Side] = []
        for _ in range(40):
            nursery.start_soon(_one_session, host, contexts, sides)
        await trio.sleep(1)
        for side in sides:
            await side.until(1)
        tasks = trio.lowlevel.current_statistics().tasks_living - before
        await trio.sleep(3_600)

        assert 80 == len(sides)
        assert 80 >= len(host.timers._live)
        assert 120 >= tasks  # two sides and the one who holds their streams
        assert [None] * 80 == [side.closed for side in sides]
        nursery.cancel_scope.cancel()


async def _one_session(host: SessionHost, contexts: tuple[object, object], sides: list[Side]) -> None:
    client_end, server_end = await MemoryCarrier().connect()
    client = client_end.wrap_tls(contexts[1], server_side=False, server_hostname="ums.lab")  # type: ignore[arg-type]
    server = server_end.wrap_tls(contexts[0], server_side=True)  # type: ignore[arg-type]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.do_handshake)
        nursery.start_soon(server.do_handshake)
    both = [Side(host.pump(server_machine(), server), server), Side(host.pump(device_machine(), client), client)]
    sides.extend(both)
    async with trio.open_nursery() as nursery:
        for side in both:
            nursery.start_soon(side.run)
