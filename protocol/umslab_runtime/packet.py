# SPDX-License-Identifier: Apache-2.0
"""Packet endpoints: UDP datagrams from MAC and IP addresses of their own, on one interface of a network namespace.

For DHCP clients that have no address yet, many on one interface. Opened only where the target policy says that umslab
made the namespace, or where the user named the interface and this process is in a namespace; never in the machine's
own network. Needs the capability for raw packets there (root).
"""

from __future__ import annotations

import errno
import socket
import struct
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import trio

from umslab_protocol.wire.ethernet import (
    EVERYBODY_MAC,
    ArpFrame,
    ArpKind,
    FrameError,
    FrameProblem,
    UdpFrame,
    read_frame,
    write_arp,
    write_udp,
)
from umslab_runtime.network import ListenError
from umslab_runtime.policy import EVERYBODY, TargetPolicy, TargetRefusedError
from umslab_runtime.udp import BUFFER_BYTES, MAX_DATAGRAM_BYTES, DatagramError, must_be_apart

if TYPE_CHECKING:
    from ipaddress import IPv4Address

_ALL_PROTOCOLS = 3  # linux/if_ether.h: ETH_P_ALL
_SOL_PACKET, _ADD_MEMBERSHIP, _AUXDATA = 263, 1, 8  # linux/if_packet.h
_PROMISCUOUS = 1
_OUTGOING = 4
_CHECKSUM_NOT_READY = 1 << 3
_AUX = struct.Struct("=IIIHHHH")
_ETHERNET_HARDWARE = 1
MAX_NEIGHBOURS = 1024


class PacketEndpoint:
    """A packet socket on one interface; answers ARP for the addresses it is told are its own."""

    def __init__(self, sock: socket.socket, policy: TargetPolicy) -> None:
        self._sock = sock
        self._policy = policy
        self._neighbours: dict[IPv4Address, bytes] = {}
        """Who has which address, learned from what they send."""
        self.addresses: dict[IPv4Address, bytes] = {}
        """Our own addresses and their MACs: ARP is answered for them."""
        self.malformed: Counter[FrameProblem] = Counter()

    def send(
        self,
        payload: bytes,
        *,
        mac: bytes,
        source: tuple[IPv4Address, int],
        destination: tuple[IPv4Address, int],
        via: bytes = EVERYBODY_MAC,
    ) -> bool:
        """Send one datagram, without waiting; false: there was no room.

        What is meant for one address goes to the MAC that was heard to have it, else to `via`: a router, or everybody
        on the link. Raises `TargetRefusedError` and `DatagramError`.
        """
        to, _ = destination
        self._policy.check_datagram(str(to))
        if not mac[0] & 2 or mac[0] & 1:
            raise TargetRefusedError(f"{mac.hex(':')} could belong to a real device: the MAC must begin with 02")
        frame = UdpFrame(
            source_mac=mac,
            destination_mac=EVERYBODY_MAC if to == EVERYBODY else self._neighbours.get(to, via),
            source=source[0],
            source_port=source[1],
            destination=to,
            destination_port=destination[1],
            payload=payload,
        )
        return self._send(write_udp(frame))

    async def receive(self) -> UdpFrame:
        """Wait for the next datagram on the link, for whomever it is. Raises `trio.ClosedResourceError`."""
        await trio.lowlevel.checkpoint()
        while True:
            if self._sock.fileno() < 0:
                raise trio.ClosedResourceError("this endpoint is closed")
            try:
                data, about, _, address = self._sock.recvmsg(MAX_DATAGRAM_BYTES, socket.CMSG_SPACE(_AUX.size))
            except BlockingIOError:
                await trio.lowlevel.wait_readable(self._sock)
                continue
            except OSError as error:
                raise DatagramError(f"the interface is gone or down: {error.strerror or error}") from error
            if address[2] != _OUTGOING and (frame := self._read(data, ready=_checksum_ready(about))) is not None:
                return frame

    def _read(self, data: bytes, *, ready: bool) -> UdpFrame | None:
        try:
            frame = read_frame(data, checksum_ready=ready)
        except FrameError as error:
            self.malformed[error.problem] += 1
            return None
        if isinstance(frame, ArpFrame):
            self._hear(frame.sender, frame.sender_mac)
            self._answer(frame)
            return None
        if frame is not None:
            self._hear(frame.source, frame.source_mac)
        return frame

    def _hear(self, address: IPv4Address, mac: bytes) -> None:
        if len(self._neighbours) >= MAX_NEIGHBOURS:
            self._neighbours.clear()
        self._neighbours[address] = mac

    def _answer(self, asked: ArpFrame) -> None:
        mac = self.addresses.get(asked.target)
        if asked.kind is not ArpKind.REQUEST or mac is None:
            return
        answer = ArpFrame(
            kind=ArpKind.REPLY, sender_mac=mac, sender=asked.target, target_mac=asked.sender_mac, target=asked.sender
        )
        self._send(write_arp(answer))

    def _send(self, frame: bytes) -> bool:
        if self._sock.fileno() < 0:
            raise trio.ClosedResourceError("this endpoint is closed")
        try:
            self._sock.send(frame)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno == errno.ENOBUFS:
                return False
            raise DatagramError(f"the interface does not send: {error.strerror or error}") from error
        return True

    def close(self) -> None:
        """Close; a second call does nothing."""
        if self._sock.fileno() >= 0:
            trio.lowlevel.notify_closing(self._sock)
            self._sock.close()


def _checksum_ready(about: list[tuple[int, int, bytes]]) -> bool:
    """Whether the UDP checksum is there: between two namespaces of a machine nobody fills it in."""
    for level, kind, data in about:
        if (level, kind) == (_SOL_PACKET, _AUXDATA) and len(data) >= _AUX.size:
            return not _AUX.unpack_from(data)[0] & _CHECKSUM_NOT_READY
    return True


def open_packets(interface: str, policy: TargetPolicy, *, user_named: bool) -> PacketEndpoint:
    """Open a packet socket; raises `TargetRefusedError` and `ListenError`."""
    if not hasattr(socket, "AF_PACKET"):
        raise ListenError("packet sockets are a thing of Linux: use --relay, or a lease that another client left")
    if not (policy.namespace or user_named):
        raise TargetRefusedError("umslab makes packets of its own only inside a network namespace it made")
    must_be_apart()
    try:
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    except PermissionError:
        raise ListenError(
            "packets from an address of one's own need root (CAP_NET_RAW): start it as root in the namespace, or use "
            "--relay, which does not"
        ) from None
    except OSError as error:
        raise ListenError(f"this machine gives no packet socket: {error.strerror or error}") from error
    try:
        _bind(sock, interface)
        return PacketEndpoint(sock, replace(policy, namespace=True))
    except BaseException:
        sock.close()
        raise


def _bind(sock: socket.socket, interface: str) -> None:
    try:
        index = socket.if_nametoindex(interface)
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        sock.setsockopt(_SOL_PACKET, _AUXDATA, 1)
        # Answers come to MAC addresses that are not the interface's.
        sock.setsockopt(_SOL_PACKET, _ADD_MEMBERSHIP, struct.pack("=iHH8s", index, _PROMISCUOUS, 0, b""))
        sock.bind((interface, _ALL_PROTOCOLS))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ListenError(f"the interface {interface[:40]} of this namespace cannot be used: {reason}") from error
    if sock.getsockname()[3] != _ETHERNET_HARDWARE:
        raise ListenError(f"the interface {interface[:40]} is no Ethernet: there are no MAC addresses on it")
