# SPDX-License-Identifier: Apache-2.0
"""UDP datagrams of DHCP in packet captures: pcap and pcapng, as tcpdump and Wireshark write them.

Provenance: standard (draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng; link types of tcpdump.org). Only what is needed
to find ports 67 and 68 over IPv4 is read. A capture that is cut or damaged somewhere gives what stands before.
"""

from __future__ import annotations

import struct
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_BLOCK_BYTES = 1 << 20
MAX_DATAGRAMS = 10_000
MAX_INTERFACES = 1_000
_PCAP = {b"\xa1\xb2\xc3\xd4": ">", b"\xd4\xc3\xb2\xa1": "<", b"\xa1\xb2\x3c\x4d": ">", b"\x4d\x3c\xb2\xa1": "<"}
_PCAPNG = b"\x0a\x0d\x0d\x0a"
_ORDERS = {b"\x1a\x2b\x3c\x4d": ">", b"\x4d\x3c\x2b\x1a": "<"}
_ETHERNET, _SLL, _SLL2 = 1, 113, 276
_RAW = {12, 14, 101, 228}  # the packet itself; numbers differ by system
_LOOPBACK = {0, 108}  # four bytes of address family
_VLAN = {0x8100, 0x88A8, 0x9100}
_IPV4, _UDP = 0x0800, 17
_PORTS = {67, 68}


class Skipped(StrEnum):
    """Why a packet was not looked into, where that may matter."""

    FRAGMENT = "fragment"
    CUT = "cut"
    """The capture holds only its beginning (snapshot length)."""
    LINK_TYPE = "unknown-link-type"


class CaptureError(Exception):
    """This is no capture."""


@dataclass(frozen=True, slots=True)
class Captured:
    """One datagram of DHCP, and the number of its packet as Wireshark counts."""

    number: int
    payload: bytes


@dataclass(slots=True)
class Capture:
    """What was found."""

    datagrams: list[Captured] = field(default_factory=list)
    packets: int = 0
    skipped: Counter[Skipped] = field(default_factory=Counter)
    damage: str = ""
    """Why reading stopped early."""


def is_capture(data: bytes) -> bool:
    """Whether it begins like one."""
    return data[:4] in _PCAP or data[:4] == _PCAPNG


def read_capture(data: bytes) -> Capture:
    """Find the datagrams; raises `CaptureError` when it is no capture at all."""
    if not is_capture(data):
        raise CaptureError("this is neither pcap nor pcapng")
    capture = Capture()
    packets = _pcap_packets(data, capture) if data[:4] in _PCAP else _pcapng_packets(data, capture)
    for link, packet in packets:
        capture.packets += 1
        payload = _datagram(link, packet, capture.skipped)
        if payload is not None:
            capture.datagrams.append(Captured(capture.packets, payload))
        if len(capture.datagrams) == MAX_DATAGRAMS:
            capture.damage = f"only the first {MAX_DATAGRAMS} messages were read"
            break
    return capture


# The two formats: link type and bytes of each packet. How much of it was captured shows in the length of UDP.


def _pcap_packets(data: bytes, capture: Capture) -> Iterator[tuple[int, bytes]]:
    order = _PCAP[data[:4]]
    if len(data) < 24:
        capture.damage = "the file ends within its header"
        return
    (link,) = struct.unpack_from(order + "I", data, 20)
    at = 24
    while at < len(data):
        if len(data) - at < 16:
            capture.damage = "the file ends within a packet"
            return
        (kept,) = struct.unpack_from(order + "I", data, at + 8)
        if kept > MAX_BLOCK_BYTES or kept > len(data) - at - 16:
            capture.damage = "the file ends within a packet, or is damaged"
            return
        yield link & 0xFFFF, data[at + 16 : at + 16 + kept]
        at += 16 + kept


def _pcapng_packets(data: bytes, capture: Capture) -> Iterator[tuple[int, bytes]]:
    at, order = 0, "<"
    links: list[int] = []
    while at < len(data):
        if data[at : at + 4] == _PCAPNG:
            order, links = _ORDERS.get(data[at + 8 : at + 12], ""), []
        if not order or len(data) - at < 12:
            capture.damage = "the file ends within a block, or is damaged"
            return
        kind, length = struct.unpack_from(order + "II", data, at)
        if length < 12 or length % 4 or length > MAX_BLOCK_BYTES or length > len(data) - at:
            capture.damage = "the file ends within a block, or is damaged"
            return
        body = data[at + 8 : at + length - 4]
        if kind == 1 and len(body) >= 8 and len(links) < MAX_INTERFACES:
            links.append(struct.unpack_from(order + "H", body)[0])
        packet = _pcapng_packet(kind, body, order)
        if packet is not None:
            interface, found = packet
            yield links[interface] if interface < len(links) else -1, found
        at += length


def _pcapng_packet(kind: int, body: bytes, order: str) -> tuple[int, bytes] | None:
    """Interface and bytes of enhanced, old and simple packet blocks."""
    if kind in {6, 2} and len(body) >= 20:
        interface, kept = struct.unpack_from(order + ("I8xI" if kind == 6 else "H10xI"), body)
        return interface, body[20 : 20 + kept]
    if kind == 3 and len(body) >= 4:
        (long,) = struct.unpack_from(order + "I", body)
        return 0, body[4 : 4 + long]
    return None


# From the link to the datagram.


def _datagram(link: int, packet: bytes, skipped: Counter[Skipped]) -> bytes | None:
    header = _ip_header_at(link, packet)
    if header is None:
        skipped[Skipped.LINK_TYPE] += 1
        return None
    ip = packet[header:] if header >= 0 else b""
    if len(ip) < 20 or ip[0] >> 4 != 4 or ip[9] != _UDP:
        return None
    words = (ip[0] & 0x0F) * 4
    fragment = int.from_bytes(ip[6:8]) & 0x3FFF
    udp = ip[words:]
    if words < 20 or len(udp) < 8:
        return None
    if fragment & 0x1FFF == 0 and not _PORTS & {int.from_bytes(udp[:2]), int.from_bytes(udp[2:4])}:
        return None
    if fragment:
        skipped[Skipped.FRAGMENT] += 1
        return None
    length = int.from_bytes(udp[4:6])
    if length < 8 or length > len(udp):
        skipped[Skipped.CUT] += 1
        return None
    return udp[8:length]


def _ip_header_at(link: int, packet: bytes) -> int | None:
    """Where the IPv4 header begins; -1: this packet has none; None: a link this reader does not know."""
    if link in _RAW:
        return 0
    if link in _LOOPBACK:
        return 4
    if link == _ETHERNET:
        return _after_vlans(packet, 12)
    if link == _SLL:
        return _after_vlans(packet, 14)
    if link == _SLL2:
        kind = int.from_bytes(packet[:2])
        return _after_vlans(packet, 22) if kind in _VLAN else 20 if kind == _IPV4 else -1
    return None


def _after_vlans(packet: bytes, at: int) -> int:
    for _ in range(4):
        kind = int.from_bytes(packet[at : at + 2])
        if kind not in _VLAN:
            return at + 2 if kind == _IPV4 else -1
        at += 4
    return -1
