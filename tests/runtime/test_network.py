# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_runtime.network: what both networks promise, on both."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from umslab_protocol.values.host_port import HostPort
from umslab_runtime.network import DialError, DialProblem, ListenError

from .carriers import PATIENCE, plain_pair

if TYPE_CHECKING:
    from .carriers import Carrier


async def test_dial_reaches_the_listener(carrier: Carrier) -> None:
    """Both ends know each other's address and carry bytes both ways."""
    async with plain_pair(carrier) as (client, server):
        await client.send_all(b"there")
        await server.send_all(b"back")

        assert (await server.receive_some(), await client.receive_some()) == (b"there", b"back")
        assert client.peer.port != server.peer.port


async def test_end_of_one_direction(carrier: Carrier) -> None:
    """One side may have said all it has to say while the other goes on."""
    async with plain_pair(carrier) as (client, server):
        await client.send_all(b"question")
        await client.send_eof()

        assert (await server.receive_some(), await server.receive_some()) == (b"question", b"")
        await server.send_all(b"answer")
        assert await client.receive_some() == b"answer"
        with pytest.raises((trio.ClosedResourceError, trio.BrokenResourceError)):
            await client.send_all(b"more")


async def test_port_zero_takes_a_free_port(carrier: Carrier) -> None:
    """Two listeners that ask for any port get different ones, and say which."""
    one, other = await carrier.listen(), await carrier.listen()

    assert len({0, one.address.port, other.address.port}) == 3
    one.close()
    other.close()


async def test_nobody_listens(carrier: Carrier) -> None:
    """A port that nobody listens on refuses at once, and the message names it."""
    listener = await carrier.listen()
    target = carrier.target(listener)
    listener.close()
    listener.close()

    with trio.fail_after(PATIENCE), pytest.raises(DialError) as refused:
        await carrier.client.dial(target)
    assert DialProblem.REFUSED is refused.value.problem
    assert f"{target}: nothing listens there (connection refused)" == refused.value.detail == str(refused.value)


async def test_closed_listener_wakes_its_waiter(carrier: Carrier) -> None:
    """A task that waits for connections learns that the listener was closed, and so does the next."""
    listener = await carrier.listen()

    async def accept() -> None:
        with pytest.raises(trio.ClosedResourceError):
            await listener.accept()

    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(accept)
            await wait_all_tasks_blocked()
            listener.close()
        await accept()


async def test_connections_nobody_accepted_are_reset(carrier: Carrier) -> None:
    """Closing a listener ends the connections that wait in its backlog."""
    listener = await carrier.listen()
    with trio.fail_after(PATIENCE):
        client = await carrier.client.dial(carrier.target(listener))
        listener.close()

        with pytest.raises(trio.BrokenResourceError):
            await client.receive_some()
        client.abort()


async def test_address_is_taken_once(carrier: Carrier) -> None:
    """A second listener on the same address is refused with its name; closing frees it."""
    listener = await carrier.listen()
    network = carrier.client if carrier.target(listener).host == "127.0.0.1" else carrier.server  # type: ignore[attr-defined]
    host, port = listener.address.host, listener.address.port

    with pytest.raises(ListenError, match=rf"{port} is in use"):
        await network.listen(host, port)
    listener.close()
    again = await network.listen(host, port)
    listener.close()
    client = await carrier.client.dial(HostPort(host, port))
    client.abort()
    again.close()


async def test_unknown_name(carrier: Carrier) -> None:
    """A name nobody has is told from every other failure."""
    name = "x" * 64  # no DNS name, so nobody is asked

    with trio.fail_after(PATIENCE), pytest.raises(DialError, match=name) as unknown:
        await carrier.client.dial(HostPort(name, 8443))
    assert DialProblem.NAME_UNKNOWN is unknown.value.problem
