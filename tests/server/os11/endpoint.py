# SPDX-License-Identifier: Apache-2.0
"""OS 11 devices by hand, over TLS: they register and report on TCP 30001, and wait for their server on TCP 30005."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import trio

from tests.server.parts import EPOCH, unit_id
from tests.server.world import Line, World
from tests.support.greeting import hello
from umslab_certs.chain import to_pem
from umslab_certs.device_communication import make_self_signed, read_pin
from umslab_certs.identity import save_identity
from umslab_certs.keys import KeyType
from umslab_certs.tls import blind_context_12, exact_context_12, server_context_12
from umslab_protocol.machines.carrier import Closed
from umslab_protocol.machines.os11_device import AnsweringDevice, CallingDevice
from umslab_protocol.machines.session import Received
from umslab_protocol.values.device_key import DeviceKey
from umslab_protocol.values.host_port import HostPort
from umslab_protocol.wire.close_codes import CloseCode
from umslab_protocol.wire.codec import JsonCodec
from umslab_protocol.wire.messages import Ack, Command, Result, SettingsMessage, Welcome
from umslab_protocol.wire.orders import ResultState
from umslab_protocol.wire.os11 import Refused, Register
from umslab_runtime.dial_tls import dial_tls
from umslab_runtime.tls import TLSError

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator

    from cryptography.x509 import Certificate

    from umslab_protocol.machines.os11 import Os11Session
    from umslab_protocol.wire.messages import Hello, Message
    from umslab_runtime.network import Listener
    from umslab_server.device_views import DeviceView

FIRMWARE = "11.10.210"


class Os11Line(Line):
    """A device's end of an OS 11 conversation."""

    machine: Os11Session  # type: ignore[assignment]

    async def next(self) -> Message | Closed:
        """The next message, or how it ended; what the greeting asks for is answered on the way."""
        while True:
            event = self.machine.next_event(trio.current_time())
            with suppress(trio.BrokenResourceError):
                await self.stream.send_all(self.machine.output())
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
            else:
                self.machine.receive_eof(trio.current_time())

    @property
    def refused(self) -> Refused:
        """What the server said instead of going on."""
        assert self.machine.refused is not None
        return self.machine.refused

    async def goodbye(self) -> Closed:
        """Say that all is said."""
        self.machine.close(CloseCode.NORMAL, "all is said", trio.current_time())
        return await self.closed()


@dataclass
class Os11Endpoint:
    """One device. `listening` opens its port 30005, on any free port."""

    world: World
    number: int = 1
    key: DeviceKey = field(default_factory=lambda: DeviceKey(os.urandom(32)))
    pin: Certificate | None = None
    listener: Listener | None = None
    boot: int = 1
    dies: bool = False
    """It hangs up when it is called and gets settings."""
    done: list[str] = field(default_factory=list)
    """Execution IDs of what it has done."""
    kept: list[SettingsMessage] = field(default_factory=list)
    """The settings it has kept."""
    calls: list[list[Message]] = field(default_factory=list)
    """What it was told in each call of the server."""

    def __post_init__(self) -> None:
        """Make its certificate."""
        self.unit_id = unit_id(self.number)
        self.certificate, self.private_key = make_self_signed(KeyType.P256, now=EPOCH)

    @property
    def pem(self) -> str:
        """Its certificate."""
        return to_pem([self.certificate]).decode()

    @property
    def push_port(self) -> int:
        """Where it listens."""
        return 0 if self.listener is None else self.listener.address.port

    def hello(self) -> Hello:
        """What it says first."""
        return hello(self.unit_id, boot=str(self.boot), firmware=FIRMWARE)

    async def dial(self, context: ssl.SSLContext, port: str = "os11_addresses") -> Any:
        """Connect to one of the ports of OS 11."""
        address: str = getattr(self.world.ready, port)[0]
        target = HostPort(self.world.host, int(address.rpartition(":")[2]))
        return await dial_tls(self.world.network, target, context, within=30.0)

    async def ask(self, **wishes: str) -> tuple[Os11Line, Message | Closed]:
        """Ask for registration; return the line, and the answer."""
        values: dict[str, Any] = {"mac": self.unit_id[:12], "key": self.key.text, "certificate": self.pem, **wishes}
        register = Register(hello=self.hello(), pushPort=self.push_port, **values)
        stream = await self.dial(blind_context_12())
        line = self._line(stream, self._caller(register))
        answer = await line.next()
        if isinstance(answer, Welcome):
            self.pin = read_pin(self.world.services.certificates.communication.pem)  # type: ignore[union-attr]
        return line, answer

    async def register(self, **wishes: str) -> Os11Line:
        """Register, which must succeed."""
        line, answer = await self.ask(**wishes)
        assert isinstance(answer, Welcome), line.machine.refused
        await trio.testing.wait_all_tasks_blocked()
        return line

    async def contact(self) -> tuple[Os11Line, Message | Closed]:
        """Contact the server it is registered with; return the line, and the answer."""
        assert self.pin is not None
        line = self._line(await self.dial(exact_context_12(self.pin, check_time=False)), self._caller(None))
        answer = await line.next()
        await trio.testing.wait_all_tasks_blocked()
        return line, answer

    def _caller(self, register: Register | None) -> CallingDevice:
        return CallingDevice(
            codec=JsonCodec(),
            hello=self.hello(),
            key=self.key,
            nonce=os.urandom(32),
            now=trio.current_time(),
            register=register,
            push_port=self.push_port,
        )

    @staticmethod
    def _line(stream: Any, machine: Os11Session) -> Os11Line:
        return Os11Line(stream, machine)  # type: ignore[arg-type]

    async def view(self) -> DeviceView:
        """What the registry says of it."""
        return await self.world.services.registry.show(self.unit_id)

    # TCP 30005.

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Wait for calls, and do what it is told."""
        listener = self.listener or await self.open()
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._accept, listener, nursery)
                yield
                nursery.cancel_scope.cancel()
        finally:
            listener.close()

    async def open(self) -> Listener:
        """Open the port, without answering yet."""
        self.listener = await self.world.network.listen("127.0.0.1", 0)
        return self.listener

    def context(self) -> ssl.SSLContext:
        """What it presents."""
        file = self.world.path / f"os11-{self.number}-{os.urandom(4).hex()}.pem"
        save_identity(file, self.private_key, [self.certificate])
        return server_context_12(file)

    async def _accept(self, listener: Listener, nursery: trio.Nursery) -> None:
        context = self.context()
        while True:
            transport = await listener.accept()
            stream = transport.wrap_tls(context, server_side=True)
            nursery.start_soon(self._answer, stream)

    async def _answer(self, stream: Any) -> None:
        try:
            await stream.do_handshake()
        except TLSError:  # the server takes this for somebody else
            return
        machine = AnsweringDevice(
            codec=JsonCodec(), hello=self.hello(), key=self.key, nonce=os.urandom(32), now=trio.current_time()
        )
        line = self._line(stream, machine)
        self.calls.append(line.heard)
        while not isinstance(message := await line.next(), Closed):
            if self.dies and isinstance(message, SettingsMessage):
                await line.hang_up()
                return
            await self.obey(line, message)

    async def obey(self, line: Os11Line, message: Message) -> None:
        """Do what the server says, as a device does."""
        if isinstance(message, SettingsMessage):
            self.kept.append(message)
            await line.send(Ack(re=message.id))
        elif isinstance(message, Command):
            self.done.append(message.execID)
            result = Result(re=message.id, execID=message.execID, state=ResultState.SUCCESS, message="done")
            await line.send(result)
        elif (number := getattr(message, "id", None)) is not None:
            await line.send(Ack(re=number))
