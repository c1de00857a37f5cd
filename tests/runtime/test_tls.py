# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_runtime.tls: every promise of the TLS stream, on both carriers."""

from __future__ import annotations

import random
import ssl
from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from umslab_runtime.tls import (
    TLSBrokenError,
    TLSProblem,
    TLSStream,
    explain_ssl_error,
)

from .carriers import Carrier, plain_pair, raw_tls_pair, receive_all, receive_exactly, tls_pair

if TYPE_CHECKING:
    from pathlib import Path

    from umslab_runtime.streams import Transport

    from .pki import Pki

MUCH = random.Random(1).randbytes(10_000_000)
"""More than the buffers between two peers hold, on either carrier."""


Contexts = tuple[ssl.SSLContext, ssl.SSLContext]


def fill(stream: TLSStream) -> bytes:
    """Send until the peer's unread buffers are full; return what was taken."""
    taken = 0
    while more := stream.send_nowait(MUCH[taken : taken + 10_000]):
        taken += more
    return MUCH[:taken]


# Handshakes that succeed.


async def test_handshake_tells_version_and_certificates(carrier: Carrier, pki: Pki, contexts: Contexts) -> None:
    """After the handshake both sides know the version and who the other one is."""
    async with tls_pair(carrier, *contexts) as (client, server):
        assert (client.version, server.version) == ("TLSv1.3", "TLSv1.3")
        assert ssl.PEM_cert_to_DER_cert(_certificate_in(pki.server)) == client.peer_certificate
        assert ssl.PEM_cert_to_DER_cert(_certificate_in(pki.device)) == server.peer_certificate
        assert client.peer.port > 0


def _certificate_in(identity: Path) -> str:
    text = identity.read_text()
    return text[text.index("-----BEGIN CERTIFICATE") :]


async def test_client_certificate_is_optional(carrier: Carrier, pki: Pki) -> None:
    """A client without a certificate is let in, and the server sees that it has none."""
    async with tls_pair(carrier, pki.server_context(), pki.client_context()) as (client, server):
        await client.send_all(b"anonymous")

        assert await server.receive_some() == b"anonymous"
        assert server.peer_certificate is None


async def test_older_version_where_it_is_wanted(carrier: Carrier, pki: Pki) -> None:
    """A server that is told to takes TLS 1.2, with the same promises: data, back-pressure, a clean end."""
    server_context, client_context = pki.server_context(), pki.client_context(pki.device)
    server_context.minimum_version = client_context.minimum_version = ssl.TLSVersion.TLSv1_2
    client_context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with tls_pair(carrier, server_context, client_context) as (client, server):
        version, certificate = server.version, server.peer_certificate
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.send_all, MUCH)
            received = await receive_exactly(server, len(MUCH))
        await client.aclose()

        assert received == MUCH
        assert b"" == await server.receive_some()
        assert "TLSv1.2" == version
        assert ssl.PEM_cert_to_DER_cert(_certificate_in(pki.device)) == certificate


async def test_no_version_before_the_handshake(carrier: Carrier, contexts: Contexts) -> None:
    """There is no version before there was a handshake."""
    async with raw_tls_pair(carrier, *contexts) as (client, _):
        assert client.version is None


async def test_one_context_carries_many_identities(carrier: Carrier, pki: Pki) -> None:
    """A shared context presents the certificate it held when the connection was wrapped."""
    one, other = pki.device_of(pki.clients), pki.device_of(pki.clients)
    shared = pki.client_context(one)
    async with plain_pair(carrier) as ends, plain_pair(carrier) as others:
        pairs = []
        for (client_end, server_end), identity in ((ends, one), (others, other)):
            shared.load_cert_chain(identity)
            client = client_end.wrap_tls(shared, server_side=False, server_hostname="ums.lab")
            pairs.append((client, server_end.wrap_tls(pki.server_context(), server_side=True), identity))
        async with trio.open_nursery() as nursery:
            for client, server, _ in pairs:
                nursery.start_soon(client.do_handshake)
                nursery.start_soon(server.do_handshake)

        for client, server, identity in pairs:
            assert ssl.PEM_cert_to_DER_cert(_certificate_in(identity)) == server.peer_certificate
            client.abort()
            server.abort()


# Data.


async def test_carries_data_both_ways(carrier: Carrier, contexts: Contexts) -> None:
    """What one side sends the other receives, in either direction and of any bytes-like type."""
    async with tls_pair(carrier, *contexts) as (client, server):
        await client.send_all(bytearray(b"there"))
        await server.send_all(memoryview(b"and back"))
        await client.send_all(b"")

        assert await server.receive_some() == b"there"
        assert await client.receive_some(3) == b"and"
        assert await client.receive_some() == b" back"


async def test_ten_megabytes_wait_for_the_reader(carrier: Carrier, contexts: Contexts) -> None:
    """A send that the peer does not read waits, and everything arrives once it does."""
    sent = trio.Event()

    async def send() -> None:
        await client.send_all(MUCH)
        sent.set()

    async with tls_pair(carrier, *contexts) as (client, server), trio.open_nursery() as nursery:
        nursery.start_soon(send)
        await wait_all_tasks_blocked()
        waited = not sent.is_set()
        received = await receive_exactly(server, len(MUCH))

        assert waited
        assert received == MUCH
        await sent.wait()


async def test_ten_megabytes_both_ways_at_once(carrier: Carrier, contexts: Contexts) -> None:
    """Two sides that both send a lot and both receive do not wait for each other for ever."""
    async with tls_pair(carrier, *contexts) as (client, server):
        received: dict[str, bytes] = {}

        async def receive(name: str, stream: TLSStream) -> None:
            received[name] = await receive_exactly(stream, len(MUCH))

        async with trio.open_nursery() as nursery:
            for name, stream in (("client", client), ("server", server)):
                nursery.start_soon(stream.send_all, MUCH)
                nursery.start_soon(receive, name, stream)

        assert {"client", "server"} == {name for name, data in received.items() if data == MUCH}


async def test_two_senders_without_a_reader_finish_when_both_read(carrier: Carrier, contexts: Contexts) -> None:
    """Two sides whose buffers are full of unsent data still read, as on a socket."""
    async with tls_pair(carrier, *contexts) as (client, server):
        sent = {"client": fill(client), "server": fill(server)}

        assert sent["server"] == await receive_exactly(client, len(sent["server"]))
        assert sent["client"] == await receive_exactly(server, len(sent["client"]))


async def test_second_sender_is_told_to_wait(carrier: Carrier, contexts: Contexts) -> None:
    """Two sends would mix their records: the second one is refused, and one that must not wait takes nothing."""
    async with tls_pair(carrier, *contexts) as (client, server), trio.open_nursery() as nursery:
        nursery.start_soon(client.send_all, MUCH)
        await wait_all_tasks_blocked()

        with pytest.raises(trio.BusyResourceError, match="another task is sending"):
            await client.send_all(b"x")
        assert client.send_nowait(b"x") == 0
        assert await receive_exactly(server, len(MUCH)) == MUCH


async def test_send_nowait_takes_what_fits_and_goes_on_where_it_stopped(carrier: Carrier, contexts: Contexts) -> None:
    """A send that never waits takes a part; the rest, sent later in any way, continues it byte by byte."""
    async with tls_pair(carrier, *contexts) as (client, server):
        taken = client.send_nowait(MUCH)

        async def send_rest() -> None:
            rest = MUCH[taken:]
            while len(rest) > len(MUCH) // 2:
                await client.wait_send_all_might_not_block()
                rest = rest[client.send_nowait(rest) :]
            await client.send_all(rest)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send_rest)
            received = await receive_exactly(server, len(MUCH))

        assert taken < len(MUCH)
        assert received == MUCH


async def test_everything_that_send_nowait_took_arrives(carrier: Carrier, contexts: Contexts) -> None:
    """What was taken needs no further call: a stream that has gone quiet owes its peer nothing."""
    async with tls_pair(carrier, *contexts) as (client, server):
        taken = fill(client)

        assert taken == await receive_exactly(server, len(taken))


async def test_receiving_is_fair(carrier: Carrier, contexts: Contexts) -> None:
    """A receiver whose data is always there lets other tasks run now and then."""
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    async with tls_pair(carrier, *contexts) as (client, server), trio.open_nursery() as nursery:
        await server.send_all(b"x" * 10_000)
        await client.receive_some(1)
        nursery.start_soon(count_turns)
        for _ in range(1_000):
            await client.receive_some(1)
        nursery.cancel_scope.cancel()

        assert turns > 1_000 // 20


async def test_cancelled_receive_loses_nothing(carrier: Carrier, contexts: Contexts) -> None:
    """A receive that is cancelled, also while data is there, has taken nothing."""
    text = bytes(range(100))
    async with tls_pair(carrier, *contexts) as (client, server):
        await server.send_all(text)
        received = await client.receive_some(1)
        with trio.CancelScope() as scope:
            scope.cancel()
            while True:
                received += await client.receive_some(1)
        rest = await receive_exactly(client, len(text) - len(received))

        assert text == received + rest


# The end.


async def test_close_is_a_clean_end(carrier: Carrier, contexts: Contexts) -> None:
    """The peer of a closed stream reads the rest and then the end, as often as it asks."""
    async with tls_pair(carrier, *contexts) as (client, server):
        await client.send_all(b"last words")
        await client.aclose()
        await client.aclose()

        assert await receive_all(server) == b"last words"
        assert await server.receive_some() == b""


async def test_missing_goodbye_is_no_clean_end(carrier: Carrier, contexts: Contexts) -> None:
    """A connection cut without close_notify is an error: somebody may have cut it short."""
    async with tls_pair(carrier, *contexts) as (client, server):
        await client.send_all(b"pay 10")
        client.abort()

        assert await server.receive_some() == b"pay 10"
        with pytest.raises(TLSBrokenError, match="in the middle of TLS") as broken:
            await server.receive_some()
        assert TLSProblem.TRUNCATED is broken.value.tls.problem
        with pytest.raises(trio.BrokenResourceError):
            await server.receive_some()
        await server.aclose()


async def test_forged_record_breaks_the_stream(carrier: Carrier, contexts: Contexts) -> None:
    """A byte changed on the way breaks the stream, and the peer hears of it by an alert."""
    async with plain_pair(carrier) as (client_end, server_end):
        server = server_end.wrap_tls(contexts[0], server_side=True)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = contexts[1].wrap_bio(incoming, outgoing, server_hostname="ums.lab")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.do_handshake)
            await _shake_hands(client, incoming, outgoing, client_end)
        client.write(b"attack at dawn")
        record = bytearray(outgoing.read())
        record[-1] ^= 1
        await client_end.send_all(bytes(record))

        with pytest.raises(TLSBrokenError):
            await server.receive_some()
        incoming.write(await client_end.receive_some())
        with pytest.raises(ssl.SSLError) as told:
            client.read()
        assert explain_ssl_error(told.value).alert == 20
        server.abort()


async def _shake_hands(
    client: ssl.SSLObject, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, transport: Transport
) -> None:
    while True:
        try:
            client.do_handshake()
        except ssl.SSLWantReadError:
            await transport.send_all(outgoing.read())
            incoming.write(await transport.receive_some())
        else:
            await transport.send_all(outgoing.read())
            return


async def test_cancelled_send_breaks_the_stream(carrier: Carrier, contexts: Contexts) -> None:
    """After a send was cancelled half way nothing can be sent or received any more: a record may be half sent."""
    async with tls_pair(carrier, *contexts) as (client, server):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.send_all, MUCH)
            await wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()

        with pytest.raises(trio.BrokenResourceError):
            await client.send_all(b"x")
        with pytest.raises(trio.BrokenResourceError):
            client.send_nowait(b"x")
        with pytest.raises(trio.BrokenResourceError):
            await client.receive_some()
        await client.aclose()
        with pytest.raises(TLSBrokenError):
            await receive_all(server)


async def test_peer_that_is_gone_breaks_sending(carrier: Carrier, contexts: Contexts) -> None:
    """Sending to a peer that has gone ends in a broken stream, waiting or not."""
    async with tls_pair(carrier, *contexts) as (client, server), tls_pair(carrier, *contexts) as (other, gone):
        server.abort()
        gone.abort()

        with pytest.raises(TLSBrokenError) as broken:
            await client.send_all(MUCH)
        assert TLSProblem.TRUNCATED is broken.value.tls.problem
        with pytest.raises(TLSBrokenError):
            fill(other)


async def test_closed_stream_refuses_everything(carrier: Carrier, contexts: Contexts) -> None:
    """After closing, every call says that it is we who have closed."""
    async with tls_pair(carrier, *contexts) as (client, _):
        await client.aclose()

        with pytest.raises(trio.ClosedResourceError):
            await client.send_all(b"x")
        with pytest.raises(trio.ClosedResourceError):
            client.send_nowait(b"x")
        with pytest.raises(trio.ClosedResourceError):
            await client.receive_some()
        with pytest.raises(trio.ClosedResourceError):
            await client.wait_send_all_might_not_block()
        await client.aclose_after_error()


async def test_abort_wakes_everybody_who_waits(carrier: Carrier, contexts: Contexts) -> None:
    """A receiver, a sender and one who waits to send learn that the stream was closed under them."""
    ended: list[str] = []

    async def closed(name: str, call: object) -> None:
        with pytest.raises(trio.ClosedResourceError):
            await call()  # type: ignore[operator]
        ended.append(name)

    async def wait_and_send() -> None:
        await client.wait_send_all_might_not_block()
        client.send_nowait(b"x")

    async with tls_pair(carrier, *contexts) as (client, _):
        fill(client)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(closed, "receiver", client.receive_some)
            nursery.start_soon(closed, "waiter", wait_and_send)
            nursery.start_soon(closed, "other waiter", wait_and_send)
            await wait_all_tasks_blocked()
            client.abort()

        assert sorted(ended) == ["other waiter", "receiver", "waiter"]


async def test_abort_in_the_moment_data_arrives(carrier: Carrier, contexts: Contexts) -> None:
    """A receiver that was woken by data but runs only after the stream was closed sees it closed, nothing else."""
    outcomes: list[str] = []

    async def receive(stream: TLSStream) -> None:
        try:
            await stream.receive_some()
        except trio.ClosedResourceError:
            outcomes.append("closed")
        else:
            outcomes.append("data")

    for _ in range(8):  # Trio runs the tasks of one turn in either order
        async with tls_pair(carrier, *contexts) as (client, server), trio.open_nursery() as nursery:
            nursery.start_soon(receive, client)
            await wait_all_tasks_blocked()
            server.send_nowait(b"x")
            await trio.lowlevel.checkpoint()
            client.abort()

    assert len(outcomes) == 8
