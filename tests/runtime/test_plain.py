# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_runtime.plain."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
import trio

from umslab_runtime.plain import PlainStream
from umslab_runtime.tls import LINGER_BYTES

from .carriers import MemoryCarrier, plain_pair, receive_exactly

if TYPE_CHECKING:
    from trio.testing import MockClock

    from .carriers import Carrier


async def test_says_and_hears_what_the_transport_does(carrier: Carrier) -> None:
    """Bytes both ways, the same peer, no TLS, and the end is the end."""
    async with plain_pair(carrier) as (client, transport):
        server = PlainStream(transport)
        await client.send_all(b"ping")
        heard = await receive_exactly(server, 4)
        await server.wait_send_all_might_not_block()
        taken = server.send_nowait(b"po")
        await server.send_all(b"ng")
        answered = await receive_exactly(client, 4)
        await server.aclose()

        assert (b"ping", 2, b"pong") == (heard, taken, answered)
        assert (transport.peer, None, None) == (server.peer, server.version, server.peer_certificate)
        assert b"" == await client.receive_some()
        with pytest.raises(trio.ClosedResourceError):
            await server.send_all(b"more")


async def test_last_words_reach_a_peer_that_still_sends(carrier: Carrier) -> None:
    """What it sends is read away, so that no reset eats them; then the connection is closed."""
    async with plain_pair(carrier) as (client, transport):
        server = PlainStream(transport)
        async with trio.open_nursery() as nursery:
            await client.send_all(bytes(10_000))
            await server.send_all(b"bye")
            nursery.start_soon(server.aclose_after_error)
            assert b"bye" == await receive_exactly(client, 3)
            assert b"" == await client.receive_some()
            await client.aclose()


async def test_patience_with_a_peer_that_never_ends(autojump_clock: MockClock) -> None:
    """It is bounded in bytes and in time."""
    for said in (bytes(2 * LINGER_BYTES), b""):
        async with plain_pair(MemoryCarrier()) as (client, transport):
            client.send_nowait(said)
            began = trio.current_time()
            await PlainStream(transport).aclose_after_error()

            assert trio.current_time() - began <= 2.0


async def test_closing_behind_a_peer_that_is_gone(carrier: Carrier) -> None:
    """Nothing is raised."""
    async with plain_pair(carrier) as (client, transport):
        client.abort()
        server = PlainStream(transport)
        await server.aclose_after_error()
        await server.aclose_after_error()


async def test_abort(carrier: Carrier) -> None:
    """The peer sees the end, one way or the other."""
    async with plain_pair(carrier) as (client, transport):
        PlainStream(transport).abort()
        with suppress(trio.BrokenResourceError):
            assert b"" == await client.receive_some()
