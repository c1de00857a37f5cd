# SPDX-License-Identifier: Apache-2.0
"""The product under a settings push and under commands: the whole server, and devices that confirm at once."""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import trio

from umslab.bench.pki import unit_id
from umslab.bench.worker import say
from umslab_agent.link import Link, TlsIdentity, open_link
from umslab_certs.chain import load_pem_certificates, parse_certificate, to_pem
from umslab_certs.csr import build_request
from umslab_certs.files import make_private_folder
from umslab_certs.keys import KeyType, generate_key, key_to_pem
from umslab_certs.tls import pinned_context, use_identity
from umslab_protocol.values.auth_key import KeyKind
from umslab_protocol.values.host_port import HostPort
from umslab_protocol.wire.codec import JsonCodec
from umslab_protocol.wire.messages import (
    VERSIONS,
    Ack,
    Command,
    Hello,
    Message,
    PullSettings,
    Result,
    SettingsMessage,
    Welcome,
    encode_message,
)
from umslab_protocol.wire.orders import CommandName, ResultState
from umslab_runtime.clock import SystemClock
from umslab_runtime.connections import raise_descriptor_limit
from umslab_runtime.executor import ThreadExecutor
from umslab_runtime.lag import LagProbe
from umslab_runtime.net_trio import TrioNetwork
from umslab_runtime.session_host import SessionHost, open_session_host
from umslab_runtime.tuning import tune_interpreter
from umslab_runtime.workers import beyond_within
from umslab_server.app import Ready, Surroundings, UmsServer
from umslab_server.commanding.selectors import Selector
from umslab_server.config import CertificatesConfig, Os11Config, ServerConfig
from umslab_server.configuration.reconcile import When
from umslab_server.enrolment import Issued
from umslab_server.front.est import BasicAuthentication
from umslab_server.state_folder import StateFolder

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator
    from pathlib import Path

    from umslab_protocol.machines.session import Received
    from umslab_runtime.latencies import Latencies

_KEY = "bench"
_ENROL_AT_ONCE = 64
_PARALLEL = 32
_LAG_EVERY = 0.005
_LOOK_EVERY = 0.05
_PARAMETERS = 20


class _Bench:
    """What the parent can order from the server."""

    def __init__(self, ready: Ready, folder: Path) -> None:
        self._services = ready.services
        self._folder = folder
        self._pushes = 0

    async def enrol(self, count: int) -> None:
        """Register devices and write their identities."""
        await self._services.keys.create(KeyKind.MASS, chosen=_KEY, actor="bench")
        gate = trio.CapacityLimiter(_ENROL_AT_ONCE)

        async def one(index: int) -> None:
            async with gate:
                key = generate_key(KeyType.P256)
                answer = await self._services.enrolment.enrol(build_request(unit_id(index), key), _KEY, "127.0.0.1")
                assert isinstance(answer, Issued), answer
                issued = to_pem([parse_certificate(answer.certificate)])
                (self._folder / f"device-{index}.pem").write_bytes(key_to_pem(key) + issued)

        async with trio.open_nursery() as nursery:
            for index in range(count):
                nursery.start_soon(one, index)

    async def settled(self, count: int) -> None:
        """Wait until every device has confirmed what it is to have."""
        feed = self._services.store.feed
        while True:
            seen = feed.value  # before the look, so that nothing is missed between it and the wait
            if await self._confirmed() == count:
                return
            await feed.beyond(seen)

    async def push(self, count: int) -> dict[str, Any]:
        """Change the global settings; return when all have durably confirmed."""
        self._pushes += 1
        settings = {f"bench.parameter{number}.value": f"{self._pushes}" * 40 for number in range(_PARAMETERS)}
        async with _lag() as late:
            began = time.perf_counter()
            await self._services.profiles.edit("global", settings, actor="bench", when=When.NOW)
            await self.settled(count)
            seconds = time.perf_counter() - began
        size = len(encode_message(SettingsMessage(id=1, version=2, digest="0" * 64, settings=settings)))
        return {"seconds": seconds, "lag": late.percentile(99), "bytes": size}

    async def command(self, count: int) -> dict[str, Any]:
        """Give all devices a command; return when all results are durable."""
        async with _lag() as late:
            began = time.perf_counter()
            number = await self._services.commands.start(
                CommandName.REFRESH_SYSTEM_INFORMATION, Selector(everyone=True), actor="bench", timeout=120.0
            )
            feed = self._services.store.feed
            while self._services.commands.progress(number) is not None:
                await beyond_within(feed, feed.value, _LOOK_EVERY)
            seconds = time.perf_counter() - began
        shown = await self._services.commands.results(number)
        assert [one.state for one in shown[1]] == ["SUCCESS"] * count
        return {"seconds": seconds, "lag": late.percentile(99)}

    async def _confirmed(self) -> int:
        query = "SELECT count(*) FROM device WHERE settings_version > 0 AND applied_digest = settings_digest"
        return int(await self._services.store.read(lambda connection: connection.exec_driver_sql(query).scalar() or 0))


@asynccontextmanager
async def _lag() -> AsyncIterator[Latencies]:
    probe = LagProbe(_LAG_EVERY)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(probe.run)
        yield probe.late
        nursery.cancel_scope.cancel()


def serve(folder: Path) -> None:
    """Be the server until standard input ends."""

    async def main() -> None:
        raise_descriptor_limit()
        make_private_folder(folder / "state")
        certificates = CertificatesConfig(root_key=KeyType.P256, web_key=KeyType.P256)
        surroundings = Surroundings(
            network=TrioNetwork(),
            clock=SystemClock(),
            writer=ThreadExecutor(),
            reader=ThreadExecutor(),
            codec=JsonCodec(),
            authentication=BasicAuthentication(),
            control_socket=False,
        )
        server = UmsServer(
            ServerConfig(port=0, certificates=certificates, os11=Os11Config(enabled=False)),
            StateFolder(folder / "state"),
            surroundings,
            version="bench",
        )
        async with trio.open_nursery() as nursery:
            ready: Ready = await nursery.start(server.run)
            tune_interpreter()
            (folder / "root.pem").write_bytes(ready.root.read_bytes())
            say(port=int(ready.addresses[0].rpartition(":")[2]))
            bench = _Bench(ready, folder)
            while line := await trio.to_thread.run_sync(sys.stdin.readline):
                order = json.loads(line)
                say(**(await getattr(bench, order["do"])(order["count"]) or {}))
            nursery.cancel_scope.cancel()

    trio.run(main)


class _Device:
    """Has and confirms whatever it is sent."""

    __slots__ = ("_ready", "link")

    def __init__(self, link: Link, ready: trio.Event) -> None:
        self.link = link
        self._ready = ready

    async def received(self, received: Received) -> None:
        message: Message = received.message
        pump = self.link.pump
        match message:
            case Welcome():
                pump.send(PullSettings(id=1))
            case SettingsMessage():
                pump.send(Ack(re=message.id))
                self._ready.set()
            case Command():
                pump.send(Result(re=message.id, execID=message.execID, state=ResultState.SUCCESS))
            case _:
                pass

    async def live(self) -> None:
        await self.link.pump.run(self.link.first_bytes, self.received)


def connect(folder: Path) -> None:
    """Be the devices until standard input ends."""

    async def main() -> None:
        raise_descriptor_limit()
        async with open_session_host(SystemClock(), write_seconds=20) as host, trio.open_nursery() as nursery:
            while line := await trio.to_thread.run_sync(sys.stdin.readline):
                order = json.loads(line)
                context = pinned_context(load_pem_certificates((folder / "root.pem").read_bytes(), "root"))
                await _connect_all(order["count"], order["port"], folder, context, host=host, nursery=nursery)
                say(connected=order["count"])
            nursery.cancel_scope.cancel()

    trio.run(main)


async def _connect_all(
    count: int, port: int, folder: Path, context: ssl.SSLContext, *, host: SessionHost, nursery: trio.Nursery
) -> None:
    network, codec, target = TrioNetwork(), JsonCodec(), HostPort("127.0.0.1", port)
    gate = trio.CapacityLimiter(_PARALLEL)

    async def one(index: int) -> None:
        async with gate:
            link = await open_link(
                network,
                target,
                TlsIdentity(context, lambda: use_identity(context, folder / f"device-{index}.pem")),
                hello=Hello(versions=list(VERSIONS), unitID=unit_id(index), firmwareVersion="12.8.4", boot="1"),
                key=os.urandom(16),
                codec=codec,
                host=host,
            )
            ready = trio.Event()
            nursery.start_soon(_Device(link, ready).live)
            await ready.wait()

    async with trio.open_nursery() as connecting:
        for index in range(count):
            connecting.start_soon(one, index)
