# SPDX-License-Identifier: Apache-2.0
"""What devices say about themselves, kept in the registry (facts 5.3, 11.2-11.4, 15.4, 15.5).

Everything is stored only when it differs from what is stored (system information by its checksum, as UMS 12.13.110
does), and acknowledged when it is stored. What a device repeats because an acknowledgement was lost changes nothing.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import msgspec
from sqlalchemy import select
from sqlalchemy.dialects.sqlite import insert

from umslab_protocol.errors import InvalidValueError
from umslab_protocol.values.unit_id import parse_mac
from umslab_protocol.wire.messages import (
    Ack,
    Error,
    PushAppStatus,
    PushAssetEvents,
    PushDeviceAttributes,
    PushFileStatus,
    PushLicenseInfo,
    PushLogonEvents,
    PushRuntime,
    PushSettings,
    PushSysinfo,
)
from umslab_server import attributes, registry
from umslab_server.store import StoreError
from umslab_server.tables import asset_event, logon

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sqlalchemy import Table

    from umslab_protocol.values.unit_id import UnitId
    from umslab_protocol.wire.inventory import DeviceInfo
    from umslab_server.sessions import Handler, LiveSession
    from umslab_server.store import Store, Writer

KEPT_LOGONS = 100
"""Rows a device; the oldest go first."""
KEPT_ASSET_EVENTS = 200
LOGON_OK = 0  # section 15.4: everything else is an attempt that failed

NO_INFO = "{}"  # what the registry holds before a device has said anything

Push: TypeAlias = (
    PushRuntime | PushAppStatus | PushFileStatus | PushLicenseInfo | PushDeviceAttributes | PushLogonEvents
    | PushAssetEvents | PushSettings
)  # fmt: skip


class Placing(Protocol):
    """Puts devices into directories (section 11.5)."""

    def first_info(self, writer: Writer, unit_id: UnitId) -> None:
        """Place a device; in the change that stores its first system information."""
        ...

    async def informed(self, session: LiveSession) -> None:
        """System information has come, and is stored and acknowledged."""
        ...


class Reports:
    """Keeps what devices push."""

    def __init__(self, store: Store, *, placing: Placing | None = None) -> None:
        """`placing` is told of system information, to put devices into directories."""
        self._store = store
        self._placing = placing

    def handlers(self) -> Mapping[type, Handler]:
        """Who takes which message."""
        return {
            PushSysinfo: self._sysinfo,
            PushRuntime: self._by(_keep_runtime),
            PushAppStatus: self._by(lambda writer, unit_id, push: _keep(writer, unit_id, "apps", push.apps)),
            PushFileStatus: self._by(lambda writer, unit_id, push: _keep(writer, unit_id, "files", push.files)),
            PushLicenseInfo: self._by(lambda writer, unit_id, push: _keep(writer, unit_id, "licences", push.licences)),
            PushDeviceAttributes: self._attributes,
            PushSettings: self._by(lambda writer, unit_id, push: _keep(writer, unit_id, "own_settings", push.settings)),
            PushLogonEvents: self._by(_keep_logons),
            PushAssetEvents: self._by(_keep_asset_events),
        }

    def _by(self, keep: Callable[[Writer, UnitId, Any], None]) -> Handler:
        async def handle(session: LiveSession, push: Push) -> None:
            await self._store_and_ack(session, push.id, lambda writer: keep(writer, session.unit_id, push))

        return handle

    async def _attributes(self, session: LiveSession, push: PushDeviceAttributes) -> None:
        """Keep what the definitions allow the device to write; one value that they do not refuses all (11.2)."""
        given = {one.identifier: one.value for one in push.attributes}
        refused: list[str | None] = []

        def work(writer: Writer) -> None:
            refused.append(attributes.take(writer, session.unit_id, given))

        def answer() -> Ack | Error:
            why = refused[-1] if refused else None
            return Ack(re=push.id) if why is None else Error(code="refused", message=why, re=push.id)

        await self._store_and_ack(session, push.id, work, answer)

    async def _sysinfo(self, session: LiveSession, message: PushSysinfo) -> None:
        info = message.info
        if info.unitID != session.unit_id:
            session.send(Error(code="wrong-unit-id", message="the information names another device", re=message.id))
            return
        text = msgspec.json.encode(info).decode()
        digest = hashlib.sha256(text.encode()).hexdigest()
        if digest == session.info_digest:
            session.send(Ack(re=message.id))
        elif await self._store_and_ack(
            session, message.id, lambda writer: self._keep_info(writer, session.unit_id, info, text)
        ):
            session.info_digest = digest
        else:
            return
        if self._placing is not None:
            await self._placing.informed(session)

    def _keep_info(self, writer: Writer, unit_id: UnitId, info: DeviceInfo, text: str) -> None:
        first = registry.find(writer.connection, unit_id)["info"] == NO_INFO
        _keep_info(writer, unit_id, info, text)
        if first and self._placing is not None:
            self._placing.first_info(writer, unit_id)

    async def _store_and_ack(
        self,
        session: LiveSession,
        number: int,
        work: Callable[[Writer], None],
        answer: Callable[[], Ack | Error] | None = None,
    ) -> bool:
        def known(writer: Writer) -> None:
            if registry.get(writer.connection, session.unit_id) is not None:  # else it was deleted a moment ago
                work(writer)

        try:
            await self._store.change(known)
        except StoreError as error:
            session.send(Error(code="busy", message=str(error), re=number))
            return False
        session.send(Ack(re=number) if answer is None else answer())
        return True


def _keep_info(writer: Writer, unit_id: UnitId, info: DeviceInfo, text: str) -> None:
    values: dict[str, str | None] = {"info": text, "firmware": info.firmwareVersion}
    with suppress(InvalidValueError):
        values["mac"] = parse_mac(info.mac)
    if info.umsStructuralTag:
        values["structure_tag"] = info.umsStructuralTag
    if info.serialNumber:
        values["serial_number"] = info.serialNumber
    registry.update(writer, unit_id, **values)
    writer.event("device-info", actor="device", unit_id=unit_id)


def _keep(writer: Writer, unit_id: UnitId, column: str, value: object) -> None:
    """Keep a whole list or map in its column, with an event when it differs."""
    text = msgspec.json.encode(value).decode()
    if registry.find(writer.connection, unit_id)[column] != text:
        registry.update(writer, unit_id, **{column: text})
        writer.event(f"device-{column.replace('_', '-')}", actor="device", unit_id=unit_id)


def _keep_runtime(writer: Writer, unit_id: UnitId, push: PushRuntime) -> None:
    """The heartbeat: the last contact, which is what searches for lost devices look at (H1)."""
    text = msgspec.json.encode(push.runtime).decode()
    registry.update(writer, unit_id, runtime=text, last_contact=writer.stamp)
    writer.event("device-heartbeat", actor="device", unit_id=unit_id)


def _keep_logons(writer: Writer, unit_id: UnitId, push: PushLogonEvents) -> None:
    """Keep the newest; of the rest of a long list, said again, nothing would remember that it is known."""
    rows = [{"unit_id": unit_id, **msgspec.structs.asdict(one)} for one in push.events[-KEPT_LOGONS:]]
    if not rows:
        return
    kept = select(logon.c.id, logon.c.logofftime).where(logon.c.unit_id == unit_id).order_by(logon.c.id)
    before = writer.connection.execute(kept).all()
    adding = insert(logon)
    changing = adding.on_conflict_do_update(
        index_elements=[logon.c.unit_id, logon.c.username, logon.c.logintime],
        set_={"logofftime": adding.excluded.logofftime},
        where=adding.excluded.logofftime != "",
    )
    writer.connection.execute(changing, rows)
    _forget_oldest(writer, logon, unit_id, KEPT_LOGONS)
    if writer.connection.execute(kept).all() != before:
        user = push.events[-1].username
        users = [one.username for one in push.events if one.loginresult == LOGON_OK]
        if users:
            registry.update(writer, unit_id, last_user=users[-1])
        writer.event("device-logon", actor="device", unit_id=unit_id, user=user)


def _keep_asset_events(writer: Writer, unit_id: UnitId, push: PushAssetEvents) -> None:
    rows = [
        {
            "unit_id": unit_id,
            "event": str(one.event),
            "event_time_ms": one.eventTimeStamp,
            "device_id": one.asset.deviceId,
            "name": one.asset.assetName,
            "vendor": one.asset.assetVendor,
        }
        for one in push.events[-KEPT_ASSET_EVENTS:]
    ]
    if not rows:
        return
    added = writer.connection.execute(insert(asset_event).on_conflict_do_nothing(), rows).rowcount
    if added:
        _forget_oldest(writer, asset_event, unit_id, KEPT_ASSET_EVENTS)
        writer.event("device-assets", actor="device", unit_id=unit_id, events=added)


def _forget_oldest(writer: Writer, table: Table, unit_id: UnitId, kept: int) -> None:
    newest = select(table.c.id).where(table.c.unit_id == unit_id).order_by(table.c.id.desc()).limit(kept)
    writer.connection.execute(table.delete().where(table.c.unit_id == unit_id, table.c.id.not_in(newest)))
