# SPDX-License-Identifier: Apache-2.0
"""A fake UMS for devices to talk to: enrols them, opens their sessions, and says what a test tells it to.

async with open_desk(tmp_path) as desk:
device = desk.device("one")
session = await desk.session()          # its newest session, greeted
await session.order(lambda i: Command(id=i, execID="x", command="reboot"))
"""

from __future__ import annotations

import hashlib
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import trio

from tests.support.lab import EPOCH, LabDevice, live
from tests.support.scripted import p7
from umslab_agent.contexts import TlsContexts
from umslab_agent.device import Device
from umslab_agent.folder import DeviceFolder
from umslab_agent.onboarding import World
from umslab_agent.persona import derive_persona
from umslab_agent.trust import TrustMode
from umslab_certs.authority import create_root
from umslab_certs.csr import read_request
from umslab_certs.files import make_private_folder
from umslab_certs.identity import save_identity
from umslab_certs.keys import KeyType
from umslab_certs.names import subject_names
from umslab_certs.tls import server_context
from umslab_protocol.machines.carrier import Closed
from umslab_protocol.machines.device_life import DeviceLife
from umslab_protocol.machines.retrying import RetryPolicy
from umslab_protocol.machines.session_server import ServerSession, SessionRules
from umslab_protocol.values.firmware import DEFAULT_FIRMWARE, FirmwareVersion
from umslab_protocol.values.host_port import HostPort
from umslab_protocol.wire.close_codes import REFUSAL_HEADER, CloseCode, Refusal
from umslab_protocol.wire.codec import JsonCodec
from umslab_protocol.wire.messages import (
    SUBPROTOCOL,
    Ack,
    Command,
    Error,
    Hello,
    Message,
    PullSettings,
    Result,
    SettingsMessage,
)
from umslab_protocol.wire.orders import FileOrder
from umslab_protocol.wire.transfer import decode_body
from umslab_protocol.wire.websocket_opening import answer_opening
from umslab_runtime.clock import VirtualClock
from umslab_runtime.connections import ConnectionServer
from umslab_runtime.executor import InlineExecutor
from umslab_runtime.http import Request, Response, Upgrade, text_response
from umslab_runtime.limits import Limits
from umslab_runtime.net_memory import MemoryNetwork
from umslab_runtime.session_host import SessionHost, open_session_host

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path

    from umslab_agent.behaviour import DeviceBehaviour
    from umslab_certs.authority import Authority
    from umslab_protocol.machines.session import Received
    from umslab_protocol.wire.orders import CommandName
    from umslab_runtime.clock import Clock
    from umslab_runtime.pump import SessionPump
    from umslab_runtime.tls import TLSStream

M = TypeVar("M")
UNKNOWN = Response(410, [(REFUSAL_HEADER, Refusal.UNKNOWN_DEVICE)], b"never heard of it")
QUIET = SessionRules(ping_after=86_400.0, pong_within=60.0)
PORT = 8443
HOST = "ums.lab"


class DeskSession:
    """One session as the server sees it."""

    def __init__(self, desk: Desk, pump: SessionPump, host: str) -> None:
        self.pump = pump
        self.host = host
        self.received: list[Message] = []
        self.closed: Closed | None = None
        self._desk = desk
        self._last_id = 0
        self._moved = trio.Event()

    @property
    def hello(self) -> Hello:
        """What the device said first."""
        first = self.received[0]
        assert isinstance(first, Hello)
        return first

    async def take(self, received: Received) -> None:
        """Keep a message and answer it as the desk does."""
        message = received.message
        self.received.append(message)
        self._wake()
        if isinstance(message, Hello):
            self._desk.greeted(self)
        elif type(message) not in self._desk.silent_about and not isinstance(message, Ack | Error | Result):
            self._answer(message)

    def _answer(self, message: Any) -> None:
        document = self._desk.document
        if isinstance(message, PullSettings) and document is not None and document.digest != message.digest:
            self.say(lambda number: _numbered(document, number, message.id))
        else:
            self.pump.send(Ack(re=message.id))

    def say(self, make: Callable[[int], Message]) -> int:
        """Send a message with an id; returns the id."""
        self._last_id += 1
        self.pump.send(make(self._last_id))
        return self._last_id

    async def order(self, make: Callable[[int], Message]) -> Ack | Error | Result:
        """Send a message and wait for its answer."""
        number = self.say(make)
        answer: Ack | Error | Result = await self.until(
            lambda said: isinstance(said, Ack | Error | Result) and said.re == number
        )
        return answer

    async def until(self, wanted: Callable[[Any], bool]) -> Any:
        """Wait for a message that has come or is to come."""
        seen = 0
        while True:
            moved = self._moved
            for message in self.received[seen:]:
                if wanted(message):
                    return message
            seen = len(self.received)
            if self.closed is not None:
                raise AssertionError(f"the session ended: {self.closed}")
            await moved.wait()

    async def until_kind(self, kind: type[M]) -> M:
        """Wait for a message of a kind."""
        found: M = await self.until(lambda message: isinstance(message, kind))
        return found

    async def until_over(self) -> Closed:
        """Wait for the end."""
        while self.closed is None:
            await self._moved.wait()
        return self.closed

    def of_kind(self, kind: type[M]) -> list[M]:
        """All messages of a kind."""
        return [message for message in self.received if isinstance(message, kind)]

    def end(self, closed: Closed) -> None:
        """Note the end."""
        self.closed = closed
        self._wake()

    def _wake(self) -> None:
        self._moved.set()
        self._moved = trio.Event()


def _numbered(document: SettingsMessage, number: int, re: int | None) -> SettingsMessage:
    return SettingsMessage(
        id=number,
        re=re,
        version=document.version,
        digest=document.digest,
        settings=document.settings,
        apps=document.apps,
        files=document.files,
    )


async def do(session: DeskSession, name: CommandName, exec_id: str = "x1", /, **parameters: str) -> Result:
    """Command something and return the result."""
    answer = await session.order(lambda number: Command(id=number, execID=exec_id, command=name, parameters=parameters))
    assert isinstance(answer, Result)
    assert exec_id == answer.execID
    return answer


@dataclass
class Desk:
    """The fake UMS, with the network it stands on; `refusals[host]` answers instead of a session."""

    path: Path
    root: Authority
    clients: Authority
    network: MemoryNetwork
    clock: Clock
    host: SessionHost
    nursery: trio.Nursery
    rules: SessionRules
    refusals: dict[str, Response] = field(default_factory=dict)
    enrolments: list[Response] = field(default_factory=list)
    """Answered first, instead of a certificate."""
    document: SettingsMessage | None = None
    """What a pullsettings with another digest is answered with."""
    files: dict[str, bytes] = field(default_factory=dict)
    silent_about: set[type] = field(default_factory=set)
    """Kinds of messages that get no answer."""
    sessions: list[DeskSession] = field(default_factory=list)
    requests: list[tuple[str, Request]] = field(default_factory=list)
    contexts: TlsContexts = field(default_factory=lambda: TlsContexts(check_time=False))
    _arrived: trio.Event = field(default_factory=trio.Event)

    def greeted(self, session: DeskSession) -> None:
        """Note a session whose hello has come."""
        self.sessions.append(session)
        self._arrived.set()
        self._arrived = trio.Event()

    async def session(self, number: int = 1) -> DeskSession:
        """Wait for the session with this number, counted from 1."""
        while len(self.sessions) < number:
            await self._arrived.wait()
        return self.sessions[number - 1]

    def settings(self, version: int, settings: dict[str, str] | None = None, **more: Any) -> SettingsMessage:
        """Make a document and let it be the answer to pullsettings from now on."""
        document = SettingsMessage(id=1, version=version, digest=f"d{version}", settings=settings or {}, **more)
        self.document = document
        return document

    def file(self, name: str, content: bytes) -> FileOrder:
        """Serve a file; returns the order for it."""
        digest = hashlib.sha256(content).hexdigest()
        self.files[digest] = content
        return FileOrder(name=name, sha256=digest, size=len(content))

    async def push(self, session: DeskSession, document: SettingsMessage) -> Ack | Error | Result:
        """Send a document without being asked."""
        return await session.order(lambda number: _numbered(document, number, None))

    async def answer(self, host: str, request: Request, /) -> Response | Upgrade:
        """Serve a request that came to this host."""
        self.requests.append((host, request))
        operation = request.path.rpartition("/")[2]
        if operation == "cacerts":
            return p7([self.root.certificate, self.clients.certificate])
        if operation in {"simpleenroll", "simplereenroll"}:
            if self.enrolments:
                return self.enrolments.pop(0)
            asked = read_request(decode_body(request.body))
            return p7([self.clients.issue_device(asked, now=self.clock.utc())])
        if request.peer.certificate is None:
            return text_response(403, "who are you")
        if operation == "ws-connect":
            if host in self.refusals:
                return self.refusals[host]
            headers = answer_opening(request.headers, (SUBPROTOCOL,))
            return Upgrade(headers, partial(self._run, host))
        content = self.files.get(operation)
        return text_response(404, "no such file") if content is None else Response(200, [], content)

    async def _run(self, host: str, stream: TLSStream, first_bytes: bytes, /) -> None:
        machine = ServerSession(
            codec=JsonCodec(), rules=self.rules, server_name="desk", session_id="s", now=self.clock.monotonic()
        )
        session = DeskSession(self, self.host.pump(machine, stream), host)
        closed = Closed(CloseCode.ABNORMAL, "cancelled", by_peer=False)
        try:
            closed = await session.pump.run(first_bytes, session.take)
        finally:
            session.end(closed)

    async def listen(self, host: str) -> None:
        """Stand at another address too."""
        listener = await self.network.host(host).listen("", PORT)
        leaf, key = self.root.issue_server(subject_names([host]), KeyType.P256, now=self.clock.utc())
        make_private_folder(self.path)
        file = self.path / f"{host}.pem"
        save_identity(file, key, [leaf])
        context = server_context(file, [self.clients.certificate], check_time=False)
        connections = ConnectionServer(
            partial(self.answer, host), context=lambda: context, limits=Limits(), clock=self.clock, server_name="desk"
        )
        self.nursery.start_soon(connections.serve, [listener])

    def device(
        self,
        name: str = "one",
        *,
        behaviour: DeviceBehaviour | None = None,
        policy: RetryPolicy | None = None,
        firmware: FirmwareVersion = DEFAULT_FIRMWARE,
        target: HostPort | None = None,
    ) -> LabDevice:
        """Switch a device on; the same name later means the same folder, as after a power cut."""
        folder = DeviceFolder(self.path / "devices" / name)
        make_private_folder(folder.path)
        persona = folder.load_persona() or derive_persona(7, 1, firmware=firmware)
        folder.save_persona(persona)
        world = World(
            network=self.network.host("devices"),
            clock=self.clock,
            executor=InlineExecutor(),
            contexts=self.contexts,
            codec=JsonCodec(),
            host=self.host,
            entropy=bytes,
        )
        lab_device = LabDevice(folder)
        lab_device.device = Device(
            persona,
            folder,
            target or HostPort(HOST, PORT),
            world,
            life=DeviceLife(policy or RetryPolicy(jitter=0.0), release_delay=86_400.0, chance=lambda: 0.5),
            trust_mode=TrustMode(first_use=True),
            auth_key="key",
            key_type=KeyType.P256,
            on_change=lab_device.note,
            behaviour=behaviour,
            on_happening=lab_device.happened,
        )
        self.nursery.start_soon(live, lab_device)
        return lab_device


@asynccontextmanager
async def open_desk(
    path: Path, *, hosts: Sequence[str] = (HOST,), rules: SessionRules = QUIET, days: float = 60
) -> AsyncIterator[Desk]:
    """Open a desk on a memory network, in virtual time."""
    clock = VirtualClock(EPOCH)
    with trio.fail_after(days * 86_400):
        async with open_session_host(clock, write_seconds=20) as host, trio.open_nursery() as nursery:
            desk = Desk(
                path=path,
                root=create_root("desk root", KeyType.P256, now=EPOCH),
                clients=create_root("desk client CA", KeyType.P256, now=EPOCH, path_length=0),
                network=MemoryNetwork(),
                clock=clock,
                host=host,
                nursery=nursery,
                rules=rules,
            )
            for name in hosts:
                await desk.listen(name)
            yield desk
            nursery.cancel_scope.cancel()
