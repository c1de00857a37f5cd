# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_runtime.streams."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from umslab_protocol.values.host_port import HostPort
from umslab_runtime.net_memory import MemoryNetwork
from umslab_runtime.net_trio import TrioNetwork
from umslab_runtime.streams import RECEIVE_BYTES, Address, Stream, Transport

from .carriers import plain_pair, tls_pair

if TYPE_CHECKING:
    from .carriers import Carrier
    from .pki import Pki


@pytest.mark.parametrize(
    ("address", "text"),
    [
        (Address("127.0.0.1", 8443), "127.0.0.1:8443"),
        (Address("::1", 8443), "[::1]:8443"),
        (Address("ums.lab", 1), "ums.lab:1"),
    ],
)
def test_address_reads_like_a_url(address: Address, text: str) -> None:
    """An address is written as people write it, IPv6 in brackets."""
    assert text == str(address)


async def test_all_streams_are_trio_streams(carrier: Carrier, pki: Pki) -> None:
    """What is written against Trio's streams works on ours, plain or with TLS."""
    async with plain_pair(carrier) as plain, tls_pair(carrier, pki.server_context(), pki.client_context()) as secure:
        assert all(isinstance(end, trio.abc.HalfCloseableStream) for end in plain)
        assert not any(isinstance(end, trio.abc.HalfCloseableStream) for end in secure)
        assert issubclass(Transport, Stream)
        assert issubclass(Stream, trio.abc.Stream)


async def test_looking_at_the_next_byte_takes_nothing() -> None:
    """On a socket and in memory; at the end there is nothing to look at."""
    for network, host in ((TrioNetwork(), "127.0.0.1"), (MemoryNetwork().host("here"), "here")):
        listener = await network.listen(host, 0)
        with trio.fail_after(60):
            caller = await network.dial(HostPort(host, listener.address.port))
            called = await listener.accept()
            await caller.send_all(b"ab")

            assert (b"a", b"a", b"a") == (await called.peek(), await called.peek(), await called.receive_some(1))
            assert b"b" == await called.receive_some()
            await caller.send_eof()
            assert b"" == await called.peek()
            called.abort()
            with pytest.raises(trio.ClosedResourceError):
                await called.peek()
        caller.abort()
        listener.close()


async def test_receives_a_whole_record(carrier: Carrier, pki: Pki) -> None:
    """One receive takes a full TLS record."""
    async with tls_pair(carrier, pki.server_context(), pki.client_context()) as (client, server):
        await client.send_all(bytes(2 * RECEIVE_BYTES))

        assert len(await server.receive_some()) == RECEIVE_BYTES
