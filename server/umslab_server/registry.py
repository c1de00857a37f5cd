# SPDX-License-Identifier: Apache-2.0
"""The registry of devices: who is known, in the recycle bin, or to be told that it was deleted.

Facts: sections 4, 11.1 and 15.4 (attributes), 8.1 (states), RB1-RB4 (recycle bin), K8 (pre-imported devices), L4 (a
device deleted while away is told at its next connection). Whether a device is online is presence, not a row: see
presence.py.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from sqlalchemy import select

from umslab_server.schema import certificate, device, tombstone

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Connection, RowMapping

    from umslab_protocol.values.unit_id import UnitId
    from umslab_server.importing import ImportedDevice
    from umslab_server.presence import Presence
    from umslab_server.store import Store, Writer

EDITABLE = ("name", "site", "department", "cost_center", "comment", "asset_id", "inservice_date", "serial_number")


class RegistryError(Exception):
    """What was asked of the registry cannot be done; the message is for the person who asked."""


class CertificateView(Struct, frozen=True, kw_only=True):
    """One certificate of a device."""

    sha256: str
    serial: str
    state: str
    """`issued`, `active`, `superseded` or `revoked`."""
    issued_at: str
    not_after: str
    first_used_at: str | None


class DeviceView(Struct, frozen=True, kw_only=True):
    """A device as the terminal shows it."""

    id: int
    unit_id: str
    mac: str
    name: str
    state: str
    """`online`, `offline`, `never-registered` or `in-bin` (8.1)."""
    firmware: str
    last_ip: str
    structure_tag: str
    serial_number: str
    site: str
    department: str
    cost_center: str
    comment: str
    asset_id: str
    inservice_date: str
    created_at: str
    registered_at: str | None
    last_contact: str | None
    binned_at: str | None
    info: dict[str, Any]
    certificates: list[CertificateView] = []


class Registry:
    """Devices, for people: lists and shows, deletes and restores."""

    def __init__(self, store: Store, presence: Presence, *, recycle_bin: bool) -> None:
        self._store = store
        self._presence = presence
        self._recycle_bin = recycle_bin

    async def list_devices(self, *, in_bin: bool | None = None) -> list[DeviceView]:
        """Return all devices, or only those (not) in the recycle bin, by unit ID."""
        query = select(device).order_by(device.c.unit_id)
        if in_bin is not None:
            query = query.where(device.c.binned_at.is_not(None) if in_bin else device.c.binned_at.is_(None))
        rows = await self._store.read(lambda connection: connection.execute(query).mappings().all())
        return [self._view(row) for row in rows]

    async def show(self, unit_id: UnitId) -> DeviceView:
        """Return one device with its certificates. Raises `RegistryError`."""

        def query(connection: Connection) -> tuple[RowMapping, Sequence[RowMapping]]:
            found = connection.execute(
                select(certificate).where(certificate.c.unit_id == unit_id).order_by(certificate.c.id)
            )
            return find(connection, unit_id), found.mappings().all()

        row, certificates = await self._store.read(query)
        return self._view(row, [_certificate_view(entry) for entry in certificates])

    async def count(self) -> dict[str, int]:
        """Count devices by state."""
        counts = {"online": 0, "offline": 0, "never-registered": 0, "in-bin": 0}
        query = select(device.c.unit_id, device.c.registered_at, device.c.binned_at)
        for row in await self._store.read(lambda connection: connection.execute(query).mappings().all()):
            counts[self._state(row)] += 1
        return counts

    async def delete(self, unit_id: UnitId, *, actor: str) -> str:
        """Delete as a UMS does: into the recycle bin when it is on, else for good. Returns where it went."""
        if not self._recycle_bin:
            await self.purge(unit_id, actor=actor)
            return "deleted"

        def work(writer: Writer) -> None:
            if find(writer.connection, unit_id)["binned_at"] is not None:
                raise RegistryError(f"{unit_id} is in the recycle bin already; `purge` deletes it for good")
            update(writer, unit_id, binned_at=writer.stamp)
            writer.event("device-binned", actor=actor, unit_id=unit_id)

        await self._store.change(work)
        return "in-bin"

    async def restore(self, unit_id: UnitId, *, actor: str) -> None:
        """Take a device out of the recycle bin. Raises `RegistryError`."""

        def work(writer: Writer) -> None:
            if find(writer.connection, unit_id)["binned_at"] is None:
                raise RegistryError(f"{unit_id} is not in the recycle bin")
            update(writer, unit_id, binned_at=None)
            writer.event("device-restored", actor=actor, unit_id=unit_id)

        await self._store.change(work)

    async def purge(self, unit_id: UnitId, *, actor: str) -> None:
        """Delete for good. A device that has ever registered is told so, now or at its next connection (L4)."""

        def work(writer: Writer) -> bool:
            row = find(writer.connection, unit_id)
            writer.connection.execute(device.delete().where(device.c.unit_id == unit_id))
            if row["registered_at"] is not None:
                bury(writer, unit_id)
            writer.event("device-purged", actor=actor, unit_id=unit_id)
            return row["registered_at"] is not None

        if await self._store.change(work):
            self._presence.deregister(unit_id)

    async def edit(self, unit_id: UnitId, values: dict[str, str], *, actor: str) -> None:
        """Change attributes that people keep. Raises `RegistryError`."""
        if not values:
            raise RegistryError("nothing to change was named")
        if unknown := sorted(set(values) - set(EDITABLE)):
            raise RegistryError(f"{', '.join(unknown)} cannot be edited; these can: {', '.join(EDITABLE)}")

        def work(writer: Writer) -> None:
            find(writer.connection, unit_id)
            update(writer, unit_id, **values)
            writer.event("device-edited", actor=actor, unit_id=unit_id, changed=sorted(values))

        await self._store.change(work)

    async def import_devices(self, devices: Iterable[ImportedDevice], *, actor: str) -> tuple[int, list[str]]:
        """Add devices that are known before they come (K8). Returns how many were added and which existed already."""
        wanted = list(devices)

        def work(writer: Writer) -> list[str]:
            known = set(writer.connection.execute(select(device.c.unit_id)).scalars())
            empty = dict.fromkeys(EDITABLE, "")
            rows = [
                {**empty, **_new_row(writer, one.unit_id, mac=one.mac, name=one.name), **one.attributes}
                for one in wanted
                if one.unit_id not in known
            ]
            if rows:
                writer.connection.execute(device.insert(), rows)
            for row in rows:
                writer.event("device-imported", actor=actor, unit_id=row["unit_id"])
            return [str(one.unit_id) for one in wanted if one.unit_id in known]

        existing = await self._store.change(work)
        return len(wanted) - len(existing), existing

    async def revoke(self, unit_id: UnitId, *, actor: str, reason: str) -> int:
        """Revoke all certificates of a device (X13, SE4); returns how many were not revoked before."""

        def work(writer: Writer) -> int:
            find(writer.connection, unit_id)
            count = revoke_all(writer, unit_id, reason)
            writer.event("device-revoked", actor=actor, unit_id=unit_id, cause=reason, certificates=count)
            return count

        count = await self._store.change(work)
        self._presence.refuse(unit_id, reason)
        return count

    def _state(self, row: RowMapping) -> str:
        if row["binned_at"] is not None:
            return "in-bin"
        if row["registered_at"] is None:
            return "never-registered"
        return "online" if self._presence.is_online(row["unit_id"]) else "offline"

    def _view(self, row: RowMapping, certificates: list[CertificateView] | None = None) -> DeviceView:
        values = {key: row[key] for key in DeviceView.__struct_fields__ if key in row and key != "info"}
        return DeviceView(
            **values, state=self._state(row), info=json.loads(row["info"]), certificates=certificates or []
        )


# For use inside a change.


def find(connection: Connection, unit_id: UnitId) -> RowMapping:
    """Return the row of a device. Raises `RegistryError`."""
    row = get(connection, unit_id)
    if row is None:
        raise RegistryError(f"no device has the unit ID {unit_id}")
    return row


def get(connection: Connection, unit_id: UnitId) -> RowMapping | None:
    """Return the row of a device, or None."""
    return connection.execute(select(device).where(device.c.unit_id == unit_id)).mappings().first()


def insert(writer: Writer, unit_id: UnitId, *, registered_at: str) -> None:
    """Add a device that registers now."""
    row = _new_row(writer, unit_id)
    writer.connection.execute(device.insert().values(**row, registered_at=registered_at))


def _new_row(writer: Writer, unit_id: UnitId, *, mac: str = "", name: str = "") -> dict[str, str]:
    """What every new device has; without a name it gets the default one (U6)."""
    from_unit_id = unit_id if len(unit_id) == 12 else ""  # a UD Pocket's unit ID holds no MAC address (U2)
    identity = {"unit_id": unit_id, "mac": mac or from_unit_id, "name": name or default_name(unit_id)}
    return {**identity, "created_at": writer.stamp}


def update(writer: Writer, unit_id: UnitId, **values: str | None) -> None:
    """Set columns of a device."""
    writer.connection.execute(device.update().where(device.c.unit_id == unit_id).values(**values))


def bury(writer: Writer, unit_id: UnitId) -> None:
    """Remember that this device is to be told that it was deleted (L4)."""
    unbury(writer, unit_id)
    writer.connection.execute(tombstone.insert().values(unit_id=unit_id, deleted_at=writer.stamp, reason="deleted"))


def unbury(writer: Writer, unit_id: UnitId) -> bool:
    """Forget that; tells whether there was anything to forget."""
    done = writer.connection.execute(tombstone.delete().where(tombstone.c.unit_id == unit_id))
    return bool(done.rowcount)


def revoke_all(writer: Writer, unit_id: UnitId, reason: str) -> int:
    """Revoke every certificate of a device that is not revoked yet; return how many."""
    done = writer.connection.execute(
        certificate.update()
        .where(certificate.c.unit_id == unit_id, certificate.c.revoked_at.is_(None))
        .values(revoked_at=writer.stamp, revoked_why=reason)
    )
    return int(done.rowcount)


def default_name(unit_id: UnitId) -> str:
    """The host name a device has until somebody gives it another (U6)."""
    return f"ITC{unit_id}" if len(unit_id) == 12 else f"UDP{unit_id}"


def _certificate_view(row: RowMapping) -> CertificateView:
    return CertificateView(
        sha256=row["sha256"],
        serial=row["serial"],
        state=certificate_state(row),
        issued_at=row["issued_at"],
        not_after=row["not_after"],
        first_used_at=row["first_used_at"],
    )


def certificate_state(row: RowMapping) -> str:
    """`issued` until first used, then `active`; `superseded` or `revoked` in the end."""
    if row["revoked_at"] is not None:
        return "revoked"
    if row["superseded_at"] is not None:
        return "superseded"
    return "active" if row["first_used_at"] is not None else "issued"
