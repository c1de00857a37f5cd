# SPDX-License-Identifier: Apache-2.0
"""UDP endpoints: the part of the door for datagrams."""

from __future__ import annotations

import socket
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

import trio

from umslab_runtime.namespaces import Whereabouts, whereabouts
from umslab_runtime.policy import TargetRefusedError
from umslab_runtime.streams import Address

if TYPE_CHECKING:
    from umslab_protocol.values.unit_id import UnitId
    from umslab_runtime.policy import TargetPolicy

MAX_DATAGRAM_BYTES = 65_535
BUFFER_BYTES = 4 << 20
"""Asked of the kernel for what is received: answers to a thousand clients come at once."""


class DatagramError(Exception):
    """A datagram could not be sent, and the next one would fail too; the message names the address and the reason."""


@dataclass(frozen=True, slots=True)
class Received:
    """One datagram and where it came from."""

    payload: bytes
    source: Address


class UdpEndpoint(ABC):
    """A bound UDP socket, or its memory twin."""

    @property
    @abstractmethod
    def address(self) -> Address:
        """Where it is bound; with port 0 asked for, the port it got."""

    @abstractmethod
    def send_to(self, payload: bytes, to: Address, *, unit_id: UnitId | None = None) -> bool:
        """Send one datagram, without waiting; false: there was no room, it is as lost as one lost on the way.

        The target policy is asked before anything is sent. Raises `policy.TargetRefusedError` and `DatagramError`.
        """

    @abstractmethod
    async def receive(self) -> Received:
        """Wait for the next datagram. Raises `trio.ClosedResourceError` after `close`."""

    @abstractmethod
    def close(self) -> None:
        """Close; a second call does nothing."""


class SocketUdp(UdpEndpoint):
    """A UDP socket behind the target policy."""

    def __init__(self, sock: socket.socket, policy: TargetPolicy) -> None:
        self._sock = sock
        self._policy = policy
        host, port = sock.getsockname()[:2]
        self._address = Address(host, port)

    @property
    def address(self) -> Address:
        """Where it is bound."""
        return self._address

    def send_to(self, payload: bytes, to: Address, *, unit_id: UnitId | None = None) -> bool:
        """Send one datagram; see `UdpEndpoint.send_to`."""
        self._policy.check_datagram(to.host, unit_id)
        if self._sock.fileno() < 0:
            raise trio.ClosedResourceError("this endpoint is closed")
        try:
            self._sock.sendto(payload, (to.host, to.port))
        except BlockingIOError:
            return False
        except OSError as error:
            raise DatagramError(f"{to}: {error.strerror or error}") from error
        return True

    async def receive(self) -> Received:
        """Wait for the next datagram; others get their turn before each."""
        await trio.lowlevel.checkpoint()
        while True:
            if self._sock.fileno() < 0:
                raise trio.ClosedResourceError("this endpoint is closed")
            try:
                payload, source = self._sock.recvfrom(MAX_DATAGRAM_BYTES)
            except BlockingIOError:
                await trio.lowlevel.wait_readable(self._sock)
            except ConnectionError:
                continue  # somebody did not want what was sent before: UDP has no connection that could break
            else:
                return Received(payload, Address(source[0], source[1]))

    def close(self) -> None:
        """Close."""
        if self._sock.fileno() >= 0:
            trio.lowlevel.notify_closing(self._sock)
            self._sock.close()


def open_udp(host: str, port: int, policy: TargetPolicy) -> SocketUdp:
    """Bind a socket; raises `OSError`, and `TargetRefusedError` for a policy that claims a namespace we are not in."""
    if policy.namespace:
        must_be_apart()
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if policy.namespace:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        sock.bind((host, port))
        return SocketUdp(sock, policy)
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
