# SPDX-License-Identifier: Apache-2.0
"""What a server opens for OS 11 devices: the port they call, the port of files, and the calls to them.

Both ports speak TLS 1.2 and nothing else (T1), present the device-communication certificate (G4), and share the bounds
of the web port.
"""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import TYPE_CHECKING

import trio

from umslab_certs.tls import server_context_12
from umslab_protocol.machines.os11_server import ServerSide
from umslab_protocol.wire import paths
from umslab_protocol.wire.os11 import NONCE_BYTES
from umslab_runtime.connections import ConnectionServer
from umslab_server.front.files import FileFront
from umslab_server.front.routes import Router
from umslab_server.front.turns import QueuedSessions
from umslab_server.os11 import known
from umslab_server.os11.calls import Calls
from umslab_server.os11.listening import DeviceServer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from umslab_certs.device_communication import DeviceCommunication
    from umslab_protocol.machines.session_server import SessionRules
    from umslab_protocol.wire.codec import SessionCodec
    from umslab_runtime.connections import Room
    from umslab_runtime.network import Listener, Network
    from umslab_runtime.session_host import SessionHost
    from umslab_server.config import ServerConfig
    from umslab_server.front.routes import Handler
    from umslab_server.front.turns import Turns
    from umslab_server.services import Services


class Os11Ports:
    """Open them with listeners, `start`, `serve`; then `stop` and `drain`."""

    def __init__(
        self,
        config: ServerConfig,
        services: Services,
        communication: DeviceCommunication,
        host: SessionHost,
        *,
        listeners: Sequence[Listener],
        file_listeners: Sequence[Listener],
        network: Network,
        codec: SessionCodec,
        rules: SessionRules,
        server_name: str,
        room: Room,
        check_time: bool,
        turns: Turns | None = None,
    ) -> None:
        """With `turns`, registrations, contacts, messages and requests for files wait for theirs."""
        self.listeners = list(listeners)
        self.file_listeners = list(file_listeners)
        self._reach = services.reach
        self._store = services.store
        context = server_context_12(communication.identity_file)
        sessions = services.sessions if turns is None else QueuedSessions(services.sessions, turns)
        rules = replace(rules, file_transfer_port=self.file_listeners[0].address.port)

        def new_side() -> ServerSide:
            return ServerSide(
                codec=codec,
                rules=rules,
                server_name=server_name,
                session_id=new_session_id(),
                nonce=secrets.token_bytes(NONCE_BYTES),
            )

        self._calls = Calls(
            services.store,
            sessions,
            network,
            host,
            new_side=new_side,
            linger_seconds=config.os11.linger_seconds,
            check_time=check_time,
        )
        self._devices = DeviceServer(
            sessions,
            services.os11.contacts,
            services.os11.registration,
            host,
            new_side=new_side,
            on_contact=self._calls.heard_of,
            context=lambda: context,
            room=room,
            turns=turns,
        )
        files = FileFront(services.files, services.os11.tickets.judge)
        table: dict[str, dict[str, Handler]] = {f"{paths.FILE_TRANSFER}/": {"GET": files.get}}
        self._files = ConnectionServer(
            Router(table if turns is None else turns.wrap(table)),
            context=lambda: context,
            limits=config.limits,
            clock=host.clock,
            server_name=server_name,
            room=room,
        )

    async def start(self) -> None:
        """Learn who can be called; before anybody is."""
        self._reach.note_os11(await self._store.read(known.list_callable))
        self._reach.call = self._calls.session

    async def serve(self) -> None:
        """Serve both ports, until `stop` and the last connection."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._devices.serve, self.listeners)
            nursery.start_soon(self._files.serve, self.file_listeners)

    def stop(self) -> None:
        """Take no more connections, and make none."""
        for listener in (*self.listeners, *self.file_listeners):
            listener.close()  # also when `serve` has not come to it yet
        self._devices.stop_accepting()
        self._files.stop_accepting()
        self._calls.stop()

    async def drain(self) -> None:
        """Wait until the last call is over."""
        await self._calls.drain()


def new_session_id() -> str:
    """Name a session."""
    return secrets.token_hex(8)
