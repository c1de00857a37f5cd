# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_runtime.tls_memory: what only the memory carrier has; the rest is in test_tls.py, for both."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from umslab_runtime.tls import TLSBrokenError, TLSError, TLSProblem, TLSStream
from umslab_runtime.tls_memory import MemoryTLSStream

from .carriers import MemoryCarrier, SocketCarrier, plain_pair, raw_tls_pair, receive_all, receive_exactly, tls_pair

if TYPE_CHECKING:
    from trio.testing import MockClock

    from .pki import Pki

MUCH = bytes(range(256)) * 4_000  # more than the pipes of the memory network hold


async def test_runs_over_sockets_too(pki: Pki) -> None:
    """The memory carrier works over any transport and gets on with the socket carrier."""
    async with plain_pair(SocketCarrier()) as (client_end, server_end):
        server = MemoryTLSStream(server_end, pki.server_context(), server_side=True, server_hostname=None)
        client = client_end.wrap_tls(pki.client_context(), server_side=False, server_hostname="ums.lab")

        async def talk() -> None:
            await client.do_handshake()
            await client.send_all(MUCH)
            await client.aclose()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(talk)
            await server.do_handshake()
            received = await receive_all(server)
        await server.aclose()

    assert received == MUCH


async def test_evidence_is_byte_exact(pki: Pki) -> None:
    """Everything the stream puts on the wire can be read off it: here its hello and nothing else."""
    async with plain_pair(MemoryCarrier()) as (client_end, wire):
        client = client_end.wrap_tls(pki.client_context(), server_side=False, server_hostname="ums.lab")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.do_handshake)
            hello = await wire.receive_some()
            await wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()

        assert (22, len(hello) - 5) == (hello[0], int.from_bytes(hello[3:5], "big"))
        assert await wire.receive_some() == b""


async def test_reset_during_the_handshake(pki: Pki) -> None:
    """A connection that is reset in the middle of the handshake is a TLS error, for both sides."""
    carrier = MemoryCarrier()
    problems: list[TLSProblem] = []

    async def shake(stream: TLSStream) -> None:
        with pytest.raises(TLSError) as refused:
            await stream.do_handshake()
        problems.append(refused.value.problem)

    async with raw_tls_pair(carrier, pki.server_context(), pki.client_context()) as (_, server):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(shake, server)
            await wait_all_tasks_blocked()
            carrier.network.reset("ums.lab", "client")
    async with raw_tls_pair(carrier, pki.server_context(), pki.client_context()) as (client, _):
        carrier.network.reset("ums.lab", "client")
        await shake(client)

    assert problems == [TLSProblem.TRUNCATED] * 2


async def test_reset_of_a_stream(pki: Pki) -> None:
    """A reset breaks receiving and sending with an error that names TLS, as on a socket."""
    carrier = MemoryCarrier()
    async with tls_pair(carrier, pki.server_context(), pki.client_context()) as (client, server):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_expect_broken, client)
            await wait_all_tasks_blocked()
            carrier.network.reset("ums.lab", "client")

        with pytest.raises(TLSBrokenError, match="the connection was closed by the peer"):
            server.send_nowait(b"x")


async def _expect_broken(stream: TLSStream) -> None:
    with pytest.raises(TLSBrokenError) as broken:
        await stream.receive_some()
    assert TLSProblem.TRUNCATED is broken.value.tls.problem


async def test_slow_reader_bounds_what_is_taken(pki: Pki) -> None:
    """What a peer does not read is not taken from the caller for ever, so memory stays bounded."""
    async with tls_pair(MemoryCarrier(), pki.server_context(), pki.client_context()) as (client, server):
        first = server.send_nowait(MUCH)
        second = server.send_nowait(MUCH[first:])

        assert second == 0
        assert first <= 256 * 1024
        assert MUCH[:first] == await receive_exactly(client, first)
        assert server.send_nowait(MUCH[first:]) > 0


async def test_cancelled_flush_goes_on_later(pki: Pki) -> None:
    """Waiting for room can be given up without losing a byte."""
    async with tls_pair(MemoryCarrier(), pki.server_context(), pki.client_context()) as (client, server):
        taken = server.send_nowait(MUCH)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.wait_send_all_might_not_block)
            await wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.send_all, MUCH[taken:])
            received = await receive_exactly(client, len(MUCH))

    assert received == MUCH


async def test_close_gives_up_on_a_peer_that_does_not_read(pki: Pki, autojump_clock: MockClock) -> None:
    """Closing waits a moment for what is still under way, and no longer."""
    async with tls_pair(MemoryCarrier(), pki.server_context(), pki.client_context()) as (_, server):
        server.send_nowait(MUCH)
        await server.aclose()

    assert pytest.approx(trio.current_time()) == 2.0


async def test_bad_server_name_is_our_own_mistake(pki: Pki) -> None:
    """A name that no certificate can carry is refused before anything is sent."""
    async with plain_pair(MemoryCarrier()) as (client_end, _):
        with pytest.raises(ValueError, match="server_hostname"):
            client_end.wrap_tls(pki.client_context(), server_side=False, server_hostname="")
