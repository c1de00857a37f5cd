# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_runtime.tls: handshakes that fail, what each side learns of it, and that the alert arrives."""

from __future__ import annotations

import re
import ssl
from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from umslab_certs.authority import create_root
from umslab_certs.keys import KeyType
from umslab_runtime.net_trio import TrioNetwork
from umslab_runtime.tls import (
    ALERTS,
    TLSBrokenError,
    TLSError,
    TLSProblem,
    TLSStream,
    explain_ssl_error,
)
from umslab_runtime.tls_memory import MemoryTLSStream

from .carriers import PATIENCE, Carrier, MemoryCarrier, plain_pair, raw_tls_pair, receive_all, tls_pair
from .openssl import s_client
from .pki import DAY, LONG_AGO, PRESENT, Pki

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

    from umslab_runtime.streams import Transport

Contexts = tuple[ssl.SSLContext, ssl.SSLContext]


async def refused_handshake(stream: TLSStream) -> TLSError:
    """Shake hands in vain; return why."""
    with pytest.raises(TLSError) as refused:
        await stream.do_handshake()
    return refused.value


def hello(context: ssl.SSLContext) -> bytes:
    """The first bytes that a client with this context sends."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname="ums.lab")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def blind(maximum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
    """A client's context that takes any certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = maximum
    return context


async def test_old_version_gets_its_alert(carrier: Carrier, contexts: Contexts) -> None:
    """A client of TLS 1.2 reads `protocol version`, byte for byte, and then the end, however much it has sent."""
    async with plain_pair(carrier) as (client, server_end):
        server = server_end.wrap_tls(contexts[0], server_side=True)
        await client.send_all(hello(blind(ssl.TLSVersion.TLSv1_2)) + b"impatient" * 4_000)
        refusals: list[TLSError] = []

        async def serve() -> None:
            refusals.append(await refused_handshake(server))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            answer = await receive_all(client)
            client.abort()

        assert bytes((21, 3, 3, 0, 2, 2, 70)) == answer
        assert [refusal.problem for refusal in refusals] == [TLSProblem.VERSION]


def odd_devices(pki: Pki) -> dict[int, Path]:
    """Client certificates with something wrong about them, by the alert that says so."""
    rogue = create_root("umslab lab EST client CA test", KeyType.P256, now=LONG_AGO)
    return {
        48: pki.device_of(rogue),
        45: pki.device_of(pki.clients, now=PRESENT - 30 * DAY, lifetime=DAY),
        43: pki.server_of(pki.clients),
        42: pki.device_of(pki.clients, now=PRESENT + 30 * DAY),
    }


SERVER_SEES = {
    48: TLSProblem.UNTRUSTED,
    45: TLSProblem.EXPIRED,
    43: TLSProblem.WRONG_USAGE,
    42: TLSProblem.NOT_YET_VALID,
}


@pytest.mark.parametrize("alert", sorted(SERVER_SEES))
async def test_refused_client_reads_why(carrier: Carrier, pki: Pki, alert: int) -> None:
    """The alert of a refused certificate arrives, also at a client that has long been sending."""
    client_context = pki.client_context(odd_devices(pki)[alert])
    seen: list[TLSError] = []

    async def serve() -> None:
        seen.append(await refused_handshake(server))

    async with raw_tls_pair(carrier, pki.server_context(), client_context) as (client, server):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            await client.do_handshake()
            await client.send_all(b"impatient" * 4_000)
            with pytest.raises(TLSBrokenError) as told:
                await client.receive_some()
            client.abort()

        assert alert == told.value.tls.alert
        assert f"TLS alert {alert} ({ALERTS[alert]})" in str(told.value)
        assert [SERVER_SEES[alert]] == [error.problem for error in seen]


def server_on(transport: Transport, pki: Pki, *, in_memory: bool) -> TLSStream:
    """A server's stream of either carrier on the same real connection."""
    if in_memory:
        return MemoryTLSStream(transport, pki.server_context(), server_side=True, server_hostname=None)
    return transport.wrap_tls(pki.server_context(), server_side=True)


@pytest.mark.parametrize("in_memory", [False, True], ids=["socket", "memory"])
@pytest.mark.parametrize("alert", [43, 45, 48])
async def test_openssl_client_reads_why(pki: Pki, alert: int, *, in_memory: bool) -> None:
    """A foreign client sees the number of the alert and no reset."""
    device = str(odd_devices(pki)[alert])
    with trio.fail_after(PATIENCE):
        listener = await TrioNetwork().listen("127.0.0.1", 0)
        async with s_client(listener.address, "-cert", device, "-key", device) as client:
            refusal = await refused_handshake(server_on(await listener.accept(), pki, in_memory=in_memory))
            said = await client.to_the_end()
        listener.close()

    assert SERVER_SEES[alert] is refusal.problem
    assert f"SSL alert number {alert}" in said
    assert "reset" not in said


@pytest.mark.parametrize("in_memory", [False, True], ids=["socket", "memory"])
async def test_openssl_client_updates_keys(pki: Pki, *, in_memory: bool) -> None:
    """A peer that renews its keys and asks for ours to be renewed notices nothing but new keys."""
    device = str(pki.device)
    with trio.fail_after(PATIENCE):
        listener = await TrioNetwork().listen("127.0.0.1", 0)
        async with s_client(listener.address, "-msg", "-cert", device, "-key", device) as client:
            server = server_on(await listener.accept(), pki, in_memory=in_memory)
            await server.do_handshake()
            received = b""
            for turn in (1, 2):
                await client.type(b"K")
                await client.until(b">>> TLS 1.3, Handshake [length 0005], KeyUpdate", turn)
                await client.type(b"line")
                received += await server.receive_some()
                await server.send_all(b"answer")
                await client.until(b"answer", turn)
            await client.leave()
            end = await server.receive_some()
            await server.aclose()
        listener.close()

    assert received == b"line\nline\n"
    assert client.output.count(b"<<< TLS 1.3, Handshake [length 0005], KeyUpdate") == 2
    assert end == b""


async def test_refused_server_reads_why(carrier: Carrier, pki: Pki, subtests: pytest.Subtests) -> None:
    """A client that refuses a server knows the reason, and the server reads it in an alert."""
    rogue = create_root("umslab lab root test", KeyType.P256, now=LONG_AGO)
    past, future = PRESENT - 30 * DAY, PRESENT + 30 * DAY
    cases = [
        (TLSProblem.UNTRUSTED, 48, pki.server_of(rogue), "ums.lab"),
        (TLSProblem.NAME_MISMATCH, 42, pki.server, "other.lab"),
        (TLSProblem.NAME_MISMATCH, 42, pki.server, "127.0.0.9"),
        (TLSProblem.EXPIRED, 45, pki.server_of(pki.root, now=past, lifetime=DAY), "ums.lab"),
        (TLSProblem.NOT_YET_VALID, 42, pki.server_of(pki.root, now=future), "ums.lab"),
        (TLSProblem.WRONG_USAGE, 43, pki.device_of(pki.root), "ums.lab"),
    ]
    for problem, alert, identity, name in cases:
        with subtests.test(problem=problem, name=name):
            seen: dict[str, TLSError] = {}

            async def shake(side: str, stream: TLSStream, seen: dict[str, TLSError] = seen) -> None:
                seen[side] = await refused_handshake(stream)

            contexts = pki.server_context(identity), pki.client_context()
            async with raw_tls_pair(carrier, *contexts, name) as pair, trio.open_nursery() as nursery:
                nursery.start_soon(shake, "client", pair[0])
                nursery.start_soon(shake, "server", pair[1])

            assert (problem, None) == (seen["client"].problem, seen["client"].alert)
            assert (TLSProblem.ALERT, alert) == (seen["server"].problem, seen["server"].alert)


RANDOM = bytes(range(32))
SERVER_HELLO_OF_TLS_1_2 = b"\x16\x03\x03\x00\x2c\x02\x00\x00\x28\x03\x03" + RANDOM + b"\x00\xc0\x2b\x00\x00\x00"


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", TLSProblem.NOT_TLS),
        (b"SSH-2.0-OpenSSH_9.6\r\n", TLSProblem.NOT_TLS),
        (SERVER_HELLO_OF_TLS_1_2, TLSProblem.VERSION),
        (b"", TLSProblem.TRUNCATED),
        (b"\x16\x03\x03\x00\x2c\x02\x00", TLSProblem.TRUNCATED),
        (b"\x16\x03\x03\x00\x04\x02\x00\x00\x00", TLSProblem.OTHER),
    ],
)
async def test_client_names_what_is_no_server(
    carrier: Carrier, contexts: Contexts, answer: bytes, problem: TLSProblem
) -> None:
    """Whatever answers instead of a TLS 1.3 server is named for what it is."""
    async with plain_pair(carrier) as (client_end, server):
        client = client_end.wrap_tls(contexts[1], server_side=False, server_hostname="ums.lab")
        await server.send_all(answer)
        await server.send_eof()

        refusal = await refused_handshake(client)

        assert (problem, None) == (refusal.problem, refusal.alert)
        assert str(refusal) == refusal.detail


async def test_plain_http_client_is_named(carrier: Carrier, contexts: Contexts) -> None:
    """A client that speaks plain HTTP to the TLS port is named, too."""
    async with plain_pair(carrier) as (client, server_end):
        server = server_end.wrap_tls(contexts[0], server_side=True)
        await client.send_all(b"GET / HTTP/1.1\r\n\r\n")
        await client.send_eof()

        refusal = await refused_handshake(server)

        assert TLSProblem.NOT_TLS is refusal.problem


def told_by(alert: int) -> TLSError:
    """What a client makes of a plain alert in answer to its hello."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = blind().wrap_bio(incoming, outgoing)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    incoming.write(bytes((21, 3, 3, 0, 2, 2, alert)))
    with pytest.raises(ssl.SSLError) as told:
        client.do_handshake()
    return explain_ssl_error(told.value)


@pytest.mark.parametrize("alert", sorted(set(ALERTS) - {0}))
def test_every_alert_is_told_by_number_and_name(alert: int) -> None:
    """Each alert that TLS knows is recognised, whatever OpenSSL and Python call it."""
    told = told_by(alert)

    assert (TLSProblem.ALERT, alert) == (told.problem, told.alert)
    assert f"the peer answered with TLS alert {alert} ({ALERTS[alert]})" == told.detail


@pytest.mark.parametrize("alert", [0, 200])
def test_goodbye_and_unknown_alerts_are_other_problems(alert: int) -> None:
    """A goodbye instead of a handshake, and an alert nobody has defined, still give an error with some text."""
    told = told_by(alert)

    assert (told.problem, told.alert) == (TLSProblem.OTHER, None)
    assert re.fullmatch(r"TLS failed: [a-z ]+", told.detail)


def test_end_of_file_is_a_truncation() -> None:
    """Both ways in which Python says that the bytes have ended mean the same."""
    told = [explain_ssl_error(error) for error in (ssl.SSLEOFError(8, "EOF"), ssl.SSLZeroReturnError(6, "closed"))]

    assert [error.problem for error in told] == [TLSProblem.TRUNCATED] * 2


async def test_broken_connection_is_a_truncation(carrier: Carrier, contexts: Contexts) -> None:
    """A peer that vanishes in the middle of the handshake is a TLS error like any other."""
    async with raw_tls_pair(carrier, *contexts) as (client, server):
        server.abort()

        refusal = await refused_handshake(client)

        assert TLSProblem.TRUNCATED is refusal.problem
        with pytest.raises(trio.ClosedResourceError):
            await client.receive_some()


async def test_cancelled_handshake_closes(carrier: Carrier, contexts: Contexts) -> None:
    """A handshake that is cancelled leaves no connection behind."""
    async with plain_pair(carrier) as (client, server_end):
        server = server_end.wrap_tls(contexts[0], server_side=True)
        with trio.CancelScope() as scope:
            scope.cancel()
            await server.do_handshake()

        assert await receive_all(client) == b""


async def test_cancelled_farewell_closes(carrier: Carrier, contexts: Contexts) -> None:
    """A refusal that is cancelled while the peer still may read the alert leaves no connection behind."""
    async with plain_pair(carrier) as (client, server_end):
        server = server_end.wrap_tls(contexts[0], server_side=True)
        await client.send_all(b"GET / HTTP/1.1\r\n\r\n")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.do_handshake)
            await wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()

        with pytest.raises(trio.BrokenResourceError):
            await send_for_ever(client)


async def send_for_ever(stream: Transport) -> None:
    """Send until that fails."""
    while True:
        await stream.send_all(b"x" * 10_000)
        await trio.lowlevel.checkpoint()


async def test_farewell_is_bounded(contexts: Contexts, autojump_clock: MockClock) -> None:
    """A refused peer that neither reads nor leaves, or that sends for ever, does not hold us for long."""
    carrier = MemoryCarrier()
    async with plain_pair(carrier) as (client, server_end):
        server = server_end.wrap_tls(contexts[0], server_side=True)
        await client.send_all(b"GET / HTTP/1.1\r\n\r\n")
        await refused_handshake(server)
        held = trio.current_time()
    async with plain_pair(carrier) as (client, server_end), trio.open_nursery() as nursery:
        server = server_end.wrap_tls(contexts[0], server_side=True)
        nursery.start_soon(send_for_ever, client)
        await refused_handshake(server)
        nursery.cancel_scope.cancel()

        assert pytest.approx(held) == 2.0
        assert held == pytest.approx(trio.current_time())


async def test_last_words_reach_a_peer_that_still_sends(carrier: Carrier, contexts: Contexts) -> None:
    """A stream closed after an error lets the peer read why, although it has sent more than was read."""
    async with tls_pair(carrier, *contexts) as (client, server), trio.open_nursery() as nursery:
        await client.send_all(b"too much " * 4_000)
        await server.receive_some()
        await server.send_all(b"stop")
        nursery.start_soon(server.aclose_after_error)

        assert await receive_all(client) == b"stop"
        client.abort()
