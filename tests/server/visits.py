# SPDX-License-Identifier: Apache-2.0
"""Devices that visit the services without a network, and what leads them: rotation, client CAs, connectors."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import trio

from umslab_protocol.wire.messages import VERSIONS, Ack, Connectors, Error, Hello, Roots
from umslab_runtime.executor import InlineExecutor
from umslab_server.certificates import Certificates, open_or_create, standard_context
from umslab_server.client_cas import ClientCas
from umslab_server.config import ConnectorsConfig
from umslab_server.connectors import Connectors as ConnectorService
from umslab_server.rotation import Rotation
from umslab_server.sessions import Admitted, LiveSession
from umslab_server.state_folder import StateFolder

from .parts import EPOCH, Endpoint, Office
from .pumps import RecordingPump
from .world import QUICK

if TYPE_CHECKING:
    from pathlib import Path

    from umslab_protocol.values.unit_id import UnitId
    from umslab_runtime.clock import Clock
    from umslab_server.device_sessions import DeviceSessions
    from umslab_server.presence import Presence
    from umslab_server.store import Store

NAMES = ["ums.lab"]
PORT = 8443


@dataclass
class Lead:
    """The services that tell devices what to trust and where to go."""

    certificates: Certificates
    rotation: Rotation
    client_cas: ClientCas
    connectors: ConnectorService


async def take_the_lead(  # the same for an office and for a whole server
    certificates: Certificates,
    store: Store,
    presence: Presence,
    sessions: DeviceSessions,
    clock: Clock,
    *,
    port: int = PORT,
    chosen: bool = True,
    **addresses: str,
) -> Lead:
    """Start the services and let them greet devices."""
    lead = Lead(
        certificates,
        Rotation(store, presence, certificates, clock=clock),
        ClientCas(store, presence, certificates, clock=clock),
        ConnectorService(store, presence, config=ConnectorsConfig(**addresses), names=NAMES, clock=clock),
    )
    await lead.rotation.start()
    await lead.client_cas.start()
    await lead.connectors.start(port, chosen=chosen)
    sessions._on_greeted = [lead.connectors.greeted, lead.rotation.greeted]
    return lead


async def lead_office(office: Office, path: Path, **options: Any) -> Lead:
    """The services of an office, with certificates in a folder; doing so again is a restart."""
    web, clients = open_or_create(StateFolder(path), NAMES, QUICK, EPOCH)
    certificates = Certificates(
        web,
        clients,
        names=NAMES,
        make_context=standard_context(minimum=ssl.TLSVersion.TLSv1_3, tickets=0, check_time=False),
        clock=office.clock,
        executor=InlineExecutor(),
        store=office.store,
    )
    office.enrolment._authority = certificates.authority
    return await take_the_lead(certificates, office.store, office.presence, office.sessions, office.clock, **options)


@dataclass
class Visit:
    """A device with a session, and the lists it holds."""

    office: Office
    unit_id: UnitId
    certificate: bytes
    roots: str = ""
    connectors: str = ""
    boot: str = "1"
    session: LiveSession = field(init=False)
    pump: RecordingPump = field(init=False)

    async def connect(self) -> None:
        """Open a session and say hello."""
        admitted = await self.office.admit(self.certificate)
        assert isinstance(admitted, Admitted), admitted
        self.pump = RecordingPump()
        self.session = LiveSession(admitted, "s", self.pump)
        hello = Hello(
            versions=list(VERSIONS),
            unitID=self.unit_id,
            firmwareVersion="12.8.4",
            boot=self.boot,
            roots=self.roots,
            connectors=self.connectors,
        )
        await self.office.sessions.received(self.session, hello)
        await settled()

    def heard(self, kind: type[Roots | Connectors]) -> list[Any]:
        """What it was told of this kind in this session."""
        return [message for message in self.pump.sent if isinstance(message, kind)]

    async def acknowledge(self) -> None:
        """Keep the newest lists, and answer all that were sent."""
        for message in self.pump.sent:
            if isinstance(message, Roots):
                self.roots = message.digest
            elif isinstance(message, Connectors):
                self.connectors = message.digest
            else:
                continue
            await self.office.sessions.received(self.session, Ack(re=message.id))
        await settled()

    async def refuse(self) -> None:
        """Answer everything with an error."""
        for message in self.pump.sent:
            if isinstance(message, Roots | Connectors):
                await self.office.sessions.received(
                    self.session, Error(code="broken", message="no room", re=message.id)
                )
        await settled()

    async def leave(self) -> None:
        """Be gone."""
        self.session.forsake()
        self.office.presence.leave(self.session)
        await settled()


async def visit(office: Office, number: int = 1) -> Visit:
    """A registered device that has connected once and is here."""
    endpoint = Endpoint(number)
    certificate = await office.enrol(endpoint, await office.mass_key(f"key-{number}"))
    made = Visit(office, endpoint.unit_id, certificate)
    await made.connect()
    return made


async def settled() -> None:
    """Let everything that was posted be written."""
    await trio.testing.wait_all_tasks_blocked()
