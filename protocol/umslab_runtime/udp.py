# SPDX-License-Identifier: Apache-2.0
"""UDP endpoints: the part of the door for datagrams."""

from __future__ import annotations

import errno
import socket
import struct
from abc import ABC, abstractmethod
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import trio

from umslab_runtime.namespaces import Whereabouts, whereabouts
from umslab_runtime.policy import EVERYBODY, TargetRefusedError, effective_address
from umslab_runtime.streams import Address, known_address

if TYPE_CHECKING:
    from umslab_protocol.values.unit_id import UnitId
    from umslab_runtime.policy import TargetPolicy

MAX_DATAGRAM_BYTES = 65_535
BUFFER_BYTES = 4 << 20
"""Asked of the kernel for what is received: answers to a thousand clients come at once."""
_IP_PKTINFO = 8  # ip(7); the socket module of Python 3.11 does not name it
_PKTINFO = struct.Struct("@i4s4s")  # interface, the local address, the destination in the header
_EVERYBODY = str(EVERYBODY)
_KNOWN = 1 << 15
"""Addresses that are not translated anew for each datagram."""


class DatagramError(Exception):
    """A datagram could not be sent, and the next one would fail too; the message names the address and the reason."""


class Received(NamedTuple):
    """One datagram and where it came from."""

    payload: bytes
    source: Address
    destination: str = ""
    """The address it was sent to, where the endpoint has all of an interface (`Network.udp`); any broadcast is
    255.255.255.255."""


@lru_cache(maxsize=_KNOWN)
def _from(source: str) -> list[tuple[int, int, bytes]]:
    return [(socket.IPPROTO_IP, _IP_PKTINFO, _PKTINFO.pack(0, socket.inet_aton(source), bytes(4)))]


@lru_cache(maxsize=_KNOWN)
def _destination(information: bytes) -> str:
    _, here, there = _PKTINFO.unpack(information)
    return socket.inet_ntoa(there) if here == there else _EVERYBODY


class UdpEndpoint(ABC):
    """A bound UDP socket, or its memory twin."""

    @property
    @abstractmethod
    def address(self) -> Address:
        """Where it is bound; with port 0 asked for, the port it got."""

    @abstractmethod
    def send_to(self, payload: bytes, to: Address, *, unit_id: UnitId | None = None, source: str = "") -> bool:
        """Send one datagram, without waiting; false: there was no room, it is as lost as one lost on the way.

        `source` is the address it comes from, where the endpoint has all of an interface. The target policy is asked
        before anything is sent. Raises `policy.TargetRefusedError` and `DatagramError`.
        """

    @abstractmethod
    def receive_nowait(self, most: int) -> list[Received]:
        """Return what has arrived, at most so many; perhaps nothing. Raises `trio.ClosedResourceError`."""

    @abstractmethod
    async def until_readable(self) -> None:
        """Wait until something may have arrived, or the endpoint was closed."""

    async def receive(self) -> Received:
        """Wait for the next datagram; others get their turn before. Raises `trio.ClosedResourceError` after `close`."""
        await trio.lowlevel.checkpoint()
        while not (received := self.receive_nowait(1)):
            await self.until_readable()
        return received[0]

    @abstractmethod
    def close(self) -> None:
        """Close; a second call does nothing."""


class SocketUdp(UdpEndpoint):
    """A UDP socket behind the target policy."""

    def __init__(self, sock: socket.socket, policy: TargetPolicy, *, whole_interface: bool = False) -> None:
        self._sock = sock
        self._policy = policy
        self._receive = self._receive_with_destination if whole_interface else self._receive_plainly
        host, port = sock.getsockname()[:2]
        self._address = Address(host, port)

    @property
    def address(self) -> Address:
        """Where it is bound."""
        return self._address

    def send_to(self, payload: bytes, to: Address, *, unit_id: UnitId | None = None, source: str = "") -> bool:
        """Send one datagram; see `UdpEndpoint.send_to`."""
        self._policy.check_datagram(to.host, unit_id)
        try:
            if source:
                self._sock.sendmsg([payload], _from(source), 0, (to.host, to.port))
            elif to.host == _EVERYBODY and self._address.host == "0.0.0.0":
                self._send_on_every_link(payload, to.port)
            else:
                self._sock.sendto(payload, (to.host, to.port))
        except BlockingIOError:
            return False
        except OSError as error:
            self._must_be_open()
            raise DatagramError(f"{to}: {error.strerror or error}") from error
        return True

    def _send_on_every_link(self, payload: bytes, port: int) -> None:
        """Send to everybody on each link but loopback: the kernel itself knows only that of a default route."""
        failures: list[OSError] = []
        links = [number for number, name in socket.if_nameindex() if name != "lo"]
        for number in links:
            information = _PKTINFO.pack(number, bytes(4), bytes(4))
            try:
                self._sock.sendmsg([payload], [(socket.IPPROTO_IP, _IP_PKTINFO, information)], 0, (_EVERYBODY, port))
            except OSError as error:  # a link without an address, or that is down
                failures.append(error)
        if len(failures) == len(links):
            raise failures[0] if failures else OSError(errno.ENETDOWN, "there is no link but loopback")

    def receive_nowait(self, most: int) -> list[Received]:
        """Return what has arrived; see `UdpEndpoint.receive_nowait`."""
        self._must_be_open()
        arrived: list[Received] = []
        while len(arrived) < most:
            try:
                arrived.append(self._receive())
            except BlockingIOError:
                break
            except ConnectionError:
                continue  # somebody did not want what was sent before: UDP has no connection that could break
        return arrived

    async def until_readable(self) -> None:
        """Wait for the socket."""
        self._must_be_open()
        await trio.lowlevel.wait_readable(self._sock)

    def _receive_plainly(self) -> Received:
        payload, source = self._sock.recvfrom(MAX_DATAGRAM_BYTES)
        return Received(payload, known_address(source[0], source[1]))

    def _receive_with_destination(self) -> Received:
        payload, information, _, source = self._sock.recvmsg(MAX_DATAGRAM_BYTES, socket.CMSG_SPACE(_PKTINFO.size))
        return Received(payload, known_address(source[0], source[1]), _destination(information[0][2]))

    def _must_be_open(self) -> None:
        if self._sock.fileno() < 0:
            raise trio.ClosedResourceError("this endpoint is closed")

    def close(self) -> None:
        """Close."""
        if self._sock.fileno() >= 0:
            trio.lowlevel.notify_closing(self._sock)
            self._sock.close()


def open_udp(host: str, port: int, policy: TargetPolicy, interface: str = "") -> SocketUdp:
    """Bind a socket; with an interface, to all addresses of that one (IPv4).

    Raises `OSError`, and `TargetRefusedError` for a policy that claims a namespace we are not in.
    """
    if policy.namespace:
        must_be_apart()
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if policy.namespace or effective_address(host).is_loopback:  # what is bound to loopback cannot leave it
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        if interface:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
            sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        sock.bind((host, port))
        return SocketUdp(sock, policy, whole_interface=bool(interface))
    except BaseException:
        sock.close()
        raise


def must_be_apart() -> None:
    """Raise `TargetRefusedError` unless this process is in a network namespace other than the machine's."""
    if whereabouts() is Whereabouts.MACHINE:
        raise TargetRefusedError(
            "umslab broadcasts and makes packets of its own only inside a network namespace, not in this machine's "
            "network: make one (ip netns add umslab-lab) and start it there (ip netns exec umslab-lab ...)"
        )
