# SPDX-License-Identifier: Apache-2.0
"""The bare loop: non-blocking SSLSockets awaited by Trio, wsproto, one task a connection, nothing else.

It is what the second row of house.md section 9 measured, written for this benchmark: the least that a Trio program with
real TLS can do.
"""

from __future__ import annotations

import json
import socket
import ssl
import sys
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import trio
import wsproto
from wsproto.events import AcceptConnection, Message, Request, TextMessage

from umslab.bench.worker import resident_bytes, say
from umslab_protocol.wire.paths import WS_CONNECT

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

_HANDSHAKES = 8


async def retry(sock: ssl.SSLSocket, call: Callable[..., Any], *args: Any) -> Any:
    """Repeat a call on a non-blocking socket until it is done."""
    while True:
        try:
            return call(*args)
        except ssl.SSLWantReadError:
            wait = trio.lowlevel.wait_readable
        except ssl.SSLWantWriteError:
            wait = trio.lowlevel.wait_writable
        await wait(sock)


def make_server_context(folder: Path) -> ssl.SSLContext:
    """TLS 1.3, optional client certificates, no tickets."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.num_tickets = 0
    context.verify_mode = ssl.CERT_OPTIONAL
    context.load_cert_chain(folder / "server.pem")
    context.load_verify_locations(folder / "client-ca.pem")
    return context


def make_device_context(folder: Path) -> ssl.SSLContext:
    """TLS 1.3, pinned; a certificate is loaded for each connection."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_verify_locations(folder / "root.pem")
    return context


def listen() -> socket.socket:
    """Listen on a free port of loopback, and tell the parent which."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    listener.setblocking(False)
    say(port=listener.getsockname()[1])
    return listener


async def accept(
    listener: socket.socket, nursery: trio.Nursery, work: Callable[[socket.socket], Awaitable[None]]
) -> None:
    """Give every connection a task, for ever."""
    while True:
        try:
            raw, _ = listener.accept()
        except BlockingIOError:
            await trio.lowlevel.wait_readable(listener)
            continue
        nursery.start_soon(work, raw)


async def dial(port: int, context: ssl.SSLContext, identity: Path | None = None) -> ssl.SSLSocket:
    """Connect, present a certificate if there is one, shake hands."""
    raw = socket.socket()
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    raw.setblocking(False)
    raw.connect_ex(("127.0.0.1", port))
    await trio.lowlevel.wait_writable(raw)
    if identity is not None:
        context.load_cert_chain(identity)
    sock = context.wrap_socket(
        raw, server_hostname="localhost", do_handshake_on_connect=False, suppress_ragged_eofs=False
    )
    await retry(sock, sock.do_handshake)
    return sock


async def _serve_connection(context: ssl.SSLContext, gate: trio.CapacityLimiter, raw: socket.socket) -> None:
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    raw.setblocking(False)
    sock = context.wrap_socket(raw, server_side=True, do_handshake_on_connect=False, suppress_ragged_eofs=False)
    async with gate:
        await retry(sock, sock.do_handshake)
    ws = wsproto.WSConnection(wsproto.ConnectionType.SERVER)
    try:
        while True:
            ws.receive_data(await retry(sock, sock.recv, 16384) or None)
            for event in ws.events():
                if isinstance(event, Request):
                    await retry(sock, sock.send, ws.send(AcceptConnection()))
                elif isinstance(event, Message):
                    await retry(sock, sock.send, ws.send(TextMessage(data=event.data)))
    except (OSError, wsproto.utilities.RemoteProtocolError):
        sock.close()


def serve(folder: Path) -> None:
    """Be the server until standard input ends."""

    async def main() -> None:
        context = make_server_context(folder)
        gate = trio.CapacityLimiter(_HANDSHAKES)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(accept, listen(), nursery, partial(_serve_connection, context, gate))
            while line := await trio.to_thread.run_sync(sys.stdin.readline):
                if json.loads(line)["do"] == "memory":
                    say(memory=resident_bytes())
            nursery.cancel_scope.cancel()

    trio.run(main)


class _Device:
    def __init__(self, sock: ssl.SSLSocket) -> None:
        self.sock = sock
        self.ws = wsproto.WSConnection(wsproto.ConnectionType.CLIENT)

    async def open(self, host: str) -> None:
        await retry(self.sock, self.sock.send, self.ws.send(Request(host=host, target=WS_CONNECT)))
        await self.next_event()

    async def next_event(self) -> object:
        while True:
            for event in self.ws.events():
                return event
            self.ws.receive_data(await retry(self.sock, self.sock.recv, 16384) or None)

    async def live(self, go: list[trio.Event], rounds: list[int], payload: str) -> None:
        """Echo when told, idle in between: parked on the socket, as a device is."""
        while True:
            await self.next_event()
            if rounds[0] > 0:
                rounds[0] -= 1
                await retry(self.sock, self.sock.send, self.ws.send(TextMessage(data=payload)))
            else:
                go[0].set()


def connect(folder: Path) -> None:
    """Be the devices until standard input ends."""

    async def main() -> None:
        context = make_device_context(folder)
        devices: list[_Device] = []
        async with trio.open_nursery() as nursery:
            while line := await trio.to_thread.run_sync(sys.stdin.readline):
                order = json.loads(line)
                if order["do"] == "connect":
                    say(seconds=await _connect_all(order, folder, context, devices, nursery))
                elif order["do"] == "echo":
                    say(seconds=await _echo(order, devices))
                else:
                    say(memory=resident_bytes())
            nursery.cancel_scope.cancel()

    trio.run(main)


async def _connect_all(
    order: dict[str, int], folder: Path, context: ssl.SSLContext, devices: list[_Device], nursery: trio.Nursery
) -> float:
    began = time.perf_counter()
    gate = trio.CapacityLimiter(order["parallel"])
    async with trio.open_nursery() as connecting:

        async def one(index: int) -> None:
            async with gate:
                device = _Device(await dial(order["port"], context, folder / f"device-{index}.pem"))
                await device.open("localhost")
                devices.append(device)

        for index in range(order["first"], order["first"] + order["count"]):
            connecting.start_soon(one, index)
    seconds = time.perf_counter() - began
    for device in devices[-order["count"] :]:
        nursery.start_soon(_idle, device)
    return seconds


_HOOKS: dict[_Device, tuple[list[trio.Event], list[int]]] = {}


async def _idle(device: _Device) -> None:
    done, rounds = [trio.Event()], [0]
    _HOOKS[device] = (done, rounds)
    await device.live(done, rounds, "x" * 300)


async def _echo(order: dict[str, int], devices: list[_Device]) -> float:
    await trio.lowlevel.checkpoint()
    began = time.perf_counter()
    waiting = []
    for device in devices[: order["devices"]]:
        done, rounds = _HOOKS[device]
        done[0], rounds[0] = trio.Event(), order["rounds"] - 1
        waiting.append(done)
        await retry(device.sock, device.sock.send, device.ws.send(TextMessage(data="x" * 300)))
    for done in waiting:
        await done[0].wait()
    return time.perf_counter() - began
