# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_runtime.packet: what needs no root. Sockets in namespaces are in tests/safety and tests/foreign."""

from __future__ import annotations

import socket
import struct
from ipaddress import IPv4Address

import pytest
import trio

from umslab_protocol.wire.ethernet import (
    EVERYBODY_MAC,
    ArpFrame,
    ArpKind,
    FrameProblem,
    UdpFrame,
    read_frame,
    write_arp,
    write_udp,
)
from umslab_runtime import packet
from umslab_runtime.net_memory import MemoryNetwork
from umslab_runtime.network import ListenError
from umslab_runtime.packet import PacketEndpoint, open_packets
from umslab_runtime.policy import LOOPBACK_ONLY, TargetPolicy, TargetRefusedError

OURS, THEIRS = b"\2\0\0\0\0\1", b"\2\0\0\0\0\2"
US, SERVER = IPv4Address("10.77.0.100"), IPv4Address("10.77.0.1")
EVERYBODY = IPv4Address("255.255.255.255")


class Cable:
    """The socket's side of a cable: frames are put into it and taken out."""

    def __init__(self) -> None:
        self.end, self.far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.end.setblocking(False)
        self.far.setblocking(False)
        self.kind = 0

    def fileno(self) -> int:
        """The descriptor, -1 when closed."""
        return self.end.fileno()

    def send(self, frame: bytes) -> int:
        """Put a frame on the cable."""
        return self.end.send(frame)

    def recvmsg(self, size: int, _: int) -> tuple[bytes, list[tuple[int, int, bytes]], int, tuple[str, int, int]]:
        """Take one, as a packet socket gives it."""
        return self.end.recv(size), [], 0, ("eth0", 3, self.kind)

    def close(self) -> None:
        """Close both ends."""
        self.end.close()
        self.far.close()


def _endpoint(policy: TargetPolicy | None = None) -> tuple[PacketEndpoint, Cable]:
    cable = Cable()
    return PacketEndpoint(cable, policy or TargetPolicy(namespace=True)), cable  # type: ignore[arg-type]


def _answer(payload: bytes = b"offer") -> bytes:
    ends = {"source": SERVER, "source_port": 67, "destination": US, "destination_port": 68}
    return write_udp(UdpFrame(source_mac=THEIRS, destination_mac=OURS, payload=payload, **ends))  # type: ignore[arg-type]


def _sent(cable: Cable) -> UdpFrame | ArpFrame | None:
    return read_frame(cable.far.recv(65_535))


async def test_learns_where_its_server_is() -> None:
    """What is for one address goes to everybody on the link, until its MAC was heard."""
    endpoint, cable = _endpoint()
    way = {"mac": OURS, "source": (US, 68), "destination": (SERVER, 67)}
    targets = []
    for _ in range(2):
        assert endpoint.send(b"ask", **way)  # type: ignore[arg-type]
        frame = _sent(cable)
        assert isinstance(frame, UdpFrame)
        targets.append(frame.destination_mac)
        cable.far.send(_answer())
        assert b"offer" == (await endpoint.receive()).payload

    assert [EVERYBODY_MAC, THEIRS] == targets
    endpoint.close()
    endpoint.close()
    with pytest.raises(trio.ClosedResourceError):
        endpoint.send(b"ask", **way)  # type: ignore[arg-type]
    with pytest.raises(trio.ClosedResourceError):
        await endpoint.receive()


async def test_arp_is_answered_for_our_addresses_only() -> None:
    """So that a server's unicasts arrive; broken frames are counted and passed over."""
    endpoint, cable = _endpoint()
    endpoint.addresses[US] = OURS
    for target in (SERVER, US):
        asked = ArpFrame(kind=ArpKind.REQUEST, sender_mac=THEIRS, sender=SERVER, target_mac=b"\0" * 6, target=target)
        cable.far.send(write_arp(asked))
    cable.far.send(_answer()[:-20])
    cable.far.send(_answer())
    await endpoint.receive()
    answered = _sent(cable)

    assert isinstance(answered, ArpFrame)
    assert (ArpKind.REPLY, OURS, US, THEIRS) == (
        answered.kind,
        answered.sender_mac,
        answered.sender,
        answered.target_mac,
    )
    with pytest.raises(BlockingIOError):
        cable.far.recv(1)
    assert {FrameProblem.FRAME_CUT: 1} == dict(endpoint.malformed)
    endpoint.close()


@pytest.mark.parametrize("mac", ["00e0c5000001", "03e0c5000001"])
async def test_only_made_up_macs(mac: str) -> None:
    """A MAC that could belong to a real device, or to a group, is never used."""
    endpoint, cable = _endpoint()
    with pytest.raises(TargetRefusedError, match="could belong to a real device"):
        endpoint.send(b"", mac=bytes.fromhex(mac), source=(US, 68), destination=(EVERYBODY, 67))
    with pytest.raises(BlockingIOError):
        cable.far.recv(1)
    endpoint.close()


async def test_policy_is_asked() -> None:
    """Without the marker of a namespace, nothing goes to everybody; with it, nothing to a public address."""
    for policy, to in ((LOOPBACK_ONLY, EVERYBODY), (TargetPolicy(namespace=True), IPv4Address("8.8.8.8"))):
        endpoint, cable = _endpoint(policy)
        with pytest.raises(TargetRefusedError):
            endpoint.send(b"", mac=OURS, source=(US, 68), destination=(to, 67))
        with pytest.raises(BlockingIOError):
            cable.far.recv(1)
        endpoint.close()


def test_marker_or_word_is_needed() -> None:
    """Neither a marker nor an interface the user named: refused before anything else."""
    with pytest.raises(TargetRefusedError, match="only inside a network namespace it made"):
        open_packets("eth0", LOOPBACK_ONLY, user_named=False)


async def test_memory_has_no_links() -> None:
    """The memory network says so."""
    with pytest.raises(ListenError, match="no links"):
        await MemoryNetwork().host("a").packets("eth0")


def test_checksum_that_nobody_filled_in() -> None:
    """The kernel says so beside the packet."""
    about = struct.pack("=IIIHHHH", 1 << 3, 0, 0, 0, 0, 0, 0)

    assert not packet._checksum_ready([(263, 8, about)])
    assert packet._checksum_ready([(263, 8, struct.pack("=IIIHHHH", 1, 0, 0, 0, 0, 0, 0))])
    assert packet._checksum_ready([])
