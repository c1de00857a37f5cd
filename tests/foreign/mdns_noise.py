# SPDX-License-Identifier: Apache-2.0
"""Sends hostile mDNS packets from one address until its input ends: `python -m tests.foreign.mdns_noise ADDRESS`.

Noise, good answers with bytes changed, names that loop, and services that break every rule, some of them about a UMS.
"""

from __future__ import annotations

import random
import select
import socket
import struct
import sys
from itertools import count

GROUP = ("224.0.0.251", 5353)
HEADER = struct.pack("!6H", 0, 0x8400, 0, 1, 0, 0)
TYPE = b"\x0b_umslab-ums\x04_tcp\x05local\0"
POINTER, TEXT, SERVICE, ADDRESS = 12, 16, 33, 1


def label(name: bytes) -> bytes:
    """One label."""
    return bytes((len(name),)) + name


def record(owner: bytes, kind: int, data: bytes) -> bytes:
    """One answer, alone in its packet."""
    return HEADER + owner + struct.pack("!HHIH", kind, 0x8001 if kind != POINTER else 1, 120, len(data)) + data


def services() -> list[bytes]:
    """Services that break rules."""
    packets = []
    for name in (b"\x1b[2J", b"\xff\xfe", b"x" * 63, b".", b"\xe2\x80\xaeturned", b"port 0", b"long text"):
        whole = label(name) + TYPE
        host = label(b"host") + b"\x05local\0"
        packets += [
            record(TYPE, POINTER, whole),
            record(whole, SERVICE, struct.pack("!HHH", 0, 0, 0 if name == b"port 0" else 1) + host),
            record(whole, TEXT, b"\xff" * 1200 if name == b"long text" else b"\x09txtvers=9"),
            record(host, ADDRESS, b"\x7f\0\0"),
        ]
    return packets


def change(chance: random.Random, packet: bytes) -> bytes:
    """The packet with one byte changed."""
    changed = bytearray(packet)
    changed[chance.randrange(len(changed))] = chance.randrange(256)
    return bytes(changed)


def main() -> None:
    """Send, about a hundred packets a second: what is wrong with them is to hurt, not how many they are."""
    chance = random.Random(1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind((sys.argv[1], GROUP[1]))
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(sys.argv[1]))
        good = services()
        loop = HEADER + b"\xc0\x0c" + struct.pack("!HHIH", POINTER, 1, 120, 2) + b"\xc0\x0c"
        bad = [change(chance, packet) for packet in good * 3]
        for number in count():
            changed = bad[number % len(bad)]
            for packet in (
                chance.randbytes(chance.randrange(300)),
                changed,
                changed[: chance.randrange(len(changed))],
                good[number % len(good)],
                loop,
                HEADER[:6] + b"\xff\xff" + HEADER[8:] + chance.randbytes(8000),
            ):
                sock.sendto(packet, GROUP)
            if number == len(bad):
                sys.stdout.write("all kinds were sent\n")
                sys.stdout.flush()
            if select.select([sys.stdin], [], [], 0.05)[0]:
                return


if __name__ == "__main__":
    main()
