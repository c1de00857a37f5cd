# SPDX-License-Identifier: Apache-2.0
"""Ethernet frames that carry UDP over IPv4, and ARP: what a DHCP client without an address of its own needs.

Provenance: standard (RFC 791 and 768 with their checksums, RFC 826, RFC 894). Only the plain case is read: Ethernet II
without a tag, no fragments. What is something else gives None; what is broken raises `FrameError` with a reason.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from ipaddress import IPv4Address

from umslab_protocol.errors import LocalProtocolError, RemoteProtocolError

EVERYBODY_MAC = b"\xff" * 6
MAX_PAYLOAD_BYTES = 65_507
MIN_FRAME_BYTES = 60  # IEEE 802.3, without the check sequence
IPV4, ARP = 0x0800, 0x0806
_UDP = 17
_TTL = 128
_ETHERNET = struct.Struct("!6s6sH")
_IP = struct.Struct("!BBHHHBBH4s4s")
_UDP_HEADER = struct.Struct("!HHHH")
_PSEUDO = struct.Struct("!4s4sBBH")
_ARP = struct.Struct("!HHBBH6s4s6s4s")
_ARP_FIXED = (1, IPV4, 6, 4)  # Ethernet and IPv4
_FRAGMENT = 0x3FFF  # more fragments, or an offset


class FrameProblem(StrEnum):
    """Why a frame that should carry UDP over IPv4, or ARP, cannot be used."""

    FRAME_CUT = "frame-cut"
    """A header, or what it announces, is not all there."""
    BAD_IP_HEADER = "bad-ip-header"
    """Not version 4, or a length that cannot be."""
    BAD_IP_CHECKSUM = "bad-ip-checksum"
    FRAGMENT = "fragment"
    """A part of a datagram; they are not put together."""
    BAD_UDP_LENGTH = "bad-udp-length"
    BAD_UDP_CHECKSUM = "bad-udp-checksum"


class FrameError(RemoteProtocolError):
    """A broken frame; `problem` names the reason."""

    def __init__(self, problem: FrameProblem, reason: str) -> None:
        super().__init__(reason, code=problem)
        self.problem = problem


@dataclass(frozen=True, slots=True, kw_only=True)
class UdpFrame:
    """One datagram with its ends, on the link too."""

    source_mac: bytes
    destination_mac: bytes
    source: IPv4Address
    source_port: int
    destination: IPv4Address
    destination_port: int
    payload: bytes


class ArpKind(IntEnum):
    """Who has it, and who says so."""

    REQUEST = 1
    REPLY = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class ArpFrame:
    """A question for the owner of an address, or the answer (RFC 826)."""

    kind: ArpKind
    sender_mac: bytes
    sender: IPv4Address
    target_mac: bytes
    target: IPv4Address


def checksum(data: bytes) -> int:
    """The checksum of IP and UDP (RFC 1071): of data that holds its own right checksum it is 0."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


# Writing.


def write_udp(frame: UdpFrame) -> bytes:
    """Write a frame, with both checksums; raises `LocalProtocolError` for what has no form on the wire."""
    if len(frame.payload) > MAX_PAYLOAD_BYTES:
        raise LocalProtocolError(f"{len(frame.payload)} bytes are more than a UDP datagram holds")
    length = _UDP_HEADER.size + len(frame.payload)
    ends = (frame.source.packed, frame.destination.packed)
    try:
        bare = _UDP_HEADER.pack(frame.source_port, frame.destination_port, length, 0) + frame.payload
    except struct.error as error:
        raise LocalProtocolError(f"a port does not fit into its field: {error}") from None
    total = checksum(_PSEUDO.pack(*ends, 0, _UDP, length) + bare) or 0xFFFF  # RFC 768: 0 says that there is none
    udp = bare[:6] + total.to_bytes(2) + bare[8:]
    head = _IP.pack(0x45, 0x10, _IP.size + length, 0, 0, _TTL, _UDP, 0, *ends)
    head = head[:10] + checksum(head).to_bytes(2) + head[12:]
    return _framed(frame.destination_mac, frame.source_mac, IPV4, head + udp)


def write_arp(arp: ArpFrame) -> bytes:
    """Write a question to everybody, or an answer to the one who asked."""
    body = _ARP.pack(*_ARP_FIXED, arp.kind, arp.sender_mac, arp.sender.packed, arp.target_mac, arp.target.packed)
    to = EVERYBODY_MAC if arp.kind is ArpKind.REQUEST else arp.target_mac
    return _framed(to, arp.sender_mac, ARP, body)


def _framed(to: bytes, by: bytes, kind: int, body: bytes) -> bytes:
    if len(to) != 6 or len(by) != 6:
        raise LocalProtocolError("a MAC address has 6 bytes")
    return (_ETHERNET.pack(to, by, kind) + body).ljust(MIN_FRAME_BYTES, b"\0")


# Reading.


def read_frame(data: bytes, *, checksum_ready: bool = True) -> UdpFrame | ArpFrame | None:
    """Read one frame; None: it carries something else. Raises `FrameError`.

    `checksum_ready` is false for a frame of this machine whose UDP checksum the network card was to fill in.
    """
    if len(data) < _ETHERNET.size:
        raise FrameError(FrameProblem.FRAME_CUT, f"{len(data)} bytes are no Ethernet frame")
    to, by, kind = _ETHERNET.unpack_from(data)
    body = data[_ETHERNET.size :]
    if kind == ARP:
        return _read_arp(body)
    if kind != IPV4:
        return None
    return _read_ip(to, by, body, checksum_ready=checksum_ready)


def _read_arp(body: bytes) -> ArpFrame | None:
    if len(body) < _ARP.size:
        raise FrameError(FrameProblem.FRAME_CUT, "an ARP packet is cut")
    *fixed, kind, sender_mac, sender, target_mac, target = _ARP.unpack_from(body)
    if tuple(fixed) != _ARP_FIXED or kind not in set(ArpKind):
        return None
    return ArpFrame(
        kind=ArpKind(kind), sender_mac=sender_mac, sender=IPv4Address(sender), target_mac=target_mac,
        target=IPv4Address(target),
    )  # fmt: skip


def _read_ip(to: bytes, by: bytes, body: bytes, *, checksum_ready: bool) -> UdpFrame | None:
    if len(body) < _IP.size:
        raise FrameError(FrameProblem.FRAME_CUT, "an IP header is cut")
    first, _, total, _, fragment, _, protocol, _, source, destination = _IP.unpack_from(body)
    head = (first & 0x0F) * 4
    if first >> 4 != 4 or head < _IP.size or total < head:
        raise FrameError(FrameProblem.BAD_IP_HEADER, "this is not version 4, or its lengths cannot be")
    if total > len(body):
        raise FrameError(FrameProblem.FRAME_CUT, f"the packet says {total} bytes, {len(body)} are there")
    if checksum(body[:head]) != 0:
        raise FrameError(FrameProblem.BAD_IP_CHECKSUM, "the checksum of the IP header is wrong")
    if protocol != _UDP:
        return None
    if fragment & _FRAGMENT:
        raise FrameError(FrameProblem.FRAGMENT, "the packet is a fragment")
    source_port, destination_port, payload = _read_udp(
        source, destination, body[head:total], checksum_ready=checksum_ready
    )
    return UdpFrame(
        source_mac=by, destination_mac=to, source=IPv4Address(source), source_port=source_port,
        destination=IPv4Address(destination), destination_port=destination_port, payload=payload,
    )  # fmt: skip


def _read_udp(source: bytes, destination: bytes, udp: bytes, *, checksum_ready: bool) -> tuple[int, int, bytes]:
    if len(udp) < _UDP_HEADER.size:
        raise FrameError(FrameProblem.FRAME_CUT, "a UDP header is cut")
    source_port, destination_port, length, stated = _UDP_HEADER.unpack_from(udp)
    if not _UDP_HEADER.size <= length <= len(udp):
        raise FrameError(FrameProblem.BAD_UDP_LENGTH, f"UDP says {length} bytes, {len(udp)} are there")
    udp = udp[:length]
    if stated and checksum_ready and checksum(_PSEUDO.pack(source, destination, 0, _UDP, length) + udp) != 0:
        raise FrameError(FrameProblem.BAD_UDP_CHECKSUM, "the UDP checksum is wrong")
    return source_port, destination_port, udp[_UDP_HEADER.size :]
