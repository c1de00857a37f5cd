# SPDX-License-Identifier: Apache-2.0
"""A small UMS for OS 11 devices: it plays the server's roles of machines/os11_server.py, and does as the test says."""

from __future__ import annotations

import os
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec
import trio

from tests.support.lab import EPOCH, LabDevice, live
from umslab_agent.contexts import TlsContexts
from umslab_agent.folder import DeviceFolder
from umslab_agent.onboarding import World
from umslab_agent.os11.device import Os11Device, Os11Settings
from umslab_agent.persona import derive_persona
from umslab_certs.device_communication import DeviceCommunication, is_pinned, read_pin
from umslab_certs.keys import KeyType
from umslab_certs.tls import exact_context_12, server_context_12
from umslab_protocol.machines.device_life_os11 import Os11DeviceLife
from umslab_protocol.machines.os11_server import (
    AnsweringServer,
    CallingServer,
    Greeted,
    RegistrationAsked,
    ServerSide,
)
from umslab_protocol.machines.retrying import RetryPolicy
from umslab_protocol.machines.session_server import SessionRules
from umslab_protocol.values.firmware import DEFAULT_OS11_FIRMWARE
from umslab_protocol.values.host_port import HostPort
from umslab_protocol.values.unit_id import UnitId
from umslab_protocol.wire.basic_auth import parse_basic
from umslab_protocol.wire.codec import JsonCodec
from umslab_protocol.wire.messages import Ack, Command, Message, PullSettings, Result, SettingsMessage
from umslab_protocol.wire.os11 import ContactRefusal, Register
from umslab_protocol.wire.os11_proof import is_same, make_file_ticket
from umslab_runtime.clock import SystemClock, VirtualClock
from umslab_runtime.connections import ConnectionServer, Room, StreamServer
from umslab_runtime.dial_tls import dial_tls
from umslab_runtime.executor import InlineExecutor
from umslab_runtime.http import Request, Response
from umslab_runtime.limits import Limits
from umslab_runtime.net_memory import MemoryNetwork
from umslab_runtime.net_trio import TrioNetwork
from umslab_runtime.session_host import SessionHost, open_session_host

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from umslab_agent.behaviour import DeviceBehaviour
    from umslab_agent.discovery import Discovery
    from umslab_agent.nearby import Nowhere
    from umslab_agent.os11.registering import Wish
    from umslab_protocol.machines.carrier import Closed
    from umslab_protocol.machines.session import Received
    from umslab_protocol.values.device_key import DeviceKey
    from umslab_protocol.wire.orders import CommandName
    from umslab_runtime.clock import Clock
    from umslab_runtime.network import Network
    from umslab_runtime.pump import SessionPump
    from umslab_runtime.streams import HttpStream

SERVER = "ums.lab"
DEVICES = "devices"
RULES = SessionRules()


@dataclass
class Known:
    """A registered device."""

    key: DeviceKey
    certificate: str
    push_port: int


class Ums(StreamServer):
    """Set what it is to do; look at what has come."""

    def __init__(self, communication: DeviceCommunication, network: Network, host: SessionHost, clock: Clock) -> None:
        self.use(communication)
        super().__init__(context=self._tls_now, room=Room(Limits()))
        self.network = network
        self.host = host
        self.clock = clock
        self.target = HostPort(SERVER, 30_001)
        self.file_port = 0
        self.known: dict[str, Known] = {}
        self.registers: list[Register] = []
        self.refusal: tuple[ContactRefusal, float | None] | None = None
        """Whoever comes is refused like this."""
        self.answers: list[Message] = []
        """Said instead of the usual to the next messages that have an id."""
        self.settings = SettingsMessage(id=1, version=1, digest="1", settings={"a": "1"})
        self.files: dict[str, bytes] = {}
        self.messages: list[Message] = []
        self.contacts = 0
        self._talking = 0
        self.on_message: Callable[[], None] = lambda: None
        """Called before a message is answered."""
        self._moved = trio.Event()

    def use(self, communication: DeviceCommunication) -> None:
        """Present this certificate from now on."""
        self.communication = communication
        self._tls = server_context_12(communication.identity_file)

    def _tls_now(self) -> ssl.SSLContext:
        return self._tls

    def _note(self) -> None:
        self._moved.set()
        self._moved = trio.Event()

    async def until_registers(self, count: int) -> None:
        """Wait until so many registrations have been asked for."""
        while len(self.registers) < count:
            await self._moved.wait()

    async def until_contacts(self, count: int) -> None:
        """Wait until devices have been let in so often."""
        while self.contacts < count:
            await self._moved.wait()

    async def until_quiet(self) -> None:
        """Wait until no device is connected."""
        while self._talking:
            await self._moved.wait()

    async def until_message(self, kind: type[Message]) -> Message:
        """Wait for a message of this kind, which may have come."""
        while True:
            for message in self.messages:
                if isinstance(message, kind):
                    return message
            await self._moved.wait()

    def _side(self) -> ServerSide:
        return ServerSide(
            codec=JsonCodec(),
            rules=SessionRules(file_transfer_port=self.file_port),
            server_name="ums",
            session_id="s",
            nonce=os.urandom(32),
        )

    # TCP 30001.

    async def converse(self, stream: HttpStream, *, crowded: bool) -> None:
        """Answer a device."""
        del crowded
        machine = AnsweringServer(self._side(), now=self.host.clock.monotonic())
        pump = self.host.pump(machine, stream)

        async def received(received: Received) -> None:
            if isinstance(received, RegistrationAsked | Greeted):
                self._judge(machine, received)
            else:
                self.take(pump, received.message)

        self._talking += 1
        try:
            await pump.run(b"", received)
        finally:
            self._talking -= 1
            self._note()

    def _judge(self, machine: AnsweringServer, asked: RegistrationAsked | Greeted) -> None:
        now = self.host.clock.monotonic()
        if isinstance(asked, RegistrationAsked):
            self.registers.append(asked.register)
            self._note()
        if self.refusal is not None:
            machine.refuse(self.refusal[0], "as the test wants", now, retry_after=self.refusal[1])
            self._note()
            return
        if isinstance(asked, RegistrationAsked):
            self.known[asked.unit_id] = Known(asked.key, asked.register.certificate, asked.register.pushPort)
            machine.accept("kiosk", now)
        else:
            known = self.known.get(asked.unit_id)
            if known is None:
                machine.refuse(ContactRefusal.UNKNOWN_DEVICE, "who?", now)
                return
            if not machine.proves(known.key):
                machine.refuse(ContactRefusal.BAD_PROOF, "another key", now)
                return
            known.push_port = asked.push_port
            machine.admit(known.key, now)
        self.contacts += 1
        self._note()

    def take(self, pump: SessionPump, message: Message) -> None:
        """Keep a message and answer it."""
        self.messages.append(message)
        self.on_message()
        number = getattr(message, "id", None)
        if number is not None and pump.is_open:
            if self.answers:
                pump.send(self.answers.pop(0))
            elif isinstance(message, PullSettings) and message.version < self.settings.version:
                pump.send(_answering(self.settings, number))
            else:
                pump.send(Ack(re=number))
        self._note()

    # TCP 30005.

    async def call(self, unit_id: str, *messages: Message, key: DeviceKey | None = None, host: str = DEVICES) -> Call:
        """Call a device, say these messages, and listen until the end."""
        known = self.known[unit_id]
        pin = read_pin(known.certificate)
        stream = await dial_tls(
            self.network, HostPort(host, known.push_port), exact_context_12(pin, check_time=False), within=10.0
        )
        assert is_pinned(stream.peer_certificate, pin)
        now = self.host.clock.monotonic()
        machine = CallingServer(self._side(), unit_id=UnitId(unit_id), key=key or known.key, now=now)
        pump = self.host.pump(machine, stream)
        heard: list[Message] = []
        waiting = list(messages)

        async def received(received: Received) -> None:
            heard.append(received.message)
            self.take(pump, received.message)
            while waiting:
                pump.send(waiting.pop(0))

        try:
            closed = await pump.run(b"", received)
        finally:
            await stream.aclose()
        return Call(heard, closed, machine.refused.refusal if machine.refused else None)

    async def command(self, unit_id: str, which: CommandName, exec_id: str = "e1", /, **parameters: str) -> Result:
        """Give one command and return its result."""
        order = Command(id=1, execID=exec_id, command=which, parameters=parameters)
        call = await self.call(unit_id, order)
        (result,) = [message for message in call.heard if isinstance(message, Result)]
        return result

    # The file transfer port.

    async def __call__(self, request: Request, /) -> Response:
        """Serve a file to whoever has a ticket."""
        digest = request.path.rpartition("/")[2]
        user, password = parse_basic(dict(request.headers).get("authorization", ""))
        expires, _, ticket = password.partition(":")
        good = is_same(ticket, make_file_ticket(self.known[user].key, UnitId(user), digest, int(expires)))
        in_time = 0 < int(expires) - self.clock.utc().timestamp() <= 86_400
        return Response(200, [], self.files[digest]) if good and in_time else Response(403)


@dataclass(frozen=True)
class Call:
    """How a call went."""

    heard: list[Message]
    closed: Closed
    refused: ContactRefusal | None


def _answering(message: SettingsMessage, number: int) -> SettingsMessage:
    return msgspec.structs.replace(message, re=number)


@dataclass
class Os11Lab:
    """What `open_os11_lab` yields."""

    path: Path
    ums: Ums
    nursery: trio.Nursery
    network: Network
    memory: MemoryNetwork | None
    clock: Clock
    host: SessionHost
    contexts: TlsContexts = field(default_factory=lambda: TlsContexts(check_time=False))

    def device(
        self,
        name: str = "one",
        *,
        policy: RetryPolicy | None = None,
        behaviour: DeviceBehaviour | None = None,
        wish: Wish | None = None,
        key_type: KeyType = KeyType.P256,
        discovery: Discovery | None = None,
        push_port: int = 0,
        nearby: Nowhere | None = None,
    ) -> Os11LabDevice:
        """Switch a device on; the same name later means the same folder."""
        folder = DeviceFolder(self.path / name)
        folder.path.mkdir(parents=True, exist_ok=True)
        index = int.from_bytes(name.encode(), "big") % 2**31
        persona = folder.load_persona() or derive_persona(7, index, firmware=DEFAULT_OS11_FIRMWARE)
        folder.save_persona(persona)
        world = World(
            network=self.network,
            clock=self.clock,
            executor=InlineExecutor(),
            contexts=self.contexts,
            codec=JsonCodec(),
            host=self.host,
            entropy=os.urandom,
        )
        shown = Os11LabDevice(folder)
        settings = Os11Settings(key_type=key_type, push_port=push_port)
        if wish is not None:
            settings = Os11Settings(key_type=key_type, push_port=push_port, wish=wish)
        shown.device = Os11Device(
            persona,
            folder,
            self.ums.target if discovery is None else None,
            world,
            life=Os11DeviceLife(policy or RetryPolicy(), chance=lambda: 0.5),
            settings=settings,
            on_change=shown.note,
            behaviour=behaviour,
            on_happening=shown.happened,
            discovery=discovery,
            nearby=nearby,
        )
        self.nursery.start_soon(live, shown)
        return shown


class Os11LabDevice(LabDevice):
    """A running OS 11 device."""

    device: Os11Device  # type: ignore[assignment]  # the other generation

    @property
    def unit_id(self) -> str:
        """Its unit ID."""
        return self.device.persona.unit_id


@asynccontextmanager
async def open_os11_lab(path: Path, *, real: bool = False, seconds: float = 60) -> AsyncIterator[Os11Lab]:
    """Serve on the memory network in virtual time, or on loopback and then for so many seconds at most."""
    clock: Clock = SystemClock() if real else VirtualClock(EPOCH)
    memory = None if real else MemoryNetwork(latency=0.001)
    server: Network = TrioNetwork() if memory is None else memory.host(SERVER)
    devices: Network = TrioNetwork() if memory is None else memory.host(DEVICES)
    async with AsyncExitStack() as stack:
        stack.enter_context(trio.fail_after(seconds if real else 40 * 86_400))
        host = await stack.enter_async_context(open_session_host(clock, write_seconds=20.0))
        communication = DeviceCommunication.create(path / "tckey", key_type=KeyType.P256, now=clock.utc())
        ums = Ums(communication, server, host, clock)
        address = "127.0.0.1" if real else ""
        listener = await server.listen(address, 0 if real else 30_001)
        files = await server.listen(address, 0)
        for one in (listener, files):
            stack.callback(one.close)
        ums.target = HostPort("127.0.0.1" if real else SERVER, listener.address.port)
        ums.file_port = files.address.port
        web = ConnectionServer(
            ums,
            context=lambda: server_context_12(ums.communication.identity_file),
            limits=Limits(),
            clock=clock,
            server_name="ums",
        )
        nursery = await stack.enter_async_context(trio.open_nursery())
        nursery.start_soon(ums.serve, [listener])
        nursery.start_soon(web.serve, [files])
        yield Os11Lab(path, ums, nursery, devices, memory, clock, host)
        nursery.cancel_scope.cancel()
