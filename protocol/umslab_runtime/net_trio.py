# SPDX-License-Identifier: Apache-2.0
"""The real network."""

from __future__ import annotations

import errno
import math
import os
import socket
from contextlib import asynccontextmanager
from copy import copy
from typing import TYPE_CHECKING, Self

import trio

from umslab_protocol.machines.mdns_browse import PATIENCE_SECONDS, SETTLE_SECONDS
from umslab_runtime.network import EVERYWHERE, DialError, DialProblem, Listener, ListenError, Network
from umslab_runtime.packet import open_packets
from umslab_runtime.policy import LOOPBACK_ONLY, TargetPolicy, TargetRefusedError
from umslab_runtime.streams import Address
from umslab_runtime.tls_socket import SocketTransport
from umslab_runtime.udp import SocketUdp, open_udp

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from umslab_protocol.machines.mdns_browse import Browsed
    from umslab_protocol.values.host_port import HostPort
    from umslab_protocol.values.unit_id import UnitId
    from umslab_runtime.network import Announcement
    from umslab_runtime.packet import PacketEndpoint
    from umslab_runtime.streams import Transport

_BACKLOG = 4096
_IP_BIND_ADDRESS_NO_PORT = 24  # ip(7); the socket module names it only from Python 3.12 on
_BREATHER_SECONDS = 0.1
_OVERLOAD = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS}
_GONE_BEFORE_ACCEPT = {  # accept(2): errors of the connection, not of the listener
    errno.ECONNABORTED,
    errno.EPERM,
    errno.EPROTO,
    errno.ENOPROTOOPT,
    errno.ENETDOWN,
    errno.ENETUNREACH,
    errno.EHOSTDOWN,
    errno.EHOSTUNREACH,
}
_DIAL_PROBLEMS = {
    errno.ECONNREFUSED: DialProblem.REFUSED,
    errno.ETIMEDOUT: DialProblem.TIMEOUT,
    errno.EMFILE: DialProblem.OWN_LIMIT,
    errno.ENFILE: DialProblem.OWN_LIMIT,
    errno.EADDRNOTAVAIL: DialProblem.OWN_LIMIT,
    errno.ENOBUFS: DialProblem.OWN_LIMIT,
    errno.ENOMEM: DialProblem.OWN_LIMIT,
}


class SocketListener(Listener):
    """A listening TCP socket."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        host, port = sock.getsockname()[:2]
        self._address = Address(host, port)

    @property
    def address(self) -> Address:
        """Where it listens."""
        return self._address

    async def accept(self) -> Transport:
        """Wait for the next connection; see `Listener.accept`."""
        while True:
            if self._sock.fileno() < 0:
                raise trio.ClosedResourceError("this listener is closed")
            try:
                sock, peer = self._sock.accept()
            except BlockingIOError:
                await trio.lowlevel.wait_readable(self._sock)
            except OSError as error:
                if error.errno in _OVERLOAD:
                    await trio.sleep(_BREATHER_SECONDS)
                elif error.errno not in _GONE_BEFORE_ACCEPT:
                    raise
            else:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return SocketTransport(sock, Address(peer[0], peer[1]))

    def close(self) -> None:
        """Stop listening."""
        if self._sock.fileno() >= 0:
            trio.lowlevel.notify_closing(self._sock)
            self._sock.close()


ADDRESS_SECONDS = 10.0
"""For each but the last address of a name."""


class TrioNetwork(Network):
    """Sockets, behind the target policy."""

    def __init__(self, policy: TargetPolicy = LOOPBACK_ONLY) -> None:
        self._policy = policy
        self._source = ""

    def calling_from(self, source: str) -> Self:
        """Return the same network, except that its dials come from this IPv4 address of the machine."""
        other = copy(self)
        other._source = source  # noqa: SLF001 - of our own kind
        return other

    async def listen(self, host: str, port: int) -> Listener:
        """Listen on a literal address; IPv6 listeners take IPv6 only, so that both families can have the same port."""
        await trio.lowlevel.checkpoint()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind((host, port))
            sock.listen(_BACKLOG)
        except OSError as error:
            sock.close()
            raise ListenError(_explain_bind(host, port, error)) from error
        return SocketListener(sock)

    async def resolve(self, host: str) -> Sequence[str]:
        """Ask the machine's resolver, in a worker thread."""
        try:
            found = await trio.socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except socket.gaierror as error:
            unknown = error.errno in {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}
            problem = DialProblem.NAME_UNKNOWN if unknown else DialProblem.RESOLVER
            raise DialError(problem, f"the name {host} could not be resolved: {error.strerror}") from error
        except UnicodeError as error:
            raise DialError(DialProblem.NAME_UNKNOWN, f"{host} is not a name DNS can carry") from error
        return list(dict.fromkeys(str(entry[4][0]) for entry in found))

    async def dial(self, target: HostPort, *, unit_id: UnitId | None = None) -> Transport:
        """Connect to the first address that answers; see `Network.dial`.

        One that says nothing gets `ADDRESS_SECONDS` when there are more, so that it does not use up the caller's time.
        """
        failure: DialError | TargetRefusedError | None = None
        addresses = [one for one in await self.resolve(target.host) if not self._source or ":" not in one]
        for address in addresses:
            patience = math.inf if address == addresses[-1] else ADDRESS_SECONDS
            try:
                self._policy.check(address, unit_id)
                with trio.move_on_after(patience):
                    return await _connect(address, target.port, self._source)
                raise DialError(DialProblem.TIMEOUT, f"{Address(address, target.port)}: no answer in {patience:g} s")
            except (DialError, TargetRefusedError) as error:
                failure = failure or error
        raise failure or DialError(DialProblem.NAME_UNKNOWN, f"the name {target.host} has no address")

    async def udp(self, host: str, port: int, *, interface: str = "") -> SocketUdp:
        """Open a UDP endpoint; see `Network.udp`."""
        await trio.lowlevel.checkpoint()
        try:
            return open_udp(host, port, self._policy, interface)
        except OSError as error:
            raise ListenError(_explain_bind(host, port, error)) from error

    async def packets(self, interface: str, *, user_named: bool = False) -> PacketEndpoint:
        """Open a packet endpoint; see `Network.packets`."""
        await trio.lowlevel.checkpoint()
        return open_packets(interface, self._policy, user_named=user_named)

    @asynccontextmanager
    async def announce(
        self, name: str, port: int, *, on: Sequence[str], user_named: bool = False
    ) -> AsyncIterator[Announcement]:
        """Announce by mDNS; see `Network.announce`."""
        from umslab_runtime import mdns  # noqa: PLC0415 - zeroconf is loaded where it is asked for

        async with mdns.announce(name, port, mdns.places_here(on, user_named=user_named)) as announcement:
            yield announcement

    async def browse(
        self,
        *,
        on: Sequence[str] = (EVERYWHERE,),
        user_named: bool = False,
        patience: float = PATIENCE_SECONDS,
        settle: float = SETTLE_SECONDS,
    ) -> Browsed:
        """Search by mDNS; see `Network.browse`."""
        from umslab_runtime import mdns  # noqa: PLC0415 - zeroconf is loaded where it is asked for

        places = mdns.places_here(on, user_named=user_named)
        return await mdns.browse(places, patience=patience, settle=settle)


async def _connect(address: str, port: int, source: str) -> Transport:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        sock = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise _dial_error(address, port, error) from error
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if source:
            _bind_source(sock, source)
        code = sock.connect_ex((address, port))
        if code == errno.EINPROGRESS:
            await trio.lowlevel.wait_writable(sock)
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))
    except OSError as error:
        sock.close()
        raise _dial_error(address, port, error) from error
    except BaseException:
        sock.close()
        raise
    return SocketTransport(sock, Address(address, port))


def _bind_source(sock: socket.socket, source: str) -> None:
    """Call from this address; the port is chosen at the connect, so that each target has all of them."""
    sock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
    try:
        sock.bind((source, 0))
    except OSError as error:
        raise OSError(error.errno, f"{source} cannot be called from: {error.strerror}") from None


def _dial_error(address: str, port: int, error: OSError) -> DialError:
    problem = _DIAL_PROBLEMS.get(error.errno or 0, DialProblem.UNREACHABLE)
    words = {
        DialProblem.REFUSED: "nothing listens there (connection refused)",
        DialProblem.TIMEOUT: "no answer (timed out)",
        DialProblem.OWN_LIMIT: "this machine has no descriptor, port or memory left for it",
    }
    return DialError(problem, f"{Address(address, port)}: {words.get(problem) or error.strerror or error}")


def _explain_bind(host: str, port: int, error: OSError) -> str:
    where = Address(host, port)
    match error.errno:
        case errno.EADDRINUSE:
            return f"{where} is in use: stop the program that listens there or choose another port (0: any free one)"
        case errno.EACCES:
            return f"{where} may not be listened on by this user: choose a port above 1023"
        case errno.EADDRNOTAVAIL:
            return f"{where} is not an address of this machine"
        case _:
            return f"{where} cannot be listened on: {error.strerror or error}"
