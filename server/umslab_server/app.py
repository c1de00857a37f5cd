# SPDX-License-Identifier: Apache-2.0
"""The composition root: one page that builds a server out of its parts, runs it, and takes it down in order.

connections -> router -> est -> enrolment -> keys, registry, store
                      -> ws-connect -> device sessions -> registry, presence, store
                      -> pages -> status
control socket -> the same services
"""

from __future__ import annotations

import secrets
import ssl
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog
import trio

from umslab_certs.csrattrs import CSR_ATTRIBUTES
from umslab_protocol.machines.session_server import SessionRules
from umslab_protocol.wire.close_codes import CloseCode
from umslab_runtime.connections import ConnectionServer
from umslab_runtime.control import ControlServer, open_control_listener
from umslab_runtime.session_host import open_session_host
from umslab_server import backup
from umslab_server.certificates import Certificates, encode_issued, open_or_create, refuse_lost, standard_context
from umslab_server.control import Control
from umslab_server.device_sessions import DeviceSessions
from umslab_server.enrolment import Enrolment
from umslab_server.front.est import Est
from umslab_server.front.pages import Pages
from umslab_server.front.routes import Router, build_table
from umslab_server.front.ws_connect import WsConnect
from umslab_server.keys import Keys
from umslab_server.presence import Presence
from umslab_server.registry import Registry
from umslab_server.status import StatusMonitor
from umslab_server.store import Store
from umslab_server.throttle import Throttle

if TYPE_CHECKING:
    from umslab_protocol.wire.codec import SessionCodec
    from umslab_runtime.clock import Clock
    from umslab_runtime.executor import Executor
    from umslab_runtime.network import Listener, Network
    from umslab_runtime.session_host import SessionHost
    from umslab_server.config import ServerConfig
    from umslab_server.front.est import Authentication
    from umslab_server.state_folder import StateFolder

log = structlog.get_logger(__name__)

_ALWAYS_NAMED = ("localhost", "127.0.0.1", "::1")
_EVERYWHERE = {"0.0.0.0", "::"}


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
    control_socket: bool = True


@dataclass(kw_only=True)
class Ready:
    """A server that accepts connections."""

    addresses: list[str]
    root: Path
    token: str
    control: Path | None
    services: Services
    over: trio.Event
    """Set when `run` has ended in order."""


@dataclass(kw_only=True)
class Services:
    """The parts that tests and the control socket talk to."""

    store: Store
    keys: Keys
    registry: Registry
    presence: Presence
    certificates: Certificates
    status: StatusMonitor
    sessions: DeviceSessions
    enrolment: Enrolment


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

    def stop(self) -> None:
        """Begin the orderly end; `run` returns within `drain_seconds`."""
        self._stop.set()

    async def run(self, *, task_status: trio.TaskStatus[Ready] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until `stop`; the ready server is reported through `nursery.start`.

        Raises `StateFolderError`, `StoreError`, `CertificateError`, `ListenError` or `OSError` when it cannot start.
        """
        with self._folder.locked():
            async with AsyncExitStack() as stack:
                services = await self._build_services(stack)
                listeners = [await self._listen(host, stack) for host in self._config.listen]
                control = await self._listen_for_control(stack)
                host = await stack.enter_async_context(
                    open_session_host(self._world.clock, write_seconds=self._config.limits.write_seconds)
                )
                await self._serve(services, host, listeners, control, task_status)
        self._over.set()

    async def _listen(self, host: str, stack: AsyncExitStack) -> Listener:
        listener = await self._world.network.listen(host, self._config.port)
        stack.callback(listener.close)
        return listener

    async def _listen_for_control(self, stack: AsyncExitStack) -> tuple[trio.SocketListener, Path] | None:
        if not self._world.control_socket:
            return None
        return await stack.enter_async_context(open_control_listener(self._folder.control))

    async def _build_services(self, stack: AsyncExitStack) -> Services:
        config, world = self._config, self._world
        refuse_lost(self._folder)
        names = certificate_names(config)
        web, clients = await world.writer.run(
            lambda: open_or_create(self._folder, names, config.certificates, world.clock.utc())
        )
        store = Store(
            self._folder.registry,
            clock=world.clock,
            writer=world.writer,
            reader=world.reader,
            keep_events=config.registry.events,
        )
        await world.writer.run(store.open)
        stack.callback(store.close)
        presence = Presence()
        certificates = Certificates(
            web,
            clients,
            names=names,
            make_context=standard_context(
                minimum=ssl.TLSVersion.TLSv1_2 if config.tls_min == "1.2" else ssl.TLSVersion.TLSv1_3,
                tickets=config.tickets,
                check_time=world.check_time and not config.enrolment.accept_expired,
            ),
            clock=world.clock,
            executor=world.writer,
            store=store,
        )
        return Services(
            store=store,
            keys=Keys(store),
            registry=Registry(store, presence, recycle_bin=config.registry.recycle_bin),
            presence=presence,
            certificates=certificates,
            status=StatusMonitor(store, clock=world.clock, web_expires=certificates.web_expires),
            sessions=DeviceSessions(store, presence, clock=world.clock, accept_expired=config.enrolment.accept_expired),
            enrolment=Enrolment(
                store,
                presence,
                Throttle(config.throttle),
                authority=certificates.authority,
                clock=world.clock,
                lifetime=timedelta(days=config.certificates.device_days),
                known_device=config.enrolment.known_device,
                accept_expired=config.enrolment.accept_expired,
            ),
        )

    def _build_front(self, services: Services, host: SessionHost) -> Router:
        config = self._config
        est = Est(
            services.enrolment,
            self._world.authentication,
            ca_certificates=services.certificates.ca_certificates,
            csr_attributes=CSR_ATTRIBUTES,
            wrapping=config.enrolment.body,
            encode_certificate=encode_issued,
        )
        ws_connect = WsConnect(
            services.sessions,
            host,
            codec=self._world.codec,
            rules=SessionRules(
                hello_within=config.sessions.hello_seconds,
                ping_after=config.sessions.ping_seconds,
                pong_within=config.sessions.pong_seconds,
                max_message_bytes=config.sessions.message_bytes,
            ),
            server_name=self._name,
            new_session_id=lambda: secrets.token_hex(8),
        )
        pages = Pages(services.status, self._version)
        return Router(build_table(est, ws_connect, pages, est_alias=config.enrolment.alias))

    async def _serve(
        self,
        services: Services,
        host: SessionHost,
        listeners: list[Listener],
        control: tuple[trio.SocketListener, Path] | None,
        task_status: trio.TaskStatus[Ready],
    ) -> None:
        connections = ConnectionServer(
            self._build_front(services, host),
            context=services.certificates.context,
            limits=self._config.limits,
            clock=self._world.clock,
            server_name=self._name,
        )
        async with trio.open_nursery() as background:
            background.start_soon(services.store.run)
            background.start_soon(services.status.recompute)
            if control is not None:
                background.start_soon(self._build_control(services, connections).serve, control[0])
            async with trio.open_nursery() as serving:
                serving.start_soon(connections.serve, listeners)
                task_status.started(
                    Ready(
                        addresses=[str(listener.address) for listener in listeners],
                        root=self._folder.web / "root.pem",
                        token=str(services.certificates.token),
                        control=None if control is None else control[1],
                        services=services,
                        over=self._over,
                    )
                )
                await self._stop.wait()
                for listener in listeners:
                    listener.close()  # also when `serve` has not come to it yet
                await self._drain(services, connections, serving)
            background.cancel_scope.cancel()
        await services.store.drain()

    def _build_control(self, services: Services, connections: ConnectionServer) -> ControlServer:
        control = Control(
            keys=services.keys,
            registry=services.registry,
            store=services.store,
            certificates=services.certificates,
            status=lambda: self._status(services, connections),
            backup=lambda path: self._backup(Path(path)),
        )
        return ControlServer(control.handle)

    async def _drain(self, services: Services, connections: ConnectionServer, serving: trio.Nursery) -> None:
        """Refuse what is new, let what is under way finish, tell the sessions goodbye; then no more patience."""
        services.sessions.stop()
        connections.stop_accepting()
        services.presence.close_all(CloseCode.GOING_AWAY, "the server is stopping")
        serving.cancel_scope.deadline = trio.current_time() + self._config.drain_seconds

    async def _status(self, services: Services, connections: ConnectionServer) -> dict[str, Any]:
        return {
            "version": self._version,
            "state": await services.status.current(),
            "reasons": services.status.reasons,
            "devices": await services.registry.count(),
            "sessions": len(services.presence),
            "connections": connections.open_connections,
            "counters": dict(sorted(connections.counters.items())),
            "events": services.store.feed.value,
        }

    async def _backup(self, path: Path) -> dict[str, Any]:
        clock, folder = self._world.clock, self._folder
        return await self._world.writer.run(lambda: backup.make(folder, path, version=self._version, now=clock.utc()))


def certificate_names(config: ServerConfig) -> list[str]:
    """What the web certificate covers: every configured name and address, and this machine's own (C6, T17)."""
    listened = [host for host in config.listen if host not in _EVERYWHERE]
    return list(dict.fromkeys([*config.names, *_ALWAYS_NAMED, *listened]))
