# SPDX-License-Identifier: Apache-2.0
"""The bare send loop: a server that sends one message to each of its connections and counts what comes back.

TLS by non-blocking SSLSockets, frames by wsproto, one task a connection, as in bare.py; no registry, no disk.
"""

from __future__ import annotations

import json
import socket
import sys
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import trio
import wsproto
from wsproto.events import AcceptConnection, Request, TextMessage

from umslab.bench.bare import accept, dial, listen, make_device_context, make_server_context, retry
from umslab.bench.worker import say
from umslab_protocol.wire.paths import WS_CONNECT

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable
    from pathlib import Path

_HANDSHAKES = 8
_ANSWER = '{"type":"ack","re":1}'


class _Server:
    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self._gate = trio.CapacityLimiter(_HANDSHAKES)
        self._connections: list[tuple[ssl.SSLSocket, wsproto.WSConnection]] = []
        self._answers = 0
        self._all_answered = trio.Event()

    async def serve_connection(self, raw: socket.socket) -> None:
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        raw.setblocking(False)
        sock = self._context.wrap_socket(
            raw, server_side=True, do_handshake_on_connect=False, suppress_ragged_eofs=False
        )
        async with self._gate:
            await retry(sock, sock.do_handshake)
        ws = wsproto.WSConnection(wsproto.ConnectionType.SERVER)
        while True:
            ws.receive_data(await retry(sock, sock.recv, 16384) or None)
            for event in ws.events():
                if isinstance(event, Request):
                    await retry(sock, sock.send, ws.send(AcceptConnection()))
                    self._connections.append((sock, ws))
                elif isinstance(event, TextMessage):
                    self._answers += 1
                    if self._answers == len(self._connections):
                        self._all_answered.set()

    async def push(self, payload: str) -> float:
        """Send to all, wait for all answers; return the seconds."""
        self._answers, self._all_answered = 0, trio.Event()
        began = time.perf_counter()
        for sock, ws in self._connections:
            await retry(sock, sock.send, ws.send(TextMessage(data=payload)))
        await self._all_answered.wait()
        return time.perf_counter() - began


async def _until_closed(work: Callable[..., Awaitable[None]], *args: Any, **more: Any) -> None:
    """Carry a connection until the other side is gone, as it is at the end of the benchmark."""
    with suppress(OSError, wsproto.utilities.RemoteProtocolError):
        await work(*args, **more)


def serve(folder: Path) -> None:
    """Be the server until standard input ends."""

    async def main() -> None:
        server = _Server(make_server_context(folder))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(accept, listen(), nursery, partial(_until_closed, server.serve_connection))
            while line := await trio.to_thread.run_sync(sys.stdin.readline):
                order = json.loads(line)
                say(seconds=await server.push("x" * order["bytes"]))
            nursery.cancel_scope.cancel()

    trio.run(main)


def connect(folder: Path) -> None:
    """Be the devices until standard input ends."""

    async def main() -> None:
        context = make_device_context(folder)
        gate = trio.CapacityLimiter(32)
        async with trio.open_nursery() as nursery:

            async def live(index: int, port: int, *, task_status: trio.TaskStatus[None]) -> None:
                sock = await dial(port, context, folder / f"device-{index}.pem")
                ws = wsproto.WSConnection(wsproto.ConnectionType.CLIENT)
                await retry(sock, sock.send, ws.send(Request(host="localhost", target=WS_CONNECT)))
                while True:
                    ws.receive_data(await retry(sock, sock.recv, 16384) or None)
                    for event in ws.events():
                        if isinstance(event, AcceptConnection):
                            task_status.started()
                        elif isinstance(event, TextMessage):
                            await retry(sock, sock.send, ws.send(TextMessage(data=_ANSWER)))

            async def one(index: int, port: int) -> None:
                async with gate:
                    await nursery.start(partial(_until_closed, live), index, port)

            while line := await trio.to_thread.run_sync(sys.stdin.readline):
                order = json.loads(line)
                async with trio.open_nursery() as connecting:
                    for index in range(order["count"]):
                        connecting.start_soon(one, index, order["port"])
                say(connected=order["count"])
            nursery.cancel_scope.cancel()

    trio.run(main)
