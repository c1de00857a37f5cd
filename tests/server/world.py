# SPDX-License-Identifier: Apache-2.0
"""A whole server on the memory network, in virtual time, with TLS; and devices that speak to it by hand.

The rules: memory network or loopback with port 0, no real sleeping, the test decides who closes first.
"""

from __future__ import annotations

import os
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec
import trio

from tests.support import greeting
from umslab_certs.chain import load_pem_certificates, parse_certificate
from umslab_certs.identity import save_identity
from umslab_certs.keys import KeyType
from umslab_certs.tls import pinned_context, use_identity
from umslab_protocol.machines.carrier import Closed
from umslab_protocol.machines.session import Received
from umslab_protocol.machines.session_device import DeviceSession
from umslab_protocol.values.auth_key import KeyKind
from umslab_protocol.values.host_port import HostPort
from umslab_protocol.wire import paths
from umslab_protocol.wire.basic_auth import format_basic
from umslab_protocol.wire.codec import JsonCodec
from umslab_protocol.wire.messages import SUBPROTOCOL, Message, PushSysinfo, Welcome
from umslab_protocol.wire.transfer import Wrapping, encode_body
from umslab_runtime.clock import SystemClock, VirtualClock
from umslab_runtime.dial_tls import dial_tls
from umslab_runtime.executor import InlineExecutor
from umslab_runtime.http_client import HttpClientConnection, Opened
from umslab_runtime.net_memory import MemoryNetwork
from umslab_runtime.net_trio import TrioNetwork
from umslab_server.app import Ready, Surroundings, UmsServer
from umslab_server.config import CertificatesConfig, Os11Config, ServerConfig
from umslab_server.front.est import BasicAuthentication
from umslab_server.state_folder import StateFolder

from .parts import EPOCH, Endpoint

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator
    from pathlib import Path

    from umslab_protocol.wire.inventory import DeviceInfo
    from umslab_runtime.http import Headers, Response
    from umslab_runtime.network import Network
    from umslab_runtime.tls import TLSStream
    from umslab_server.service_model import ServiceModel
    from umslab_server.services import Services
    from umslab_server.store import Event

SERVER = "ums.lab"
QUICK = CertificatesConfig(root_key=KeyType.P256, web_key=KeyType.P256)
QUICK_OS11 = Os11Config(key=KeyType.P256, port=0, file_transfer_port=0)


def config(**values: Any) -> ServerConfig:
    """A configuration with keys that are quick to make and any free port."""
    return msgspec.structs.replace(ServerConfig(port=0, names=[SERVER], certificates=QUICK, os11=QUICK_OS11), **values)


@dataclass
class Line:
    """A device's end of a management session."""

    stream: TLSStream
    machine: DeviceSession
    heard: list[Message] = field(default_factory=list)

    async def flush(self) -> None:
        """Send what the machine has to say; at first this is hello."""
        await self.stream.send_all(self.machine.output())

    async def send(self, message: Message) -> None:
        """Send a message."""
        self.machine.send(message)
        await self.flush()

    async def next(self) -> Message | Closed:
        """The next message, or how the session ended."""
        while True:
            event = self.machine.next_event(trio.current_time())
            if isinstance(event, Received):
                self.heard.append(event.message)
                return event.message
            if isinstance(event, Closed):
                await self.stream.aclose()
                return event
            try:
                data = await self.stream.receive_some()
            except trio.BrokenResourceError:
                data = b""
            if data:
                self.machine.receive(data, trio.current_time())
                reply = self.machine.output()
                if reply:
                    with suppress(trio.BrokenResourceError):  # the server had said goodbye already
                        await self.stream.send_all(reply)
            else:
                self.machine.receive_eof(trio.current_time())

    async def closed(self) -> Closed:
        """How the session ends, whatever is said before."""
        while not isinstance(event := await self.next(), Closed):
            pass
        return event

    async def tell(self, info: DeviceInfo, number: int = 1) -> Message | Closed:
        """Send device information; return the answer."""
        await self.send(PushSysinfo(id=number, info=info))
        return await self.next()

    async def hang_up(self) -> None:
        """Pull the plug."""
        await self.stream.aclose()


@dataclass
class World:
    """A running server, and a door for those who call it."""

    path: Path
    network: Network
    host: str
    config: ServerConfig
    server: UmsServer
    ready: Ready
    scope: trio.CancelScope
    nursery: trio.Nursery
    memory: MemoryNetwork

    @property
    def services(self) -> Services:
        """The parts of the server."""
        return self.ready.services

    @property
    def target(self) -> HostPort:
        """Where it listens."""
        return HostPort(self.host, int(self.ready.addresses[0].rpartition(":")[2]))

    def context(self, endpoint: Endpoint | None = None, certificate: bytes | None = None) -> ssl.SSLContext:
        """What a device trusts and presents."""
        roots = load_pem_certificates(self.ready.root.read_bytes(), "the root")
        context = pinned_context(roots, check_time=False)
        if endpoint is not None and certificate is not None:
            file = self.path / f"identity-{os.urandom(4).hex()}.pem"
            save_identity(file, endpoint.key, [parse_certificate(certificate)])
            use_identity(context, file)
        return context

    async def dial(self, context: ssl.SSLContext | None = None) -> TLSStream:
        """Connect."""
        return await dial_tls(self.network, self.target, context or self.context(), within=30.0)

    async def call(
        self,
        method: str,
        path: str,
        *,
        headers: Headers | None = None,
        body: bytes | None = None,
        context: ssl.SSLContext | None = None,
    ) -> Response:
        """Send one request on a connection of its own."""
        stream = await self.dial(context)
        try:
            return await HttpClientConnection(stream, SERVER).request(method, path, headers=headers, body=body)
        finally:
            await stream.aclose()

    async def enrol(self, endpoint: Endpoint, secret: str) -> Response:
        """Enrol over the network."""
        headers = [("Authorization", format_basic("", secret)), ("Content-Type", "application/pkcs10")]
        body = encode_body(endpoint.request, Wrapping.ONE_LINE, "")
        return await self.call("POST", f"{paths.EST}/simpleenroll", headers=headers, body=body)

    async def certificate(self, endpoint: Endpoint) -> bytes:
        """Enrol without the network, with a key of its own."""
        (key,) = await self.services.keys.create(KeyKind.ONE_TIME, actor="test")
        answer = await self.services.enrolment.enrol(endpoint.request, key.secret or "", "here")
        return answer.certificate  # type: ignore[union-attr]

    async def open(
        self, endpoint: Endpoint, certificate: bytes, *, unit_id: str | None = None, hello: bool = True
    ) -> Line | Response:
        """Open `ws-connect` and say hello; or return the refusal."""
        stream = await self.dial(self.context(endpoint, certificate))
        client = HttpClientConnection(stream, SERVER)
        opened = await client.open_websocket(paths.WS_CONNECT, key=os.urandom(16), subprotocols=[SUBPROTOCOL])
        if not isinstance(opened, Opened):
            await stream.aclose()
            return opened
        assert opened.subprotocol == SUBPROTOCOL
        now = trio.current_time()
        line = Line(
            stream, DeviceSession(codec=JsonCodec(), hello=greeting.hello(unit_id or endpoint.unit_id), now=now)
        )
        if hello:
            await line.flush()
        return line

    async def session(self, endpoint: Endpoint, certificate: bytes) -> Line:
        """A session that is greeted."""
        line = await self.open(endpoint, certificate)
        assert isinstance(line, Line), line
        assert isinstance(await line.next(), Welcome)
        await trio.testing.wait_all_tasks_blocked()  # the server has looked at hello
        return line

    async def device(self, number: int = 1) -> tuple[Endpoint, bytes, Line]:
        """A registered device with its session."""
        endpoint = Endpoint(number)
        certificate = await self.certificate(endpoint)
        return endpoint, certificate, await self.session(endpoint, certificate)

    async def events(self, *kinds: str) -> list[Event]:
        """The feed from its beginning; with `kinds`, only these."""
        found = await self.services.store.events(0, limit=10_000)
        return [event for event in found if not kinds or event.kind in kinds]

    async def stop(self) -> None:
        """End the server in order."""
        self.server.stop()
        await self.ready.over.wait()


def surroundings(
    network: Network,
    *,
    real: bool = False,
    control: bool = False,
    service_model: ServiceModel | None = None,
    for_load: bool = False,
) -> Surroundings:
    """The world of a test server: everything inline, virtual dates unless `real`."""
    return Surroundings(
        network=network,
        clock=SystemClock() if real else VirtualClock(EPOCH),
        writer=InlineExecutor(),
        reader=InlineExecutor(),
        codec=JsonCodec(),
        authentication=BasicAuthentication(),
        check_time=real,
        control_socket=control,
        service_model=service_model,
        for_load=for_load,
    )


@asynccontextmanager
async def open_world(
    path: Path,
    chosen: ServerConfig | None = None,
    *,
    real: bool = False,
    control: bool = False,
    memory: MemoryNetwork | None = None,
    service_model: ServiceModel | None = None,
    for_load: bool = False,
) -> AsyncIterator[World]:
    """Run a server on `path`; doing so again is a restart, on the same network if it is given."""
    memory = memory or MemoryNetwork(latency=0.001)
    server_network: Network = TrioNetwork() if real else memory.host(SERVER)
    used = chosen or config()
    around = surroundings(server_network, real=real, control=control, service_model=service_model, for_load=for_load)
    server = UmsServer(used, StateFolder(path / "server"), around, version="test")
    scope = trio.CancelScope()

    async def run(task_status: trio.TaskStatus[Ready]) -> None:
        with scope:
            await server.run(task_status=task_status)

    async with trio.open_nursery() as nursery:
        ready: Ready = await nursery.start(run)
        yield World(
            path=path,
            network=TrioNetwork() if real else memory.host("devices"),
            host="localhost" if real else SERVER,
            config=used,
            server=server,
            ready=ready,
            scope=scope,
            nursery=nursery,
            memory=memory,
        )
        nursery.cancel_scope.cancel()
