# SPDX-License-Identifier: Apache-2.0
"""The services of the configuration on a real store, with devices that come, pull and acknowledge by hand."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec
import trio
from sqlalchemy import select

from tests.server.parts import EPOCH, open_store, unit_id
from tests.server.pumps import RecordingPump
from tests.support.greeting import hello
from umslab_protocol.machines.carrier import Closed
from umslab_protocol.wire.close_codes import CloseCode
from umslab_protocol.wire.inventory import DeviceInfo
from umslab_protocol.wire.messages import (
    Ack,
    Message,
    PullSettings,
    PushSysinfo,
    SettingsMessage,
    decode_message,
    encode_message,
)
from umslab_runtime.clock import VirtualClock
from umslab_runtime.executor import InlineExecutor
from umslab_server import registry
from umslab_server.configuration.apps import Apps
from umslab_server.configuration.assignments import Assignments, ObjectType
from umslab_server.configuration.directories import Directories
from umslab_server.configuration.files import Files
from umslab_server.configuration.overview import Overview
from umslab_server.configuration.profiles import ProfileKind, Profiles
from umslab_server.configuration.reconcile import When
from umslab_server.configuration.rules import Rules
from umslab_server.configuration.synchronise import Configuration
from umslab_server.device_sessions import DeviceSessions
from umslab_server.presence import Presence
from umslab_server.reach import Reach
from umslab_server.registry import Registry
from umslab_server.reports import Reports
from umslab_server.sessions import Admitted, LiveSession
from umslab_server.tables import certificate, device

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from umslab_server.store import Event, Store, Writer

HERE = "192.0.2.7"


@dataclass
class Thing:
    """A device with an open session; it keeps what it has stored."""

    plant: Plant
    number: int
    session: LiveSession
    pump: RecordingPump
    version: int = 0
    digest: str = ""
    said: int = 0

    @property
    def sent(self) -> list[Message]:
        """What it was sent, as it comes off the wire."""
        return [decode_message(encode_message(message)) for message in self.pump.sent]

    @property
    def offers(self) -> list[SettingsMessage]:
        """The settings it was sent."""
        return [message for message in self.sent if isinstance(message, SettingsMessage)]

    async def say(self, message: Message) -> None:
        """Say something, and let the server do what follows from it."""
        await self.plant.sessions.received(self.session, message)
        await self.plant.settle()

    async def tell(self, **values: Any) -> None:
        """Push system information."""
        self.said += 1
        told = {"unitID": unit_id(self.number), "mac": unit_id(self.number), "firmwareVersion": "12.8.4"}
        info = msgspec.convert({"productId": "UD3-LX", **told, **values}, DeviceInfo)
        await self.say(PushSysinfo(id=self.said, info=info))

    async def pull(self) -> Message:
        """Ask for settings; return the answer."""
        self.said += 1
        await self.say(PullSettings(id=self.said, version=self.version, digest=self.digest))
        return next(one for one in reversed(self.sent) if getattr(one, "re", None) == self.said)

    async def store(self, offer: SettingsMessage | None = None) -> SettingsMessage:
        """Store settings, by default the last it was sent, and acknowledge them."""
        last = offer or self.offers[-1]
        self.version, self.digest = last.version, last.digest
        await self.say(Ack(re=last.id))
        return last

    def leave(self) -> None:
        """Go."""
        self.plant.sessions.left(self.session, Closed(CloseCode.ABNORMAL, "gone", by_peer=True))


@dataclass
class Plant:
    """The services."""

    store: Store
    presence: Presence
    configuration: Configuration
    directories: Directories
    profiles: Profiles
    apps: Apps
    files: Files
    assignments: Assignments
    rules: Rules
    overview: Overview
    registry: Registry
    sessions: DeviceSessions
    path: Path
    things: list[Thing] = field(default_factory=list)

    async def settle(self) -> None:
        """Wait until everything that was begun is done."""
        await trio.testing.wait_all_tasks_blocked()

    async def register(self, *numbers: int, directory: int = -1, address: str = HERE) -> None:
        """Make devices known."""

        def work(writer: Writer) -> None:
            for number in numbers:
                registry.insert(writer, unit_id(number), registered_at=writer.stamp)
                values = {"directory_id": directory, "last_ip": address}
                here = device.update().where(device.c.unit_id == unit_id(number))
                writer.connection.execute(here.values(**values))
                writer.connection.execute(certificate.insert().values(**_certificate(number)))
            writer.event("device-registered", actor="test")

        await self.store.change(work)

    async def connect(self, number: int = 1, *, boot: str = "b1", like: Thing | None = None) -> Thing:
        """Let a known device open a session; `like` is its earlier one, whose memory it has."""
        row = await self.row(number)
        pump = RecordingPump()
        session = LiveSession(Admitted(unit_id(number), certificate=f"c{number}", boot=row["boot"]), "s", pump)
        thing = Thing(self, number, session, pump)
        if like is not None:
            thing.version, thing.digest = like.version, like.digest
        await self.sessions.received(session, msgspec.structs.replace(hello(unit_id(number)), boot=boot))
        await self.settle()
        return thing

    async def managed(self, number: int = 1, *, boot: str = "b1") -> Thing:
        """A registered device that has told about itself and has its first settings."""
        await self.register(number)
        thing = await self.connect(number, boot=boot)
        await thing.tell()
        await thing.pull()
        await thing.store()
        return thing

    async def row(self, number: int = 1) -> Any:
        """A device's row."""
        query = select(device).where(device.c.unit_id == unit_id(number))
        return await self.store.read(lambda connection: connection.execute(query).mappings().one())

    async def where(self, number: int = 1) -> str:
        """The path of a device's directory."""
        return (await self.registry.show(unit_id(number))).directory

    async def state(self, number: int = 1) -> tuple[int, int, str]:
        """The version it is to have, the one it has, and whether they differ."""
        view = await self.registry.show(unit_id(number))
        return view.settings_version, view.applied_version, view.config_changes

    async def events(self, *kinds: str) -> list[Event]:
        """The feed from its beginning; with `kinds`, only these."""
        found = await self.store.events(0, limit=10_000)
        return [event for event in found if not kinds or event.kind in kinds]

    async def fill(self, number: int, profile: str, **settings: str) -> None:
        """Make a profile with these parameters and assign it to a device."""
        await self.profiles.create(profile, ProfileKind.PROFILE, settings, actor="ann")
        await self.assignments.assign(ObjectType.PROFILE, profile, [unit_id(number)], actor="ann", when=When.NOW)


@asynccontextmanager
async def open_plant(path: Path) -> AsyncIterator[Plant]:
    """Open the services on a folder; doing so again is a restart."""
    clock = VirtualClock(EPOCH)
    async with open_store(path / "registry.sqlite", clock) as store:
        presence = Presence()
        reach = Reach(presence)
        configuration = Configuration(store, reach)
        rules = Rules(store, configuration)
        plant = Plant(
            store=store,
            presence=presence,
            configuration=configuration,
            directories=Directories(store, configuration),
            profiles=Profiles(store, configuration),
            apps=Apps(store, configuration),
            files=Files(store, configuration, path / "files", InlineExecutor()),
            assignments=Assignments(store, configuration),
            rules=rules,
            overview=Overview(store),
            registry=Registry(store, reach, recycle_bin=True),
            sessions=DeviceSessions(
                store,
                reach,
                clock=clock,
                accept_expired=False,
                handlers={**Reports(store, placing=rules).handlers(), **configuration.handlers()},
                on_greeted=[rules.greeted],
            ),
            path=path,
        )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(configuration.run)
            plant.registry.on_restored = configuration.restored
            yield plant
            nursery.cancel_scope.cancel()


def _certificate(number: int) -> dict[str, Any]:
    """The row of a certificate that nobody checks."""
    texts = dict.fromkeys(("public_key", "request", "not_after", "issued_at"), "")
    return {**texts, "sha256": f"c{number}", "unit_id": unit_id(number), "serial": f"{number}", "der": b""}
