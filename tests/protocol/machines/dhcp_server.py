# SPDX-License-Identifier: Apache-2.0
"""A tiny DHCP server for the tests of the client, and a client joined to it in virtual time."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from umslab_protocol.machines.dhcp_client import DhcpClient
from umslab_protocol.machines.dhcp_requests import ClientIdentity, Datagram, igel_identity
from umslab_protocol.values.firmware import FirmwareVersion
from umslab_protocol.values.unit_id import MacAddress
from umslab_protocol.wire.dhcp import NOWHERE, DhcpMessage, MessageType, Op, read_message, write_message
from umslab_protocol.wire.dhcp_options import Code, Option

if TYPE_CHECKING:
    from umslab_protocol.machines.dhcp_events import DhcpEvent, Timing

START = 1000.0
MAC = MacAddress("00E0C5000001")
SERVER, OTHER = IPv4Address("192.0.2.1"), IPv4Address("192.0.2.2")
FIRST = IPv4Address("192.0.2.50")
OS12 = FirmwareVersion(12, 8, 4)


@dataclass
class TinyServer:
    """Knows one pool; answers as RFC 2131 says and notes what it heard."""

    address: IPv4Address = SERVER
    lease_seconds: int = 3600
    options: tuple[Option, ...] = (Option(224, b"ums.example"),)
    max_bytes: int = 1500
    next_address: IPv4Address = FIRST
    silent: bool = False
    refuses: bool = False
    leases: dict[bytes, IPv4Address] = field(default_factory=dict)
    heard: list[DhcpMessage] = field(default_factory=list)

    def answer(self, data: bytes) -> list[bytes]:
        """Answer one datagram, with nothing or one."""
        message = read_message(data)
        self.heard.append(message)
        if self.silent or message.op is not Op.REQUEST:
            return []
        match message.kind:
            case MessageType.DISCOVER:
                return [self.reply(message, MessageType.OFFER, self._free(message.chaddr))]
            case MessageType.REQUEST:
                return self._requested(message)
            case MessageType.INFORM:
                return [self.reply(message, MessageType.ACK, NOWHERE, lease=False)]
            case MessageType.RELEASE | MessageType.DECLINE:
                self.leases.pop(message.chaddr, None)
        return []

    def _requested(self, message: DhcpMessage) -> list[bytes]:
        chosen, wanted = message.get(Code.SERVER_ID), message.get(Code.REQUESTED_ADDRESS)
        if chosen is not None and chosen.value != self.address.packed:
            return []
        address = message.ciaddr if wanted is None else IPv4Address(wanted.value)
        known = self.leases.get(message.chaddr)
        if self.refuses or (chosen is None and known != address):
            return [self.reply(message, MessageType.NAK, NOWHERE, lease=False)]
        self.leases[message.chaddr] = address
        return [self.reply(message, MessageType.ACK, address)]

    def _free(self, chaddr: bytes) -> IPv4Address:
        if chaddr not in self.leases:
            self.leases[chaddr] = self.next_address
            self.next_address += 1
        return self.leases[chaddr]

    def reply(self, to: DhcpMessage, kind: MessageType, address: IPv4Address, *, lease: bool = True) -> bytes:
        """Write an answer."""
        options = [Option(Code.MESSAGE_TYPE, bytes((kind,))), Option(Code.SERVER_ID, self.address.packed)]
        if lease:
            options.append(Option(Code.LEASE_SECONDS, self.lease_seconds.to_bytes(4)))
        if kind is MessageType.NAK:
            options.append(Option(Code.MESSAGE, b"not here"))
        else:
            options += self.options
        message = DhcpMessage(
            op=Op.REPLY, xid=to.xid, chaddr=to.chaddr, flags=to.flags, giaddr=to.giaddr, ciaddr=to.ciaddr,
            yiaddr=address, options=tuple(options),
        )  # fmt: skip
        return write_message(message, max_bytes=self.max_bytes)


class Link:
    """One client and some servers; time stands still unless `wake` moves it."""

    def __init__(
        self, *servers: TinyServer, identity: ClientIdentity | None = None, timing: Timing | None = None, seed: int = 1
    ) -> None:
        self.now = START
        self.servers = servers or (TinyServer(),)
        chance = random.Random(seed)
        self.client = DhcpClient(identity or igel_identity(MAC, OS12), chance=chance.random, timing=timing)
        self.saw: list[DhcpEvent] = []
        self.sent: list[Datagram] = []
        self.kinds: Counter[MessageType] = Counter()

    @property
    def server(self) -> TinyServer:
        """The first server."""
        return self.servers[0]

    def carry(self) -> Link:
        """Carry datagrams until nobody has anything to say."""
        while out := self.client.output():
            self.sent += out
            for datagram in out:
                self.kinds[read_message(datagram.payload).kind] += 1
                for server in self.servers:
                    if datagram.broadcast or datagram.destination == server.address:
                        for answer in server.answer(datagram.payload):
                            self.client.receive(answer, self.now)
        self._drain()
        return self

    def _drain(self) -> None:
        while (event := self.client.next_event()) is not None:
            self.saw.append(event)

    def wake(self) -> float:
        """Let time pass to the client's deadline; returns how much."""
        deadline = self.client.deadline()
        assert deadline is not None
        passed, self.now = deadline - self.now, max(self.now, deadline)
        self.client.on_deadline(self.now)
        self.carry()
        return passed

    def last(self) -> DhcpMessage:
        """What the client sent last."""
        return read_message(self.sent[-1].payload)

    def inject(self, kind: MessageType, **changes: object) -> None:
        """Give the client an answer of the first server to what it sent last, changed."""
        answer = read_message(self.server.reply(self.last(), kind, FIRST))
        self.client.receive(write_message(replace(answer, **changes)), self.now)  # type: ignore[arg-type]
        self._drain()
