# SPDX-License-Identifier: Apache-2.0
"""A whole lab for tests: one server and any number of devices, on the memory network or on loopback.

    async with open_lab(tmp_path) as lab:                    # memory network, Trio's clock, TLS included
        key = await lab.mass_key()
        device = lab.device("one", auth_key=key)
        await device.until_managed()

With Trio's `autojump_clock` fixture time is virtual: `await trio.sleep(86_400)` is a day later at once.
"""

from __future__ import annotations

import os
import random
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING

import trio

from umslab_agent.contexts import TlsContexts
from umslab_agent.device import Device
from umslab_agent.folder import DeviceFolder
from umslab_agent.onboarding import World
from umslab_agent.persona import derive_persona
from umslab_agent.trust import TrustMode
from umslab_certs.keys import KeyType
from umslab_protocol.machines.device_life import DeviceLife, State
from umslab_protocol.machines.retrying import RetryPolicy
from umslab_protocol.values.auth_key import KeyKind
from umslab_protocol.values.firmware import DEFAULT_FIRMWARE, FirmwareVersion
from umslab_protocol.values.host_port import HostPort
from umslab_protocol.wire.codec import JsonCodec
from umslab_runtime.clock import SystemClock, VirtualClock
from umslab_runtime.executor import InlineExecutor
from umslab_runtime.net_memory import MemoryNetwork
from umslab_runtime.net_trio import TrioNetwork
from umslab_runtime.session_host import SessionHost, open_session_host
from umslab_server.app import Ready, Surroundings, UmsServer
from umslab_server.config import CertificatesConfig, Os11Config, ServerConfig
from umslab_server.front.est import BasicAuthentication
from umslab_server.state_folder import StateFolder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from umslab_agent.behaviour import DeviceBehaviour
    from umslab_agent.discovery import Discovery
    from umslab_agent.happenings import Happening
    from umslab_agent.living import Change
    from umslab_agent.nearby import Nowhere
    from umslab_runtime.clock import Clock
    from umslab_runtime.network import Network
    from umslab_server.service_model import ServiceModel
    from umslab_server.services import Services

# The calendar of virtual labs. Certificates are made by this clock and OpenSSL is told not to look at dates.
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
QUICK = CertificatesConfig(root_key=KeyType.P256, web_key=KeyType.P256)
QUICK_OS11 = Os11Config(key=KeyType.P256, port=0, file_transfer_port=0)
SERVER = "ums.lab"


@cache
def quick_config() -> ServerConfig:
    """The default configuration with keys that are quick to make."""
    return ServerConfig(port=0, certificates=QUICK, os11=QUICK_OS11, names=[SERVER])


@dataclass
class LabDevice:
    """A running device and what it told."""

    folder: DeviceFolder
    device: Device = field(init=False)
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    changes: list[Change] = field(default_factory=list)
    happenings: list[Happening] = field(default_factory=list)
    moved: trio.Event = field(default_factory=trio.Event)
    ended: State | None = None
    over: trio.Event = field(default_factory=trio.Event)

    def note(self, change: Change) -> None:
        """Take a change from the device."""
        self.changes.append(change)
        self.moved.set()
        self.moved = trio.Event()

    def happened(self, happening: Happening) -> None:
        """Take a happening from the device."""
        self.happenings.append(happening)
        self.moved.set()
        self.moved = trio.Event()

    async def until_happening(self, text: str) -> Happening:
        """Wait for a happening whose text has this in it, and that has come or is to come."""
        while True:
            moved = self.moved
            for happening in self.happenings:
                if text in happening.text:
                    return happening
            await self._more(moved)

    async def until(self, wanted: Callable[[Change], bool]) -> Change:
        """Wait for a change that has come or is to come."""
        seen = 0
        while True:
            moved = self.moved
            for change in self.changes[seen:]:
                if wanted(change):
                    return change
            seen = len(self.changes)
            await self._more(moved)

    async def _more(self, moved: trio.Event) -> None:
        if self.over.is_set():
            raise AssertionError(f"the device has ended: {self.ended}, {self.device.failure}")
        await moved.wait()

    async def until_managed(self) -> Change:
        """Wait until the server knows all about the device."""
        return await self.until(lambda change: change.managed)

    async def until_state(self, state: State) -> Change:
        """Wait until the device has been in this state."""
        return await self.until(lambda change: change.state is state)

    def power_off(self) -> None:
        """Pull the plug."""
        self.scope.cancel()


@dataclass
class Lab:
    """What `open_lab` yields."""

    path: Path
    clock: Clock
    config: ServerConfig
    device_network: Network
    server_network: Network
    nursery: trio.Nursery
    host: SessionHost
    memory: MemoryNetwork | None
    ready: Ready
    server: UmsServer
    server_scope: trio.CancelScope
    contexts: TlsContexts
    seed: int | None
    service_model: ServiceModel | None = None

    @property
    def services(self) -> Services:
        """The server's services."""
        return self.ready.services

    @property
    def target(self) -> HostPort:
        """Where devices find the server."""
        port = int(self.ready.addresses[0].rpartition(":")[2])
        return HostPort(SERVER if self.memory is not None else "localhost", port)

    async def mass_key(self, text: str = "mass-key") -> str:
        """Make a mass-deployment key."""
        await self.services.keys.create(KeyKind.MASS, chosen=text, actor="test")
        return text

    def token_mode(self) -> TrustMode:
        """Trust by the server's own token."""
        return TrustMode(token=self.services.certificates.token)

    def folder(self, name: str) -> DeviceFolder:
        """Return the folder of a device."""
        return DeviceFolder(self.path / "devices" / name)

    def device(
        self,
        name: str,
        *,
        auth_key: str | None = None,
        trust_mode: TrustMode | None = None,
        policy: RetryPolicy | None = None,
        firmware: FirmwareVersion = DEFAULT_FIRMWARE,
        clock: Clock | None = None,
        target: HostPort | None = None,
        behaviour: DeviceBehaviour | None = None,
        structure_tag: str = "",
        discovery: Discovery | None = None,
        nearby: Nowhere | None = None,
    ) -> LabDevice:
        """Switch a device on; the same name later means the same folder, as after a reboot."""
        folder = self.folder(name)
        folder.path.mkdir(parents=True, exist_ok=True)
        index = int.from_bytes(name.encode(), "big") % 2**31
        persona = folder.load_persona() or derive_persona(
            7 if self.seed is None else self.seed, index, firmware=firmware, structure_tag=structure_tag
        )
        folder.save_persona(persona)
        world = World(
            network=self.device_network,
            clock=clock or self.clock,
            executor=InlineExecutor(),
            contexts=self.contexts,
            codec=JsonCodec(),
            host=self.host,
            entropy=os.urandom,
        )
        lab_device = LabDevice(folder)
        lab_device.device = Device(
            persona,
            folder,
            None if discovery is not None else target or self.target,
            world,
            life=DeviceLife(policy or RetryPolicy(), release_delay=86_400.0, chance=self._chance(persona.unit_id)),
            trust_mode=trust_mode or self.token_mode(),
            auth_key=auth_key,
            key_type=KeyType.P256,
            on_change=lab_device.note,
            behaviour=behaviour,
            on_happening=lab_device.happened,
            discovery=discovery,
            nearby=nearby,
        )
        self.nursery.start_soon(live, lab_device)
        return lab_device

    def _chance(self, unit_id: str) -> Callable[[], float]:
        """What makes a device's waits differ: nothing, unless the lab has a seed."""
        if self.seed is None:
            return lambda: 0.5
        return random.Random(f"lab waits {self.seed} {unit_id}").random

    async def stop_server(self) -> None:
        """End the server in order."""
        self.server.stop()
        await self.ready.over.wait()

    async def kill_server(self) -> None:
        """End the server without any order, as far as one process can."""
        self.server_scope.cancel()
        await trio.testing.wait_all_tasks_blocked()

    async def start_server(self, config: ServerConfig | None = None) -> None:
        """Start the server again on the same state folder and port."""
        self.config = _with_ports(config or self.config, self.ready)
        self.server_scope = trio.CancelScope()
        self.server, self.ready = await _start(
            self.nursery,
            self.path,
            self.server_network,
            self.clock,
            self.config,
            self.server_scope,
            self.service_model,
        )


async def live(lab_device: LabDevice) -> None:
    """Run a device until its end, or until its plug is pulled."""
    try:
        with lab_device.scope:
            lab_device.ended = await lab_device.device.run()
    finally:
        lab_device.over.set()
        lab_device.moved.set()


async def _start(
    nursery: trio.Nursery,
    path: Path,
    network: Network,
    clock: Clock,
    config: ServerConfig,
    scope: trio.CancelScope,
    service_model: ServiceModel | None,
) -> tuple[UmsServer, Ready]:
    server = UmsServer(
        config,
        StateFolder(path / "server"),
        Surroundings(
            network=network,
            clock=clock,
            writer=InlineExecutor(),
            reader=InlineExecutor(),
            codec=JsonCodec(),
            authentication=BasicAuthentication(),
            check_time=isinstance(clock, SystemClock),
            control_socket=False,
            service_model=service_model,
        ),
        version="test",
    )

    async def run(task_status: trio.TaskStatus[Ready]) -> None:
        with scope:
            await server.run(task_status=task_status)

    ready: Ready = await nursery.start(run)
    return server, ready


def _with_ports(config: ServerConfig, ready: Ready) -> ServerConfig:
    """The same ports as before."""
    import msgspec  # noqa: PLC0415

    web, os11, files = (
        int(addresses[0].rpartition(":")[2]) if addresses else None
        for addresses in (ready.addresses, ready.os11_addresses, ready.file_transfer_addresses)
    )
    ports = msgspec.structs.replace(config.os11, port=os11, file_transfer_port=files)
    return msgspec.structs.replace(config, port=web, os11=ports)


@asynccontextmanager
async def open_lab(
    path: Path,
    *,
    config: ServerConfig | None = None,
    real: bool = False,
    latency: float = 0.001,
    days: float = 5,
    seed: int | None = None,
    service_model: ServiceModel | None = None,
) -> AsyncIterator[Lab]:
    """Open a lab: `real` means loopback sockets and the machine's clock, otherwise memory network and virtual dates.

    With a `seed` the devices are others than with another one, and their waits differ from each other's.

    After `days` of Trio's time (a minute on real sockets) the test fails: in virtual time a wait for something that
    never comes would ping its way through eternity.
    """
    clock: Clock = SystemClock() if real else VirtualClock(EPOCH)
    memory = None if real else MemoryNetwork(latency=latency)
    server_network: Network = TrioNetwork() if memory is None else memory.host(SERVER)
    device_network: Network = TrioNetwork() if memory is None else memory.host("devices")
    chosen = config or quick_config()
    scope = trio.CancelScope()
    async with AsyncExitStack() as stack:
        stack.enter_context(trio.fail_after(60 if real else days * 86_400))
        host = await stack.enter_async_context(open_session_host(clock, write_seconds=20.0))
        nursery = await stack.enter_async_context(trio.open_nursery())
        server, ready = await _start(nursery, path, server_network, clock, chosen, scope, service_model)
        yield Lab(
            path=path,
            clock=clock,
            config=chosen,
            device_network=device_network,
            server_network=server_network,
            nursery=nursery,
            host=host,
            memory=memory,
            ready=ready,
            server=server,
            server_scope=scope,
            contexts=TlsContexts(check_time=real),
            seed=seed,
            service_model=service_model,
        )
        nursery.cancel_scope.cancel()
