# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_runtime.tls_socket: plain sockets, and TLS on sockets in bad shape; the rest is in test_tls.py."""

from __future__ import annotations

import secrets
import socket
import struct
from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from umslab_certs.authority import create_root
from umslab_certs.identity import load_identity, save_identity
from umslab_certs.keys import KeyType
from umslab_runtime.tls import TLSError, TLSProblem
from umslab_runtime.tls_socket import SocketTransport

from .carriers import PATIENCE, SocketCarrier, plain_pair, raw_tls_pair, receive_all, receive_exactly
from .pki import PRESENT

if TYPE_CHECKING:
    from umslab_runtime.streams import Transport

    from .pki import Pki

MUCH = secrets.token_bytes(8_000_000)
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


def reset(transport: Transport) -> None:
    """Close a socket so that its peer gets a reset."""
    assert isinstance(transport, SocketTransport)
    transport._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    transport.abort()


async def test_carries_plain_bytes() -> None:
    """Without TLS the transport is an ordinary stream, with as much back-pressure as the kernel gives."""
    async with plain_pair(SocketCarrier()) as (client, server):
        taken = client.send_nowait(MUCH)
        full = client.send_nowait(MUCH[taken:])
        while full:
            taken, full = taken + full, client.send_nowait(MUCH[taken + full :])

        async def send_rest() -> None:
            await client.wait_send_all_might_not_block()
            await client.send_all(MUCH[taken:])
            await client.send_eof()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send_rest)
            received = await receive_all(server)
        await server.send_all(b"and back")

        assert received == MUCH
        assert await client.receive_some(3) == b"and"
        assert await client.receive_some() == b" back"
        assert client.peer.host == "127.0.0.1"


async def test_reset_is_a_broken_connection() -> None:
    """Every call on a connection that the peer has reset says that it is broken."""
    async with plain_pair(SocketCarrier()) as (client, server):
        reset(server)

        with pytest.raises(trio.BrokenResourceError, match="reset"):
            await client.receive_some()
        with pytest.raises(trio.BrokenResourceError):
            client.send_nowait(b"x")
        with pytest.raises(trio.BrokenResourceError):
            await client.send_all(b"x")
        with pytest.raises(trio.BrokenResourceError):
            await client.send_eof()


async def test_closed_transport_refuses_everything() -> None:
    """After closing, every call says that it is we who have closed, and a second close does nothing."""
    async with plain_pair(SocketCarrier()) as (client, _):
        await client.aclose()
        await client.aclose()

        with pytest.raises(trio.ClosedResourceError):
            await client.receive_some()
        with pytest.raises(trio.ClosedResourceError):
            await client.send_all(b"x")
        with pytest.raises(trio.ClosedResourceError):
            await client.wait_send_all_might_not_block()
        with pytest.raises(trio.ClosedResourceError):
            await client.send_eof()


async def test_tls_on_a_closed_transport(pki: Pki) -> None:
    """TLS cannot be put on a connection that is gone, and the error is one of TLS."""
    async with plain_pair(SocketCarrier()) as (client, _):
        client.abort()

        with pytest.raises(TLSError, match="the connection is gone") as refused:
            client.wrap_tls(pki.client_context(), server_side=False, server_hostname="ums.lab")
        assert TLSProblem.TRUNCATED is refused.value.problem


@pytest.mark.parametrize("said", [b"", b"hello"])
async def test_tls_on_a_reset_connection(pki: Pki, said: bytes) -> None:
    """A client that is gone before its connection was accepted, with or without a word, is a refused handshake."""
    async with plain_pair(SocketCarrier()) as (client, server):
        client.send_nowait(said)
        reset(client)

        with pytest.raises(TLSError) as refused:
            await server.wrap_tls(pki.server_context(), server_side=True).do_handshake()
        assert TLSProblem.TRUNCATED is refused.value.problem


async def test_tls_with_a_bad_name_closes(pki: Pki) -> None:
    """A name that no certificate can carry is refused, and the connection is gone."""
    async with plain_pair(SocketCarrier()) as (client, server):
        with pytest.raises(TLSError):
            client.wrap_tls(pki.client_context(), server_side=False, server_hostname="")

        assert await server.receive_some() == b""


async def test_handshake_waits_for_a_slow_reader(pki: Pki) -> None:
    """A server whose chain is longer than the buffers on the way waits until the client takes it."""
    key, certificate = load_identity(pki.server)
    filler = [create_root(f"root {index}", KeyType.P256, now=PRESENT).certificate for index in range(20)]
    fat = pki.folder / "fat.pem"
    save_identity(fat, key, [certificate, *filler * 10])
    async with raw_tls_pair(SmallBuffers(), pki.server_context(fat), pki.client_context()) as (client, server):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.do_handshake)
            nursery.start_soon(client.do_handshake)
        await server.send_all(b"done")

        assert await receive_exactly(client, 4) == b"done"


class SmallBuffers(SocketCarrier):
    """Loopback with as little room as the kernel allows."""

    async def connect(self) -> tuple[Transport, Transport]:
        """As above."""
        listener = await self.listen()
        listener._sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)  # type: ignore[attr-defined]
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        sock.connect((listener.address.host, listener.address.port))
        server = await listener.accept()
        listener.close()
        return SocketTransport(sock, listener.address), server


async def test_cancelled_receive_leaves_the_connection_usable() -> None:
    """A receive that was cancelled has taken nothing."""
    async with plain_pair(SocketCarrier()) as (client, server):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.receive_some)
            await wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        await client.send_all(b"later")

        assert await server.receive_some() == b"later"


async def test_abort_wakes_a_receiver() -> None:
    """A task that waits for data learns that the connection was closed under it."""

    async def receive() -> None:
        with pytest.raises(trio.ClosedResourceError):
            await client.receive_some()

    with trio.fail_after(PATIENCE):
        async with plain_pair(SocketCarrier()) as (client, _), trio.open_nursery() as nursery:
            nursery.start_soon(receive)
            await wait_all_tasks_blocked()
            client.abort()


async def test_delay_is_off() -> None:
    """Small messages leave at once: Nagle's algorithm is off on both ends."""
    async with plain_pair(SocketCarrier()) as ends:
        for transport in ends:
            assert isinstance(transport, SocketTransport)
            assert transport._sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
