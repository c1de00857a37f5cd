# SPDX-License-Identifier: Apache-2.0
"""Writes small captures for tests, byte by byte as the formats say."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address

from umslab_protocol.wire.dhcp import DhcpMessage, MessageType, Op, write_message
from umslab_protocol.wire.dhcp_options import Option

MAC = bytes.fromhex("00E0C5000001")


def message(kind: MessageType, *options: Option, xid: int = 7, server: str = "192.0.2.1") -> DhcpMessage:
    """A request of a client, or a server's answer."""
    request = kind in {MessageType.DISCOVER, MessageType.REQUEST, MessageType.INFORM}
    name = () if request else (Option(54, IPv4Address(server).packed),)
    return DhcpMessage(
        op=Op.REQUEST if request else Op.REPLY,
        xid=xid,
        chaddr=MAC,
        yiaddr=IPv4Address(0) if request else IPv4Address("192.0.2.50"),
        options=(Option(53, bytes((kind,))), *name, *options),
    )


def ip(payload: bytes, *, ports: tuple[int, int] = (67, 68), fragment: int = 0, protocol: int = 17) -> bytes:
    """An IPv4 packet with UDP."""
    udp = struct.pack("!HHHH", *ports, 8 + len(payload), 0) + payload
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, fragment, 64, protocol, 0, bytes(4), b"\xff" * 4)
    return head + udp


def ethernet(packet: bytes, *, vlans: int = 0, kind: int = 0x0800) -> bytes:
    """An Ethernet frame."""
    return bytes(12) + b"\x81\x00\x00\x05" * vlans + kind.to_bytes(2) + packet


def pcap(*packets: bytes, link: int = 1, order: str = "<", nanoseconds: bool = False) -> bytes:
    """A classic capture."""
    magic = 0xA1B23C4D if nanoseconds else 0xA1B2C3D4
    out = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 65535, link)
    for packet in packets:
        out += struct.pack(order + "IIII", 1, 2, len(packet), len(packet)) + packet
    return out


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    """One block of pcapng."""
    body += bytes(-len(body) % 4)
    length = struct.pack(order + "I", 12 + len(body))
    return struct.pack(order + "I", kind) + length + body + length


def section(order: str = "<", *links: int) -> bytes:
    """The head of a section, and its interfaces."""
    head = block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1), order)
    return head + b"".join(block(1, struct.pack(order + "HHI", link, 0, 65535), order) for link in links)


def enhanced(packet: bytes, order: str = "<", interface: int = 0) -> bytes:
    """A packet of pcapng."""
    return block(6, struct.pack(order + "IIIII", interface, 0, 0, len(packet), len(packet)) + packet, order)


def dhcp(*messages: DhcpMessage) -> list[bytes]:
    """Frames that carry these messages."""
    return [ethernet(ip(write_message(one))) for one in messages]
