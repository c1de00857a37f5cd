# SPDX-License-Identifier: Apache-2.0
"""The product's own connection path, both sides, with services that do nothing but echo."""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from itertools import count
from typing import TYPE_CHECKING

import trio

from umslab.bench.worker import resident_bytes, say
from umslab_agent.link import Link, TlsIdentity, open_link
from umslab_certs.chain import load_pem_certificates
from umslab_certs.tls import pinned_context, server_context, use_identity
from umslab_protocol.machines.session_server import SessionRules
from umslab_protocol.values.host_port import HostPort
from umslab_protocol.values.unit_id import UnitId
from umslab_protocol.wire.codec import JsonCodec
from umslab_protocol.wire.messages import VERSIONS, Error, Hello, Message, Welcome
from umslab_runtime.clock import SystemClock
from umslab_runtime.connections import ConnectionServer
from umslab_runtime.limits import Limits
from umslab_runtime.net_trio import TrioNetwork
from umslab_runtime.session_host import SessionHost, open_session_host
from umslab_server.front.ws_connect import WsConnect
from umslab_server.sessions import Admitted, LiveSession, NotAdmitted

if TYPE_CHECKING:
    import ssl
    from pathlib import Path

    from umslab_protocol.machines.carrier import Closed
    from umslab_protocol.machines.session import Received
    from umslab_runtime.http import Peer

_PAYLOAD = Error(code="benchmark", message="x" * 252)  # 300 bytes of JSON


class _Echo:
    """Admits everybody, gives everything back."""

    def __init__(self) -> None:
        self._ids = count()
        self.sent: Counter[type] = Counter()

    async def admit(self, peer: Peer) -> Admitted | NotAdmitted:
        assert peer.certificate is not None
        return Admitted(UnitId(f"02{next(self._ids):010X}"))

    async def received(self, session: LiveSession, message: Message) -> None:
        if not isinstance(message, Hello):
            session.send(message)

    def left(self, session: LiveSession, closed: Closed) -> None:
        pass


def serve(folder: Path) -> None:
    """Be the server until standard input ends."""

    async def main() -> None:
        clock, limits = SystemClock(), Limits()
        context = server_context(
            folder / "server.pem", load_pem_certificates((folder / "client-ca.pem").read_bytes(), "CA")
        )
        async with open_session_host(clock, write_seconds=limits.write_seconds) as host:
            front = WsConnect(
                _Echo(),
                host,
                codec=JsonCodec(),
                rules=SessionRules(),
                server_name="bench",
                new_session_id=lambda: os.urandom(8).hex(),
            )
            connections = ConnectionServer(
                front.get, context=lambda: context, limits=limits, clock=clock, server_name="bench"
            )
            listener = await TrioNetwork().listen("127.0.0.1", 0)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(connections.serve, [listener])
                say(port=listener.address.port)
                while line := await trio.to_thread.run_sync(sys.stdin.readline):
                    if json.loads(line)["do"] == "memory":
                        say(memory=resident_bytes())
                nursery.cancel_scope.cancel()

    trio.run(main)


class _Device:
    __slots__ = ("done", "link", "rounds")

    def __init__(self, link: Link) -> None:
        self.link = link
        self.rounds = 0
        self.done: trio.Event | None = None

    async def received(self, received: Received) -> None:
        if isinstance(received.message, Welcome):
            return
        if self.rounds > 0:
            self.rounds -= 1
            self.link.pump.send(_PAYLOAD)
        elif self.done is not None:
            self.done.set()

    async def live(self) -> None:
        await self.link.pump.run(self.link.first_bytes, self.received)


def connect(folder: Path) -> None:
    """Be the devices until standard input ends."""

    async def main() -> None:
        clock = SystemClock()
        context = pinned_context(load_pem_certificates((folder / "root.pem").read_bytes(), "root"))
        devices: list[_Device] = []
        async with open_session_host(clock, write_seconds=20) as host, trio.open_nursery() as nursery:
            while line := await trio.to_thread.run_sync(sys.stdin.readline):
                order = json.loads(line)
                if order["do"] == "connect":
                    say(seconds=await _connect_all(order, folder, context, devices=devices, host=host, nursery=nursery))
                elif order["do"] == "echo":
                    say(seconds=await _echo(order, devices))
                else:
                    say(memory=resident_bytes())
            nursery.cancel_scope.cancel()

    trio.run(main)


async def _connect_all(
    order: dict[str, int],
    folder: Path,
    context: ssl.SSLContext,
    *,
    devices: list[_Device],
    host: SessionHost,
    nursery: trio.Nursery,
) -> float:
    network, codec, target = TrioNetwork(), JsonCodec(), HostPort("127.0.0.1", order["port"])
    gate = trio.CapacityLimiter(order["parallel"])

    async def one(index: int) -> None:
        async with gate:
            link = await open_link(
                network,
                target,
                TlsIdentity(context, lambda: use_identity(context, folder / f"device-{index}.pem")),
                hello=Hello(versions=list(VERSIONS), unitID=f"02{index:010X}", firmwareVersion="12.8.4"),
                key=os.urandom(16),
                codec=codec,
                host=host,
            )
            device = _Device(link)
            devices.append(device)
            nursery.start_soon(device.live)

    began = time.perf_counter()
    async with trio.open_nursery() as connecting:
        for index in range(order["first"], order["first"] + order["count"]):
            connecting.start_soon(one, index)
    return time.perf_counter() - began


async def _echo(order: dict[str, int], devices: list[_Device]) -> float:
    began = time.perf_counter()
    chosen = devices[: order["devices"]]
    for device in chosen:
        device.rounds, device.done = order["rounds"] - 1, trio.Event()
        device.link.pump.send(_PAYLOAD)
    for device in chosen:
        assert device.done is not None
        await device.done.wait()
    return time.perf_counter() - began
