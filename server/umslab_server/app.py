# SPDX-License-Identifier: Apache-2.0
"""The composition root: one page that builds a server out of its parts, runs it, and takes it down in order.

connections -> router -> est -> enrolment -> keys, registry, store
                      -> ws-connect -> device sessions -> registry, presence, store
                      -> pages -> status
TCP 30001 -> OS 11 contacts and registration -> device sessions
TCP 30005 <- OS 11 calls <- reach <- configuration, commands, registry
control socket -> the same services
metrics -> what all of them count
"""

from __future__ import annotations

import os
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog
import trio

from umslab_protocol.wire.close_codes import CloseCode
from umslab_protocol.wire.codec import JsonCodec
from umslab_runtime.connections import ConnectionServer, Room
from umslab_runtime.control import ControlServer, open_control_listener
from umslab_runtime.lag import LagProbe
from umslab_runtime.session_host import open_session_host
from umslab_server import backup
from umslab_server.control.tables import build_control
from umslab_server.front.build import build_front, session_rules
from umslab_server.front.turns import Turns
from umslab_server.os11.ports import Os11Ports
from umslab_server.registering import count_generations
from umslab_server.services import Means, Services, open_services, reply_host

if TYPE_CHECKING:
    from collections.abc import Sequence

    from umslab_protocol.wire.codec import SessionCodec
    from umslab_runtime.clock import Clock
    from umslab_runtime.executor import Executor
    from umslab_runtime.network import Announcement, Listener, Network
    from umslab_runtime.session_host import SessionHost
    from umslab_server.config import ServerConfig
    from umslab_server.front.build import Front
    from umslab_server.front.est import Authentication
    from umslab_server.service_model import ServiceModel
    from umslab_server.state_folder import StateFolder

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What a server needs of the world; the memory network and virtual time come in here."""

    network: Network
    clock: Clock
    writer: Executor
    reader: Executor
    codec: SessionCodec
    authentication: Authentication
    check_time: bool = True
    """Whether OpenSSL judges certificate dates; no under virtual time."""
    mdns_on: tuple[str, ...] = ()
    """Addresses from which the user lets this server announce itself; none: those it listens on, where that is free."""
    control_socket: bool = True
    service_model: ServiceModel | None = None
    for_load: bool = False
    """Its operator started it to be put under load, which it proves to fleets from other machines."""
    """How slow the server is on purpose; None: not at all."""


@dataclass(kw_only=True)
class Ready:
    """A server that accepts connections."""

    addresses: list[str]
    os11_addresses: list[str]
    """Where OS 11 devices call; empty where OS 11 is off."""
    file_transfer_addresses: list[str]
    """Where OS 11 devices fetch files."""
    root: Path
    token: str
    control: Path | None
    metrics: str | None
    """Where metrics are, as `ADDRESS:PORT`; None: nowhere."""
    services: Services
    over: trio.Event
    """Set when `run` has ended in order."""


@dataclass(frozen=True, kw_only=True)
class _Doors:
    """What devices and people come in by."""

    room: Room
    host: SessionHost
    turns: Turns | None
    listeners: list[Listener]
    os11: Os11Ports | None
    control: tuple[trio.SocketListener, Path] | None
    metrics: Listener | None


class UmsServer:
    """One simulated UMS. `run` it; `stop` ends it in order."""

    def __init__(self, config: ServerConfig, folder: StateFolder, surroundings: Surroundings, *, version: str) -> None:
        self._config = config
        self._folder = folder
        self._world = surroundings
        self._version = version
        self._name = f"umslab/{version} (simulation; not IGEL)"
        self._stop = trio.Event()
        self._over = trio.Event()
        self._announcement: Announcement | None = None

    def stop(self) -> None:
        """Begin the orderly end; `run` returns within `drain_seconds`."""
        self._stop.set()

    async def run(self, *, task_status: trio.TaskStatus[Ready] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until `stop`; the ready server is reported through `nursery.start`.

        Raises `StateFolderError`, `StoreError`, `CertificateError`, `ListenError`, `TargetRefusedError` or `OSError`
        when it cannot start.
        """
        with self._folder.locked():
            async with AsyncExitStack() as stack:
                services = await self._open_services(stack)
                await self._serve(services, await self._open_doors(services, stack), task_status)
        self._over.set()

    async def _open_services(self, stack: AsyncExitStack) -> Services:
        world = self._world
        means = Means(
            clock=world.clock,
            writer=world.writer,
            reader=world.reader,
            written_documents=isinstance(world.codec, JsonCodec),
            check_time=world.check_time,
            network=world.network,
            entropy=os.urandom,
        )
        return await open_services(self._config, self._folder, means, stack)

    async def _open_doors(self, services: Services, stack: AsyncExitStack) -> _Doors:
        config = self._config
        listeners = await self._listen(config.listen, config.port, stack)
        control = await self._listen_for_control(stack)
        metrics = None
        if config.metrics.port is not None:
            (metrics,) = await self._listen([config.metrics.listen], config.metrics.port, stack)
        await self._announce(listeners, stack)
        await self._open_online_checks(services, stack)
        host = await stack.enter_async_context(
            open_session_host(self._world.clock, write_seconds=config.limits.write_seconds)
        )
        room = Room(config.limits)
        model = self._world.service_model
        turns = None if model is None else Turns(model, host.clock)
        os11 = await self._open_os11(services, host, room, turns, stack)
        services.scan_registration.open(
            web_port=listeners[0].address.port, os11_port=0 if os11 is None else os11.listeners[0].address.port
        )
        return _Doors(
            room=room, host=host, turns=turns, listeners=listeners, os11=os11, control=control, metrics=metrics
        )

    async def _listen(self, hosts: Sequence[str], port: int, stack: AsyncExitStack) -> list[Listener]:
        listeners = []
        for host in hosts:
            listeners.append(await self._world.network.listen(host, port))
            stack.callback(listeners[-1].close)
        return listeners

    async def _open_os11(
        self, services: Services, host: SessionHost, room: Room, turns: Turns | None, stack: AsyncExitStack
    ) -> Os11Ports | None:
        communication = services.certificates.communication
        if communication is None:
            return None
        return Os11Ports(
            self._config,
            services,
            communication,
            host,
            listeners=await self._listen(self._config.listen, self._config.os11_port, stack),
            file_listeners=await self._listen(self._config.listen, self._config.os11_file_transfer_port, stack),
            network=self._world.network,
            codec=self._world.codec,
            rules=session_rules(self._config),
            server_name=self._name,
            room=room,
            check_time=self._world.check_time,
            turns=turns,
        )

    async def _open_online_checks(self, services: Services, stack: AsyncExitStack) -> None:
        config = self._config
        if config.online_check.enabled:
            endpoint = await self._world.network.udp(reply_host(config.listen), config.online_check.reply_port)
            stack.callback(endpoint.close)
            services.online_checks.open(endpoint, os.urandom)

    async def _listen_for_control(self, stack: AsyncExitStack) -> tuple[trio.SocketListener, Path] | None:
        if not self._world.control_socket:
            return None
        return await stack.enter_async_context(open_control_listener(self._folder.control))

    async def _announce(self, listeners: list[Listener], stack: AsyncExitStack) -> None:
        """Let devices find this server by mDNS, if it is asked for; the word goes round while the server starts."""
        if self._config.mdns.enabled:
            announcing = self._world.network.announce(
                self._config.mdns.name,
                listeners[0].address.port,
                on=self._world.mdns_on or self._config.listen,
                user_named=bool(self._world.mdns_on),
            )
            self._announcement = await stack.enter_async_context(announcing)

    def _build_front(self, services: Services, host: SessionHost, turns: Turns | None) -> Front:
        return build_front(
            self._config,
            services,
            host,
            codec=self._world.codec,
            authentication=self._world.authentication,
            version=self._version,
            server_name=self._name,
            turns=turns,
            for_load=self._world.for_load,
        )

    async def _serve(
        self,
        services: Services,
        doors: _Doors,
        task_status: trio.TaskStatus[Ready],
    ) -> None:
        front = self._build_front(services, doors.host, doors.turns)
        connections = ConnectionServer(
            front.router,
            context=services.certificates.context,
            limits=self._config.limits,
            clock=self._world.clock,
            server_name=self._name,
            room=doors.room,
        )
        os11 = doors.os11
        async with trio.open_nursery() as background:
            background.start_soon(services.store.run)
            background.start_soon(services.workers.run)
            if os11 is not None:
                await os11.start()
            await self._start(services, doors.listeners)
            for task in (
                services.status.recompute,
                services.configuration.run,
                services.commands.run,
                services.jobs.run,
            ):
                background.start_soon(task)
            if self._config.online_check.enabled:
                background.start_soon(services.online_checks.carry)
                background.start_soon(services.online_checks.run)
            if doors.control is not None:
                background.start_soon(self._build_control(services, connections).serve, doors.control[0])
            if doors.metrics is not None:
                background.start_soon(self._serve_metrics, doors.metrics, services, front, connections)
            async with trio.open_nursery() as serving:
                serving.start_soon(connections.serve, doors.listeners)
                if os11 is not None:
                    serving.start_soon(os11.serve)
                task_status.started(
                    Ready(
                        addresses=_addresses(doors.listeners),
                        os11_addresses=_addresses([] if os11 is None else os11.listeners),
                        file_transfer_addresses=_addresses([] if os11 is None else os11.file_listeners),
                        root=self._folder.web / "root.pem",
                        token=str(services.certificates.token),
                        control=None if doors.control is None else doors.control[1],
                        metrics=None if doors.metrics is None else str(doors.metrics.address),
                        services=services,
                        over=self._over,
                    )
                )
                await self._stop.wait()
                if self._announcement is not None:
                    self._announcement.withdraw()
                for listener in doors.listeners:
                    listener.close()  # also when `serve` has not come to it yet
                await self._drain(services, connections, os11, serving)
            background.cancel_scope.cancel()
        await services.store.drain()

    async def _start(self, services: Services, listeners: list[Listener]) -> None:
        """Take up what was under way when the server last ended; before the first device comes."""
        await services.rotation.start()
        await services.client_cas.start()
        await services.automatic.start()
        await services.connectors.start(listeners[0].address.port, chosen=self._config.port != 0)
        await services.commands.open()
        await services.files.start()

    def _build_control(self, services: Services, connections: ConnectionServer) -> ControlServer:
        control = build_control(
            services,
            self._config,
            clock=self._world.clock,
            status=lambda: self._status(services, connections),
            backup=lambda path: self._backup(Path(path)),
        )
        return ControlServer(control.handle)

    async def _serve_metrics(
        self, listener: Listener, services: Services, front: Front, connections: ConnectionServer
    ) -> None:
        # Who does not ask for metrics need not wait for their library.
        from umslab_runtime.metrics import serve_metrics  # noqa: PLC0415
        from umslab_server.metrics import ServerMetrics  # noqa: PLC0415

        probe = LagProbe()
        metrics = ServerMetrics(
            version=self._version, services=services, front=front, connections=connections, lag=probe.late
        )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(probe.run)
            await serve_metrics(listener, metrics.collect, clock=self._world.clock, server_name=self._name)

    async def _drain(
        self, services: Services, connections: ConnectionServer, os11: Os11Ports | None, serving: trio.Nursery
    ) -> None:
        """Refuse what is new, let what is under way finish, tell the sessions goodbye; then no more patience."""
        services.sessions.stop()
        connections.stop_accepting()
        if os11 is not None:
            os11.stop()
        services.reach.close_all(CloseCode.GOING_AWAY, "the server is stopping")
        if os11 is not None:
            serving.start_soon(os11.drain)
        serving.cancel_scope.deadline = trio.current_time() + self._config.drain_seconds

    async def _status(self, services: Services, connections: ConnectionServer) -> dict[str, Any]:
        return {
            "version": self._version,
            "state": await services.status.current(),
            "reasons": services.status.reasons,
            "notices": [*services.automatic.notices(), *services.certificates.notices()],
            "devices": await services.registry.count(),
            "generations": await services.store.read(count_generations),
            "sessions": len(services.presence),
            "os11_contacts": services.reach.contacts,
            "connections": connections.open_connections,
            "counters": dict(sorted(connections.counters.items())),
            "online_check": services.online_checks.counters,
            "mdns": None if self._announcement is None else self._announcement.stands(),
            "events": services.store.feed.value,
        }

    async def _backup(self, path: Path) -> dict[str, Any]:
        clock, folder = self._world.clock, self._folder
        return await self._world.writer.run(lambda: backup.make(folder, path, version=self._version, now=clock.utc()))


def _addresses(listeners: Sequence[Listener]) -> list[str]:
    return [str(listener.address) for listener in listeners]
