# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.reports: what devices push is kept once, acknowledged when kept, and told when it changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from sqlalchemy import select

from umslab_protocol.wire.inventory import (
    AppState,
    Asset,
    AssetChange,
    AssetEvent,
    DeviceInfo,
    FileState,
    InstallState,
    Licence,
    LogonEvent,
    NetworkAdapter,
    Runtime,
)
from umslab_protocol.wire.messages import (
    FROM_DEVICE,
    Ack,
    Error,
    PullSettings,
    PushAppStatus,
    PushAssetEvents,
    PushDeviceAttributes,
    PushFileStatus,
    PushLicenseInfo,
    PushLogonEvents,
    PushRuntime,
    PushSettings,
    PushSysinfo,
    Result,
)
from umslab_server.reports import KEPT_ASSET_EVENTS, KEPT_LOGONS, Reports
from umslab_server.sessions import Admitted, LiveSession
from umslab_server.tables import asset_event, device, logon

from .parts import EPOCH, Office, rendered_logs, unit_id
from .pumps import RecordingPump

if TYPE_CHECKING:
    from sqlalchemy import Table
    from trio.testing import MockClock

    from umslab_protocol.wire.messages import Message
    from umslab_server.store import Writer

INFO = DeviceInfo(unitID=unit_id(1), mac=unit_id(1), firmwareVersion="12.8.4", productId="UD3")
SHA256 = "0123456789abcdef" * 4


class Line:
    """A device that says things to the reports of an office."""

    def __init__(self, office: Office, number: int = 1) -> None:
        self.office = office
        self.pump = RecordingPump()
        self.session = LiveSession(Admitted(unit_id(number)), "s1", self.pump)
        self.handlers = Reports(office.store).handlers()
        self.last_id = 0

    async def say(self, kind: type[msgspec.Struct], **members: Any) -> Message:
        """Push something; return the answer."""
        self.last_id += 1
        message = kind(id=self.last_id, **members)
        await self.handlers[kind](self.session, message)
        return self.pump.sent[-1]

    async def keep(self, kind: type[msgspec.Struct], **members: Any) -> None:
        """Push something, which is acknowledged."""
        answer = await self.say(kind, **members)

        assert answer == Ack(re=self.last_id)
        assert len(self.pump.sent) == self.last_id


async def row(office: Office) -> dict[str, Any]:
    """The device's row."""
    query = select(device).where(device.c.unit_id == unit_id(1))
    return dict(await office.store.read(lambda connection: connection.execute(query).mappings().one()))


async def rows(office: Office, table: Table) -> list[dict[str, Any]]:
    """The rows of a list of events, in order of their arrival."""
    query = select(table).order_by(table.c.id)
    return [dict(one) for one in await office.store.read(lambda connection: connection.execute(query).mappings().all())]


async def kinds(office: Office, prefix: str = "device-") -> list[str]:
    """What the feed says about devices since the first one enrolled and connected."""
    begun = {"device-enrolled", "device-registered", "device-connected"}
    return [one.kind for one in await office.events() if one.kind.startswith(prefix) and one.kind not in begun]


def log_on(at: int, user: str = "ann", **values: Any) -> LogonEvent:
    """Somebody logs on in this second of the day."""
    return LogonEvent(username=user, logintime=_time(at), **values)


def _time(at: int) -> str:
    return f"2026-01-01 {at // 3600:02d}:{at // 60 % 60:02d}:{at % 60:02d}.000"


def plug(at: int, change: AssetChange = AssetChange.ADD) -> AssetEvent:
    """A mouse comes or goes."""
    return AssetEvent(event=change, eventTimeStamp=at, asset=Asset(assetName="Mouse", deviceId="046d:c077"))


def test_every_push_has_its_place() -> None:
    """All messages of a device are handled here, but answers and the question for settings."""
    handled = set(Reports(None).handlers())  # type: ignore[arg-type]

    assert handled == set(FROM_DEVICE) - {Ack, Error, Result, PullSettings}


WHOLE: list[tuple[type[msgspec.Struct], str, str, list[Any]]] = [
    (
        PushAppStatus,
        "apps",
        "apps",
        [
            [AppState(name="chromium", version="1", state=InstallState.PENDING)],
            [AppState(name="chromium", version="1", state=InstallState.FAILED, message="no space left")],
            [],
        ],
    ),
    (
        PushFileStatus,
        "files",
        "files",
        [
            [FileState(name="logo.png", sha256=SHA256, state=InstallState.INSTALLING)],
            [FileState(name="logo.png", sha256=SHA256, state=InstallState.INSTALLED)],
        ],
    ),
    (
        PushLicenseInfo,
        "licences",
        "licences",
        [[Licence(name="workspace", state="missing")], [Licence(name="workspace", state="valid")]],
    ),
    (PushSettings, "settings", "own_settings", [{"a.b": "c"}, {}, {"a.b": "d", "e": "ü"}]),
]
whole = pytest.mark.parametrize(
    ("kind", "member", "column", "values"), WHOLE, ids=[kind.__name__ for kind, *_ in WHOLE]
)


@whole
async def test_a_list_takes_the_place_of_the_one_before(
    office: Office, kind: type[msgspec.Struct], member: str, column: str, values: list[Any]
) -> None:
    """Each is stored as it came, with one event; what is said again changes nothing, also in a later session."""
    await office.device(1)
    for value in values:
        for line in (Line(office), Line(office)):
            await line.keep(kind, **{member: value})
            await line.keep(kind, **{member: value})

        assert msgspec.json.decode((await row(office))[column]) == msgspec.to_builtins(value)
    event = f"device-{column.replace('_', '-')}"

    assert await kinds(office) == [event] * len(values)
    assert {one.actor for one in await office.events(event)} == {"device"}


@whole
async def test_nothing_said_at_first_is_nothing_new(
    office: Office, kind: type[msgspec.Struct], member: str, column: str, values: list[Any]
) -> None:
    """An empty list is what a device has from the beginning."""
    await office.device(1)
    before = (await row(office))[column]
    await Line(office).keep(kind, **{member: type(values[0])()})

    assert await kinds(office) == []
    assert (await row(office))[column] == before


class TestSystemInformation:
    """L1, and the checksum of UMS 12.13.110."""

    async def test_kept(self, office: Office) -> None:
        """Whole, and some of it as attributes of the device."""
        await office.device(1)
        adapter = NetworkAdapter(type="lan", mac=unit_id(1), name="enp1s0", state="up")
        info = msgspec.structs.replace(
            INFO, mac="02:00:00:00:00:FF", umsStructuralTag="hall-1", serialNumber="SN", networkAdapters=[adapter]
        )
        await Line(office).keep(PushSysinfo, info=info)
        kept = await row(office)

        assert (kept["firmware"], kept["mac"], kept["structure_tag"], kept["serial_number"]) == (
            "12.8.4",
            "0200000000FF",
            "hall-1",
            "SN",
        )
        assert msgspec.json.decode(kept["info"], type=DeviceInfo) == info

    async def test_only_when_its_checksum_changed(self, office: Office) -> None:
        """Also across sessions; a change back is a change."""
        await office.device(1)
        line = Line(office)
        other = msgspec.structs.replace(INFO, firmwareVersion="12.9")
        for info in (INFO, INFO, other, other, INFO):
            await line.keep(PushSysinfo, info=info)

        assert await kinds(office) == ["device-info"] * 3

    async def test_about_another_device(self, office: Office) -> None:
        """Nobody speaks for another."""
        await office.device(1)
        answer = await Line(office).say(PushSysinfo, info=msgspec.structs.replace(INFO, unitID=unit_id(2)))

        assert isinstance(answer, Error)
        assert (answer.code, answer.re) == ("wrong-unit-id", 1)
        assert (await row(office))["info"] == "{}"

    async def test_what_was_not_stored_is_not_taken_as_known(self, office: Office) -> None:
        """After `busy` the same information is stored when it comes again."""
        await office.device(1)
        line = Line(office)
        office.store._write_connection.exec_driver_sql("PRAGMA query_only = ON")
        with rendered_logs():
            refused = await line.say(PushSysinfo, info=INFO)
        office.store._write_connection.exec_driver_sql("PRAGMA query_only = OFF")
        accepted = await line.say(PushSysinfo, info=INFO)

        assert isinstance(refused, Error)
        assert (refused.code, accepted) == ("busy", Ack(re=2))
        assert await kinds(office) == ["device-info"]


class TestHeartbeat:
    """H1: the last contact."""

    async def test_every_one_counts(self, office: Office, autojump_clock: MockClock) -> None:
        """Each sets the last contact and is told, also when nothing else has changed; battery and times are kept."""
        await office.device(1)
        line = Line(office)
        contacts = []
        for _ in range(2):
            autojump_clock.jump(3600)
            await line.keep(PushRuntime, runtime=Runtime(totalUptime="1000", batteryLevel=87))
            contacts.append((await row(office))["last_contact"])

        assert contacts == ["2026-01-01T01:00:00.000Z", "2026-01-01T02:00:00.000Z"]
        assert EPOCH.year == 2026
        assert msgspec.json.decode((await row(office))["runtime"]) == {"totalUptime": "1000", "batteryLevel": 87}
        assert await kinds(office) == ["device-heartbeat"] * 2


class TestLogons:
    """Section 15.4: who logged on, when, and with what result."""

    async def test_on_and_off(self, office: Office) -> None:
        """One row a log-on, which is ended later; each news is one event, what is said again is none."""
        await office.device(1)
        for event in (
            log_on(1, loginresult=0),
            log_on(1),
            log_on(1, logofftime=_time(9)),
            log_on(1, logofftime=_time(9)),
        ):
            await Line(office).keep(PushLogonEvents, events=[event])
        (kept,) = await rows(office, logon)

        assert (kept["username"], kept["logintime"], kept["logofftime"]) == ("ann", _time(1), _time(9))
        assert await kinds(office) == ["device-logon"] * 2
        assert (await row(office))["last_user"] == "ann"

    async def test_an_end_is_not_taken_back(self, office: Office) -> None:
        """What a device said before is late, when it is said again."""
        await office.device(1)
        for event in (log_on(1, logofftime=_time(9)), log_on(1)):
            await Line(office).keep(PushLogonEvents, events=[event])

        assert [one["logofftime"] for one in await rows(office, logon)] == [_time(9)]
        assert await kinds(office) == ["device-logon"]

    async def test_who_failed_was_not_there(self, office: Office) -> None:
        """A log-on that failed is kept, but is not the last user."""
        await office.device(1)
        line = Line(office)
        await line.keep(PushLogonEvents, events=[log_on(1), log_on(2, "eve", loginresult=3)])
        await line.keep(PushLogonEvents, events=[log_on(3, "eve", loginresult=3)])

        assert [(one["username"], one["loginresult"]) for one in await rows(office, logon)] == [
            ("ann", 0),
            ("eve", 3),
            ("eve", 3),
        ]
        assert (await row(office))["last_user"] == "ann"
        assert [one.data["user"] for one in await office.events("device-logon")] == ["eve", "eve"]

    async def test_the_oldest_go(self, office: Office) -> None:
        """A hundred are kept, also of one long list; the same list again changes nothing."""
        await office.device(1)
        await Line(office).keep(PushLogonEvents, events=[log_on(at) for at in range(50)])
        long = [log_on(at) for at in range(50, 250)]
        for _ in range(2):
            await Line(office).keep(PushLogonEvents, events=long)

            assert [one["logintime"] for one in await rows(office, logon)] == [_time(at) for at in range(150, 250)]
        assert KEPT_LOGONS == 100
        assert await kinds(office) == ["device-logon"] * 2

    async def test_a_new_one_is_news_when_the_list_is_full(self, office: Office) -> None:
        """Although as many rows stand there as before."""
        await office.device(1)
        line = Line(office)
        await line.keep(PushLogonEvents, events=[log_on(at) for at in range(100)])
        await line.keep(PushLogonEvents, events=[log_on(100, "bob")])

        assert (await row(office))["last_user"] == "bob"
        assert await kinds(office) == ["device-logon"] * 2

    async def test_nothing(self, office: Office) -> None:
        """An empty list is acknowledged."""
        await office.device(1)
        await Line(office).keep(PushLogonEvents, events=[])

        assert await kinds(office) == []


class TestAssets:
    """AI1, AI2: what was plugged in and out."""

    async def test_kept_once(self, office: Office) -> None:
        """By change, time and device; the event says how many were new."""
        await office.device(1)
        for events in ([plug(1)], [plug(1), plug(2, AssetChange.REMOVE), plug(3)], [plug(3), plug(1)]):
            await Line(office).keep(PushAssetEvents, events=events)

        assert [(one["event"], one["event_time_ms"]) for one in await rows(office, asset_event)] == [
            ("add", 1),
            ("remove", 2),
            ("add", 3),
        ]
        assert [one.data["events"] for one in await office.events("device-assets")] == [1, 2]

    async def test_the_oldest_go(self, office: Office) -> None:
        """Two hundred are kept; the same list again changes nothing."""
        await office.device(1)
        await Line(office).keep(PushAssetEvents, events=[plug(at) for at in range(150)])
        for _ in range(2):
            await Line(office).keep(PushAssetEvents, events=[plug(at) for at in range(150, 350)])

            assert [one["event_time_ms"] for one in await rows(office, asset_event)] == list(range(150, 350))
        assert KEPT_ASSET_EVENTS == 200
        assert await kinds(office) == ["device-assets"] * 2

    async def test_of_each_device(self, office: Office) -> None:
        """One device's many events push out nobody else's."""
        await office.device(1)
        await office.device(2)
        await Line(office, 2).keep(PushAssetEvents, events=[plug(1)])
        for first in (0, 200):
            await Line(office).keep(PushAssetEvents, events=[plug(at) for at in range(first, first + 200)])

        assert [one["unit_id"] for one in await rows(office, asset_event)] == [unit_id(2), *[unit_id(1)] * 200]

    async def test_nothing(self, office: Office) -> None:
        """An empty list is acknowledged."""
        await office.device(1)
        await Line(office).keep(PushAssetEvents, events=[])

        assert await kinds(office) == []


EACH: list[tuple[type[msgspec.Struct], dict[str, Any]]] = [
    (PushSysinfo, {"info": INFO}),
    (PushRuntime, {"runtime": Runtime(batteryLevel=1)}),
    (PushLogonEvents, {"events": [log_on(1)]}),
    (PushAssetEvents, {"events": [plug(1)]}),
    *((kind, {member: values[0]}) for kind, member, _, values in WHOLE),
]
each = pytest.mark.parametrize(("kind", "members"), EACH, ids=[kind.__name__ for kind, _ in EACH])


def test_each_is_there() -> None:
    """The table above is complete."""
    elsewhere = {PushDeviceAttributes}  # test_attributes.py: what is kept depends on definitions
    assert {kind for kind, _ in EACH} | elsewhere == set(Reports(None).handlers())  # type: ignore[arg-type]


@each
async def test_purged_meanwhile(office: Office, kind: type[msgspec.Struct], members: dict[str, Any]) -> None:
    """What a device says that was deleted a moment ago is forgotten, and nothing breaks."""
    await office.device(1)
    line = Line(office)
    await office.registry.purge(unit_id(1), actor="ann")
    await line.keep(kind, **members)

    assert await kinds(office) == ["device-purged"]
    assert await rows(office, logon) == await rows(office, asset_event) == []


@each
async def test_busy(
    office: Office, kind: type[msgspec.Struct], members: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What could not be stored is not acknowledged: the registry takes no more, or cannot be written."""
    await office.device(1)
    line = Line(office)
    monkeypatch.setattr(office.store._waiting, "_most", 0)
    full = await line.say(kind, **members)
    monkeypatch.undo()
    office.store._write_connection.exec_driver_sql("PRAGMA query_only = ON")
    with rendered_logs():
        broken = await line.say(kind, **members)
    office.store._write_connection.exec_driver_sql("PRAGMA query_only = OFF")
    again = await line.say(kind, **members)

    assert [(one.code, one.re) for one in (full, broken) if isinstance(one, Error)] == [("busy", 1), ("busy", 2)]
    assert again == Ack(re=3)
    assert len(await kinds(office)) == 1


class Placing:
    """Somebody who puts devices into directories."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def first_info(self, writer: Writer, unit_id: str) -> None:
        """Take part in the change."""
        del writer
        self.told.append(f"first {unit_id}")

    async def informed(self, session: LiveSession) -> None:
        """Be told afterwards."""
        self.told.append(f"informed {session.unit_id}")


async def test_placing_is_told(office: Office) -> None:
    """Of the first information inside its change, of each one afterwards; of none that was refused."""
    await office.device(1)
    line, placing = Line(office), Placing()
    line.handlers = Reports(office.store, placing=placing).handlers()
    await line.say(PushSysinfo, info=msgspec.structs.replace(INFO, unitID=unit_id(2)))
    for info in (INFO, INFO, msgspec.structs.replace(INFO, firmwareVersion="12.9")):
        await line.say(PushSysinfo, info=info)

    assert placing.told == [f"first {unit_id(1)}", *[f"informed {unit_id(1)}"] * 3]
