# SPDX-License-Identifier: Apache-2.0
"""A network without sockets: named hosts, latency, partitions; ships with the product as trio ships `trio.testing`.

With `trio.testing.MockClock` whole fleets run on it in virtual time. What it models of TCP: order, delivery after the
latency, bounded buffers that push back, clean ends, resets, refused and unanswered connects; a partition holds what is
under way and delivers it when the link heals, as retransmission would. It does not model bandwidth.
"""

from __future__ import annotations

import contextlib
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import trio

from umslab_protocol.machines.mdns_browse import PATIENCE_SECONDS, SETTLE_SECONDS
from umslab_runtime.mdns_memory import Announcements
from umslab_runtime.network import EVERYWHERE, DialError, DialProblem, Listener, ListenError, Network
from umslab_runtime.streams import Address, Transport
from umslab_runtime.tls_memory import MemoryTLSStream
from umslab_runtime.udp_memory import Datagrams, MemoryUdp

if TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence
    from contextlib import AbstractAsyncContextManager

    from umslab_protocol.machines.mdns_browse import Browsed
    from umslab_protocol.values.host_port import HostPort
    from umslab_protocol.values.unit_id import UnitId
    from umslab_runtime.network import Announcement
    from umslab_runtime.tls import TLSStream

_BUFFER_BYTES = 256 * 1024
_FIRST_EPHEMERAL_PORT = 32768
_BACKLOG = 4096


class MemoryNetwork:
    """The cable between the hosts. `host(name)` gives each its own door."""

    def __init__(self, *, latency: float = 0.0) -> None:
        """`latency` is the one-way delay in seconds of every link."""
        self.latency = latency
        self.names: dict[str, str] = {}
        self.listeners: dict[Address, MemoryListener] = {}
        self.datagrams = Datagrams(self.connected)
        self.announcements = Announcements(self.connected)
        self._links: dict[frozenset[str], _Link] = {}
        self._next_port = _FIRST_EPHEMERAL_PORT

    def host(self, name: str, *aliases: str) -> MemoryHost:
        """Return the door of the host with this name; the aliases resolve to it too."""
        for known_as in (name, *aliases):
            self.names[known_as] = name
        return MemoryHost(self, name)

    def partition(self, one: str, other: str) -> None:
        """Cut the link between two hosts: connects go unanswered, bytes under way wait."""
        link = self.link(one, other)
        if link.up.is_set():
            link.up = trio.Event()

    def heal(self, one: str, other: str) -> None:
        """Mend the link; what waited is delivered."""
        link = self.link(one, other)
        link.up.set()
        for transport in link.transports:
            transport.wake()

    def reset(self, one: str, other: str) -> None:
        """Break every connection between two hosts, as a rebooted firewall does."""
        for transport in list(self.link(one, other).transports):
            transport.break_off()

    def connected(self, one: str, other: str) -> bool:
        """Whether datagrams get from one to the other now."""
        return self.link(one, other).up.is_set()

    def link(self, one: str, other: str) -> _Link:
        """Return the link between two hosts."""
        return self._links.setdefault(frozenset((one, other)), _Link())

    def take_port(self) -> int:
        """Return a port nobody has had yet."""
        self._next_port += 1
        return self._next_port


@dataclass
class _Link:
    up: trio.Event = field(default_factory=trio.Event)
    transports: set[MemoryTransport] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.up.set()


class MemoryHost(Network):
    """The network as one host sees it."""

    def __init__(self, network: MemoryNetwork, name: str) -> None:
        self._network = network
        self._name = name

    async def listen(self, host: str, port: int) -> Listener:
        """Listen on this host; the address asked for is replaced by the host's name."""
        del host
        await trio.lowlevel.checkpoint()
        address = Address(self._name, port or self._network.take_port())
        if address in self._network.listeners:
            raise ListenError(f"{address} is in use")
        listener = self._network.listeners[address] = MemoryListener(self._network, address)
        return listener

    async def resolve(self, host: str) -> Sequence[str]:
        """Look the name up among the hosts and their aliases."""
        await trio.lowlevel.checkpoint()
        try:
            return [self._network.names[host]]
        except KeyError:
            raise DialError(DialProblem.NAME_UNKNOWN, f"the name {host} could not be resolved: no such host") from None

    async def dial(self, target: HostPort, *, unit_id: UnitId | None = None) -> Transport:
        """Connect; a cut link leaves the dial waiting, as a silent firewall does. No target policy: nothing leaves."""
        del unit_id
        network = self._network
        (name,) = await self.resolve(target.host)
        link = network.link(self._name, name)
        await trio.sleep(2 * network.latency)
        await link.up.wait()
        listener = network.listeners.get(Address(name, target.port))
        if listener is None:
            where = Address(name, target.port)
            raise DialError(DialProblem.REFUSED, f"{where}: nothing listens there (connection refused)")
        here = Address(self._name, network.take_port())
        there = Address(name, target.port)
        up, down = _Pipe(link, network.latency), _Pipe(link, network.latency)
        listener.offer(MemoryTransport(link, here, incoming=up, outgoing=down))
        return MemoryTransport(link, there, incoming=down, outgoing=up)

    async def udp(self, host: str, port: int, *, interface: str = "") -> MemoryUdp:
        """Open a UDP endpoint of this host and all its aliases, whatever address is asked for."""
        del host, interface
        await trio.lowlevel.checkpoint()
        network = self._network
        address = Address(self._name, port or network.take_port())
        return network.datagrams.open(address, network.names, network.latency)

    def announce(
        self, name: str, port: int, *, on: Sequence[str], user_named: bool = False
    ) -> AbstractAsyncContextManager[Announcement]:
        """Announce a service of this host. No policy: nothing leaves."""
        del on, user_named
        return self._network.announcements.announce(self._name, name, port)

    async def browse(
        self,
        *,
        on: Sequence[str] = (EVERYWHERE,),
        user_named: bool = False,
        patience: float = PATIENCE_SECONDS,
        settle: float = SETTLE_SECONDS,
    ) -> Browsed:
        """Search from this host."""
        del on, user_named
        return await self._network.announcements.browse(self._name, patience=patience, settle=settle)


class MemoryListener(Listener):
    """Waiting connections of one address."""

    def __init__(self, network: MemoryNetwork, address: Address) -> None:
        self._network = network
        self._address = address
        self._send, self._receive = trio.open_memory_channel[MemoryTransport](_BACKLOG)

    @property
    def address(self) -> Address:
        """Where it listens."""
        return self._address

    def offer(self, transport: MemoryTransport) -> None:
        """Put a fresh connection into the backlog."""
        try:
            self._send.send_nowait(transport)
        except trio.WouldBlock:
            transport.abort()
            raise DialError(DialProblem.TIMEOUT, f"{self._address}: no answer (backlog full)") from None

    async def accept(self) -> Transport:
        """Wait for the next connection."""
        try:
            return await self._receive.receive()
        except trio.EndOfChannel:
            raise trio.ClosedResourceError("this listener is closed") from None

    def close(self) -> None:
        """Stop listening; connections nobody accepted are reset."""
        if self._network.listeners.get(self._address) is self:  # and not one that has taken the address since
            del self._network.listeners[self._address]
        self._send.close()
        with contextlib.suppress(trio.EndOfChannel):
            while True:
                self._receive.receive_nowait().break_off()


class _Pipe:
    """One direction of a connection."""

    def __init__(self, link: _Link, latency: float) -> None:
        self._link = link
        self._latency = latency
        self._chunks: deque[tuple[float, bytes]] = deque()
        self._size = 0
        self._lot = trio.lowlevel.ParkingLot()
        self.ended = False  # the writer has closed: after what is under way comes the end
        self._end_at = 0.0
        self.deaf = False  # the reader has closed: the writer learns it after the latency, not while the link is cut
        self._deaf_at = 0.0
        self.broken = False

    @property
    def room(self) -> int:
        return _BUFFER_BYTES - self._size

    def put(self, data: bytes) -> int:
        if self.ended:
            raise trio.ClosedResourceError("this side of the connection is closed")
        if self.broken or (self.deaf and self._link.up.is_set() and self._deaf_at <= trio.current_time()):
            raise trio.BrokenResourceError("the connection was closed by the peer")
        if self.deaf:
            return len(data)  # on its way to nobody
        taken = data[: self.room]
        if taken:
            self._chunks.append((trio.current_time() + self._latency, taken))
            self._size += len(taken)
            self._lot.unpark_all()
        return len(taken)

    def end(self) -> None:
        if not self.ended:
            self.ended = True
            self._end_at = trio.current_time() + self._latency
            self._lot.unpark_all()

    def go_deaf(self) -> None:
        self.deaf = True
        self._deaf_at = trio.current_time() + self._latency
        self._chunks.clear()
        self._size = 0
        self.wake()

    def break_off(self) -> None:
        self.broken = True
        self.wake()

    def wake(self) -> None:
        self._lot.unpark_all()

    async def take(self, most: int, *, leave: bool = False) -> bytes:
        """With `leave` it is still there afterwards."""
        await trio.lowlevel.checkpoint()
        while True:
            if self.deaf:
                raise trio.ClosedResourceError("this connection is closed")
            if self.broken:
                raise trio.BrokenResourceError("the connection was reset")
            if not self._link.up.is_set():
                await self._lot.park()
            elif self._chunks:
                at, data = self._chunks[0]
                if at <= trio.current_time():
                    return data[:most] if leave else self._pop(data, most)
                await trio.sleep_until(at)
            elif self.ended:
                if self._end_at <= trio.current_time():
                    return b""
                await trio.sleep_until(self._end_at)
            else:
                await self._lot.park()

    def _pop(self, data: bytes, most: int) -> bytes:
        at, _ = self._chunks.popleft()
        if len(data) > most:
            self._chunks.appendleft((at, data[most:]))
        self._size -= min(len(data), most)
        self._lot.unpark_all()
        return data[:most]

    async def wait_room(self) -> None:
        await trio.lowlevel.checkpoint()
        while not self.room and not self.broken and not self.ended:
            await self._lot.park()


class MemoryTransport(Transport):
    """One end of a memory connection."""

    def __init__(self, link: _Link, peer: Address, *, incoming: _Pipe, outgoing: _Pipe) -> None:
        self._link = link
        self._peer = peer
        self._in = incoming
        self._out = outgoing
        self._closed = False
        link.transports.add(self)

    @property
    def peer(self) -> Address:
        """The other end."""
        return self._peer

    def wrap_tls(self, context: ssl.SSLContext, *, server_side: bool, server_hostname: str | None = None) -> TLSStream:
        """Put TLS over memory buffers on this connection."""
        return MemoryTLSStream(self, context, server_side=server_side, server_hostname=server_hostname)

    async def peek(self) -> bytes:
        """Look at the next byte; see `Transport.peek`."""
        self._check_open()
        return await self._in.take(1, leave=True)

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Receive at least one byte, or `b""` at the end."""
        self._check_open()
        return await self._in.take(max_bytes or _BUFFER_BYTES)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send everything, waiting for room."""
        rest = bytes(data)
        while rest := rest[self.send_nowait(rest) :]:
            await self._out.wait_room()
        await trio.lowlevel.checkpoint()

    def send_nowait(self, data: bytes) -> int:
        """Send what there is room for."""
        return self._out.put(data)

    async def wait_send_all_might_not_block(self) -> None:
        """Wait for room."""
        self._check_open()
        await self._out.wait_room()

    async def send_eof(self) -> None:
        """Say that nothing more comes."""
        self._check_open()
        self._out.end()
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        """Close both directions."""
        self.abort()
        await trio.lowlevel.checkpoint()

    def abort(self) -> None:
        """Close now; what was sent is still delivered."""
        if not self._closed:
            self._closed = True
            self._out.end()
            self._in.go_deaf()
            self._link.transports.discard(self)

    def break_off(self) -> None:
        """Break both directions, as a reset does."""
        self._in.break_off()
        self._out.break_off()
        self._link.transports.discard(self)

    def wake(self) -> None:
        """Let both directions look again: the link has been mended."""
        self._in.wake()
        self._out.wake()

    def _check_open(self) -> None:
        if self._closed:
            raise trio.ClosedResourceError("this connection is closed")
