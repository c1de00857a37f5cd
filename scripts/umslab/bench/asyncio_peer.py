# SPDX-License-Identifier: Apache-2.0
"""The peer: the `websockets` library on asyncio, as its documentation says to use it, compression off."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import sys
import time
from typing import TYPE_CHECKING

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as ws_connect
from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as ws_serve
from websockets.exceptions import ConnectionClosed

from umslab.bench.bare import make_device_context, make_server_context
from umslab.bench.worker import resident_bytes, say
from umslab_protocol.wire.paths import WS_CONNECT

if TYPE_CHECKING:
    from pathlib import Path


async def _read_line() -> str:
    return await asyncio.to_thread(sys.stdin.readline)


def serve(folder: Path) -> None:
    """Be the server until standard input ends."""

    async def echo(connection: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for message in connection:
                await connection.send(message)

    async def main() -> None:
        async with ws_serve(
            echo, "127.0.0.1", 0, ssl=make_server_context(folder), compression=None, ping_interval=None, backlog=4096
        ) as server:
            say(port=server.sockets[0].getsockname()[1])
            while line := await _read_line():
                if json.loads(line)["do"] == "memory":
                    say(memory=resident_bytes())

    asyncio.run(main())


def connect(folder: Path) -> None:
    """Be the devices until standard input ends."""

    async def main() -> None:
        context = make_device_context(folder)
        devices: list[ClientConnection] = []
        while line := await _read_line():
            order = json.loads(line)
            if order["do"] == "connect":
                say(seconds=await _connect_all(order, folder, context, devices))
            elif order["do"] == "echo":
                say(seconds=await _echo(order, devices))
            else:
                say(memory=resident_bytes())

    asyncio.run(main())


async def _connect_all(
    order: dict[str, int], folder: Path, context: ssl.SSLContext, devices: list[ClientConnection]
) -> float:
    gate = asyncio.Semaphore(order["parallel"])

    async def one(index: int) -> None:
        async with gate:
            # A context of its own per device: asyncio wraps the socket only after connecting, so a shared one would mix
            # identities.
            own = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            own.load_verify_locations(folder / "root.pem")
            own.load_cert_chain(folder / f"device-{index}.pem")
            devices.append(
                await ws_connect(
                    f"wss://localhost:{order['port']}{WS_CONNECT}",
                    host="127.0.0.1",
                    ssl=own,
                    compression=None,
                    ping_interval=None,
                    proxy=None,
                    open_timeout=60,
                )
            )

    del context
    began = time.perf_counter()
    await asyncio.gather(*(one(index) for index in range(order["first"], order["first"] + order["count"])))
    return time.perf_counter() - began


async def _echo(order: dict[str, int], devices: list[ClientConnection]) -> float:
    async def rounds(device: ClientConnection) -> None:
        for _ in range(order["rounds"]):
            await device.send("x" * 300)
            await device.recv()

    began = time.perf_counter()
    await asyncio.gather(*(rounds(device) for device in devices[: order["devices"]]))
    return time.perf_counter() - began
