# SPDX-License-Identifier: Apache-2.0
"""The bare drain loop: plain sockets, emptied in a loop at every wake-up; what house.md section 9 measured."""

from __future__ import annotations

import json
import select
import socket
import struct
import sys
import time
from threading import Thread
from typing import TYPE_CHECKING

from umslab.bench.sweep import address, unit_id
from umslab.bench.worker import say

if TYPE_CHECKING:
    from pathlib import Path

_WINDOW, _BURST = 1000, 64
_BUFFER_BYTES = 4 << 20
_IP_PKTINFO = 8
_PROBE = struct.Struct("!8s16s18s")


def _socket(host: str) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
    sock.setblocking(False)
    if host == "0.0.0.0":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
        sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
    sock.bind((host, 0))
    return sock


def connect(folder: Path) -> None:
    """Be the devices until standard input ends."""
    del folder
    json.loads(sys.stdin.readline())
    sock = _socket("0.0.0.0")
    say(port=sock.getsockname()[1])
    Thread(target=_answer, args=(sock,), daemon=True).start()
    sys.stdin.read()


def _answer(sock: socket.socket) -> None:
    while True:
        select.select([sock], [], [])
        while True:
            try:
                data, information, _, source = sock.recvmsg(2048, 64)
            except BlockingIOError:
                break
            here = information[0][2][8:12]
            sock.sendmsg([data], [(socket.IPPROTO_IP, _IP_PKTINFO, bytes(4) + here + bytes(4))], 0, source)


def serve(folder: Path) -> None:
    """Be the server until standard input ends."""
    del folder
    order = json.loads(sys.stdin.readline())
    sock = _socket("127.0.0.1")
    targets = [(address(index), order["port"]) for index in range(order["count"])]
    units = [unit_id(index).encode() for index in range(order["count"])]
    say()
    while sys.stdin.readline():
        began = time.perf_counter()
        answers = _sweep(sock, targets, units)
        say(seconds=time.perf_counter() - began, answers=answers)


def _sweep(sock: socket.socket, targets: list[tuple[str, int]], units: list[bytes]) -> int:
    sent, online = 0, set[bytes]()
    while len(online) < len(targets):
        burst = min(_BURST, len(targets) - sent, _WINDOW - sent + len(online))
        for index in range(sent, sent + burst):
            sock.sendto(_PROBE.pack(b"bareloop", bytes(16), units[index]), targets[index])
        sent += burst
        if not burst and not select.select([sock], [], [], 1.0)[0]:
            break
        while True:
            try:
                data, _ = sock.recvfrom(2048)
            except BlockingIOError:
                break
            online.add(_PROBE.unpack(data)[2])
    return len(online)
