# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_runtime.net_memory: what it models of TCP; what both networks promise is in test_network.py."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from umslab_protocol.values.host_port import HostPort
from umslab_runtime import net_memory
from umslab_runtime.net_memory import MemoryNetwork
from umslab_runtime.network import DialError, DialProblem

from .carriers import receive_all, receive_exactly

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trio.testing import MockClock

    from umslab_runtime.streams import Transport

FULL = 256 * 1024
TARGET = HostPort("server", 443)


@asynccontextmanager
async def pair(network: MemoryNetwork) -> AsyncIterator[tuple[Transport, Transport]]:
    """A connection from `client` to `server`."""
    listener = await network.host("server").listen("0.0.0.0", 443)
    client = await network.host("client").dial(TARGET)
    server = await listener.accept()
    listener.close()
    try:
        yield client, server
    finally:
        client.abort()
        server.abort()


# Names.


async def test_aliases_lead_to_their_host() -> None:
    """A host is found under its name and its aliases, and under no other."""
    network = MemoryNetwork()
    door = network.host("server", "igelrmserver", "ums.lab")

    assert await door.resolve("server") == ["server"]
    assert await network.host("client").resolve("igelrmserver") == ["server"]
    with pytest.raises(DialError, match="the name other could not be resolved") as unknown:
        await door.resolve("other")
    assert DialProblem.NAME_UNKNOWN is unknown.value.problem


async def test_each_end_sees_the_other_hosts_name() -> None:
    """Addresses on the memory network are host names and ports."""
    async with pair(MemoryNetwork()) as (client, server):
        assert (client.peer.host, client.peer.port) == ("server", 443)
        assert server.peer.host == "client"


# Time.


async def test_latency_of_connecting_and_sending(autojump_clock: MockClock) -> None:
    """A connect takes a round trip, a byte half of one; answers in flight do not add up."""
    async with pair(MemoryNetwork(latency=0.5)) as (client, server):
        connected = trio.current_time()
        await client.send_all(b"one")
        await client.send_all(b"two")
        sent = trio.current_time()

        assert await server.receive_some() == b"one"
        assert await server.receive_some() == b"two"
        assert (connected, sent, trio.current_time()) == (1.0, 1.0, 1.5)
        await client.aclose()
        assert await server.receive_some() == b""
        assert trio.current_time() == 2.0


async def test_end_does_not_overtake_data(autojump_clock: MockClock) -> None:
    """What was sent before closing is delivered, and then the end."""
    async with pair(MemoryNetwork(latency=0.5)) as (client, server):
        await client.send_all(b"in flight")
        await client.aclose()

        assert await receive_all(server) == b"in flight"
        assert await server.receive_some() == b""


# Back-pressure.


async def test_full_pipe_waits_for_its_reader() -> None:
    """A sender whose peer does not read waits, in order and without losing a byte."""
    text = bytes(range(256)) * 4_096
    async with pair(MemoryNetwork()) as (client, server), trio.open_nursery() as nursery:
        nursery.start_soon(client.send_all, text)
        await wait_all_tasks_blocked()

        assert client.send_nowait(b"x") == 0
        assert text == await receive_exactly(server, len(text))


async def test_room_is_waited_for() -> None:
    """Waiting for room ends as soon as the reader has taken something."""
    async with pair(MemoryNetwork()) as (client, server):
        client.send_nowait(bytes(FULL))
        woken = trio.Event()

        async def wait() -> None:
            await client.wait_send_all_might_not_block()
            woken.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            await wait_all_tasks_blocked()
            before = woken.is_set()
            await server.receive_some(1)

        assert (before, woken.is_set()) == (False, True)
        assert client.send_nowait(b"xyz") == 1


async def test_small_receives_take_part_of_a_chunk() -> None:
    """The size asked for is kept, and the rest comes next."""
    async with pair(MemoryNetwork()) as (client, server):
        await client.send_all(b"abcdef")

        assert [await server.receive_some(size) for size in (2, 3, 4)] == [b"ab", b"cde", b"f"]


# Partitions.


async def test_cut_link_holds_everything_until_it_heals(autojump_clock: MockClock) -> None:
    """Bytes under way, new bytes and the end wait for the link, in order."""
    network = MemoryNetwork(latency=0.5)
    async with pair(network) as (client, server):
        await client.send_all(b"before ")
        network.partition("client", "server")
        network.partition("client", "server")
        await client.send_all(b"during")
        await client.aclose()
        received: list[bytes] = []

        async def receive() -> None:
            received.append(await receive_all(server))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(receive)
            await trio.sleep(1_000)
            held = list(received)
            network.heal("server", "client")

        assert held == []
        assert received == [b"before during"]
        assert trio.current_time() == 1_001


async def test_cut_link_leaves_dials_waiting(autojump_clock: MockClock) -> None:
    """A connect over a cut link is not answered, whether it was cut before or while connecting."""
    network = MemoryNetwork(latency=0.5)
    listener = await network.host("server").listen("0.0.0.0", 443)
    network.partition("client", "server")
    connected: list[float] = []

    async def dial() -> None:
        transport = await network.host("client").dial(TARGET)
        connected.append(trio.current_time())
        transport.abort()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(dial)
        await trio.sleep(10)
        network.heal("client", "server")
        await trio.sleep(10)
        nursery.start_soon(dial)
        await trio.sleep(0.5)
        network.partition("client", "server")
        await trio.sleep(10)
        network.heal("client", "server")
    listener.close()

    assert connected == [10.0, 30.5]


async def test_close_is_not_held_by_a_cut_link() -> None:
    """A task that waits on a cut link learns at once that its own side has closed."""
    network = MemoryNetwork()
    async with pair(network) as (client, server), trio.open_nursery() as nursery:
        network.partition("client", "server")
        nursery.start_soon(_expect_closed, server)
        await wait_all_tasks_blocked()
        server.abort()

        assert client.send_nowait(b"abc") == 3  # the news waits for the link
        network.heal("client", "server")
        with pytest.raises(trio.BrokenResourceError):
            client.send_nowait(b"def")


async def _expect_closed(transport: Transport) -> None:
    with pytest.raises(trio.ClosedResourceError):
        await transport.receive_some()


async def test_other_links_are_not_cut() -> None:
    """A partition concerns one pair of hosts."""
    network = MemoryNetwork()
    network.partition("client", "elsewhere")
    async with pair(network) as (client, server):
        await client.send_all(b"through")

        assert await server.receive_some() == b"through"


# Ends and resets.


async def test_sender_learns_after_the_latency_that_its_peer_has_gone(autojump_clock: MockClock) -> None:
    """Bytes sent to a peer that has just closed are lost; later ones fail."""
    async with pair(MemoryNetwork(latency=0.5)) as (client, server):
        server.abort()
        lost = client.send_nowait(b"lost")
        await trio.sleep(0.5)

        assert lost == 4
        with pytest.raises(trio.BrokenResourceError, match="closed by the peer"):
            await client.send_all(b"late")


async def test_close_wakes_a_sender_on_either_side() -> None:
    """A sender that waits for room learns that its own side has closed, or that its peer has."""
    outcomes: list[type[BaseException]] = []

    async def send(transport: Transport) -> None:
        with pytest.raises((trio.ClosedResourceError, trio.BrokenResourceError)) as failed:
            await transport.send_all(bytes(2 * FULL))
        outcomes.append(failed.type)

    for closes_itself in (True, False):
        async with pair(MemoryNetwork()) as (client, server), trio.open_nursery() as nursery:
            nursery.start_soon(send, client)
            await wait_all_tasks_blocked()
            (client if closes_itself else server).abort()

    assert [trio.ClosedResourceError, trio.BrokenResourceError] == outcomes


async def test_reset_breaks_both_ends() -> None:
    """A reset breaks every connection between two hosts, for those who wait and those who come later."""
    network = MemoryNetwork()
    broken: list[str] = []

    async def receive(name: str, transport: Transport) -> None:
        with pytest.raises(trio.BrokenResourceError, match="reset"):
            await transport.receive_some()
        broken.append(name)

    async with pair(network) as (client, server):
        await client.send_all(b"lost")
        network.partition("client", "server")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(receive, "client", client)
            await wait_all_tasks_blocked()
            network.reset("server", "client")
        await receive("server", server)

        assert broken == ["client", "server"]
        with pytest.raises(trio.BrokenResourceError):
            await server.send_all(b"x")


async def test_closed_transport_refuses_everything() -> None:
    """After closing, every call says that it is we who have closed; a second close does nothing."""
    async with pair(MemoryNetwork()) as (client, _):
        await client.aclose()
        await client.aclose()

        for call in (client.receive_some, client.wait_send_all_might_not_block, client.send_eof):
            with pytest.raises(trio.ClosedResourceError):
                await call()
        with pytest.raises(trio.ClosedResourceError):
            await client.send_all(b"x")


async def test_nothing_is_kept_of_closed_connections() -> None:
    """The network forgets connections that both sides have closed."""
    network = MemoryNetwork()
    async with pair(network):
        open_ends = len(network.link("client", "server").transports)

    assert open_ends == 2
    assert set() == network.link("client", "server").transports


# Listeners.


async def test_full_backlog_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A listener whose backlog is full lets no more connections in, and nothing is kept of them."""
    monkeypatch.setattr(net_memory, "_BACKLOG", 1)
    network = MemoryNetwork()
    listener = await network.host("server").listen("0.0.0.0", 443)
    first = await network.host("client").dial(TARGET)

    with pytest.raises(DialError, match="backlog full") as full:
        await network.host("client").dial(TARGET)
    assert DialProblem.TIMEOUT is full.value.problem
    assert len(network.link("client", "server").transports) == 2
    listener.close()
    first.abort()


async def test_late_second_close_spares_a_new_listener() -> None:
    """Closing a listener again does not close the one that has its address by now."""
    network = MemoryNetwork()
    door = network.host("server")
    old = await door.listen("0.0.0.0", 443)
    old.close()
    new = await door.listen("0.0.0.0", 443)
    old.close()

    client = await network.host("client").dial(TARGET)
    server = await new.accept()
    assert server.peer.host == "client"
    for closing in (client, server):
        closing.abort()
    new.close()


async def test_listeners_share_ports_across_hosts() -> None:
    """Every host has ports of its own."""
    network = MemoryNetwork()
    listeners = [await network.host(name).listen("127.0.0.1", 443) for name in ("one", "other")]

    assert [str(listener.address) for listener in listeners] == ["one:443", "other:443"]
    for listener in listeners:
        listener.close()
