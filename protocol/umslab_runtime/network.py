# SPDX-License-Identifier: Apache-2.0
"""The one door to the network (house.md section 4).

Nothing else in umslab opens a socket. `net_trio.TrioNetwork` is the real network behind the target policy;
`net_memory.MemoryNetwork` has named hosts, latency and partitions and needs no socket at all.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from umslab_protocol.machines.mdns_browse import PATIENCE_SECONDS, SETTLE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractAsyncContextManager

    from umslab_protocol.machines.mdns_browse import Browsed
    from umslab_protocol.values.host_port import HostPort
    from umslab_protocol.values.unit_id import UnitId
    from umslab_runtime.packet import PacketEndpoint
    from umslab_runtime.streams import Address, Transport
    from umslab_runtime.udp import UdpEndpoint

EVERYWHERE = "0.0.0.0"
"""Stands for all addresses of this machine."""


class DialProblem(StrEnum):
    """Why no connection came about."""

    NAME_UNKNOWN = "name-unknown"
    RESOLVER = "resolver"
    """The name could not be looked up: no server, no answer."""
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    OWN_LIMIT = "own-limit"
    """This machine ran out of something: descriptors, ports, memory."""


class DialError(Exception):
    """A dial failed; nothing is left open."""

    def __init__(self, problem: DialProblem, detail: str) -> None:
        super().__init__(detail)
        self.problem = problem
        self.detail = detail


class ListenError(Exception):
    """An address could not be listened on; the message names it and says what to do."""


class Listener(ABC):
    """A listening socket, or its memory twin."""

    @property
    @abstractmethod
    def address(self) -> Address:
        """Where it listens; with port 0 asked for, the port it got."""

    @abstractmethod
    async def accept(self) -> Transport:
        """Wait for the next connection.

        Survives what an overloaded machine throws at it: running out of descriptors or memory makes it wait and try
        again, never raise. Raises `trio.ClosedResourceError` after `close`.
        """

    @abstractmethod
    def close(self) -> None:
        """Stop listening; a second call does nothing."""


@dataclass(frozen=True, slots=True)
class AnnouncedAs:
    """How a service is announced on one interface."""

    name: str
    """The instance, without the type of service: with a number when the name that was asked for is taken there."""
    interface: str
    addresses: tuple[str, ...]


class Announcement(ABC):
    """A service that is announced by mDNS."""

    @abstractmethod
    def stands(self) -> list[AnnouncedAs]:
        """Where it is announced by now; it takes a second to make sure of a name."""

    @abstractmethod
    def withdraw(self) -> None:
        """Say goodbye now, and not only at the end of the block; a second call does nothing."""


class Network(ABC):
    """Listen, dial, resolve, send datagrams, announce and browse."""

    @abstractmethod
    async def listen(self, host: str, port: int) -> Listener:
        """Listen on a literal address (IPv4 or IPv6); port 0 takes any free one. Raises `ListenError`."""

    @abstractmethod
    async def resolve(self, host: str) -> Sequence[str]:
        """Return the literal addresses of a name (or the literal itself). Raises `DialError`."""

    @abstractmethod
    async def dial(self, target: HostPort, *, unit_id: UnitId | None = None) -> Transport:
        """Connect to the first address of the target that answers.

        The target policy is asked for every address before anything is sent to it. Raises `DialError` or
        `policy.TargetRefusedError`; the caller bounds the time.
        """

    @abstractmethod
    async def udp(self, host: str, port: int, *, interface: str = "") -> UdpEndpoint:
        """Open a UDP endpoint on a literal address; port 0 takes any free one. Raises `ListenError`.

        With an `interface` (`lo`) and `0.0.0.0` it has all addresses of this interface: it says of each datagram where
        it was sent to, and sends from any of them. The target policy is asked for every datagram. Only inside a network
        namespace that umslab made may one go to everybody.
        """

    async def packets(self, interface: str, *, user_named: bool = False) -> PacketEndpoint:
        """Open an endpoint for datagrams from MAC addresses of its own; only in a network namespace (`packet.py`).

        `user_named`: the user named this very interface on the command line. Raises `ListenError` and
        `policy.TargetRefusedError`.
        """
        del interface, user_named
        raise ListenError("this network has no links to send packets on")

    @abstractmethod
    def announce(
        self, name: str, port: int, *, on: Sequence[str], user_named: bool = False
    ) -> AbstractAsyncContextManager[Announcement]:
        """Announce a UMS by mDNS as long as the block lasts, on the interfaces of these addresses of ours.

        With `EVERYWHERE` on all interfaces where it is allowed: loopback, and in a network namespace that umslab made
        every one. `user_named`: the user named these very addresses on the command line. Entering raises `ListenError`
        and `policy.TargetRefusedError`; the name changes when it is taken.
        """

    @abstractmethod
    async def browse(
        self,
        *,
        on: Sequence[str] = (EVERYWHERE,),
        user_named: bool = False,
        patience: float = PATIENCE_SECONDS,
        settle: float = SETTLE_SECONDS,
    ) -> Browsed:
        """Search for announced UMS; `on` and `user_named` as for `announce`, seconds as in `machines.mdns_browse`.

        Raises `ListenError` and `policy.TargetRefusedError`.
        """
