# SPDX-License-Identifier: Apache-2.0
"""The registry of devices: who is known, in the recycle bin, or to be told that it was deleted.

Facts: sections 4, 11.1 and 15.4 (attributes), 8.1 (states), RB1-RB4 (recycle bin), K8 (pre-imported devices), L4 (a
device deleted while away is told at its next connection). Whether a device is online is presence, not a row: see
presence.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from sqlalchemy import bindparam, not_, select

from umslab_server import device_states, tombstones
from umslab_server.configuration import tree
from umslab_server.device_views import BRIEF, KEPT, SAID, CertificateView, DeviceLine, DeviceView
from umslab_server.errors import RefusedError
from umslab_server.tables import asset_event, assignment, certificate, device, logon, profile
from umslab_server.texts import check_text

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from sqlalchemy import Connection, RowMapping, Select, Table

    from umslab_protocol.values.unit_id import UnitId
    from umslab_server.importing import ImportedDevice
    from umslab_server.reach import Reach
    from umslab_server.sessions import LiveSession
    from umslab_server.store import Store, Writer

T = TypeVar("T")

EDITABLE = (
    "name", "site", "department", "cost_center", "comment", "asset_id", "inservice_date", "serial_number",
    "onboarded_by", "onboarding_role",
)  # fmt: skip


# Made once, because every connect runs them: SQLAlchemy needs longer to make a statement than SQLite to run it.
_GET = select(device).where(device.c.unit_id == bindparam("which"))
_WHOLE = select(device, *device_states.OF_OVERLAYS)
_UPDATE = device.update().where(device.c.unit_id == bindparam("which"))


class RegistryError(RefusedError):
    """What was asked of the registry cannot be done; the message is for the person who asked."""


def _nobody(unit_id: UnitId) -> None:
    del unit_id


async def _nothing_to_do(session: LiveSession) -> None:
    del session


class Registry:
    """Devices, for people: lists and shows, deletes and restores."""

    def __init__(self, store: Store, reach: Reach, *, recycle_bin: bool) -> None:
        self._store = store
        self._reach = reach
        self._presence = reach.presence
        self._recycle_bin = recycle_bin
        self.on_gone: Callable[[UnitId], None] = _nobody
        """Told of every device that was deleted or moved into the recycle bin."""
        self.on_restored: Callable[[LiveSession], Awaitable[None]] = _nothing_to_do
        """Told of every device that came out of the recycle bin while it was connected."""

    async def list_devices(
        self, *, in_bin: bool | None = None, directory: str | None = None, pending: bool | None = None
    ) -> list[DeviceView]:
        """Return devices by unit ID: all, or those (not) in the recycle bin, in or below a directory, (not) pending.

        Pending are those that have not acknowledged what they are to have. Raises `RefusedError`.
        """
        return await self._list(_WHOLE, self._view, in_bin, directory, pending=pending)

    async def brief(
        self, *, in_bin: bool | None = None, directory: str | None = None, pending: bool | None = None
    ) -> list[DeviceLine]:
        """Return the same devices in short. Raises `RefusedError`."""
        return await self._list(BRIEF, self._line, in_bin, directory, pending=pending)

    async def _list(
        self,
        wanted: Select[Any],
        show: Callable[[RowMapping, str], T],
        in_bin: bool | None,  # noqa: FBT001 - as `list_devices` has it
        directory: str | None,
        *,
        pending: bool | None,
    ) -> list[T]:
        wanted = wanted.order_by(device.c.unit_id)
        if in_bin is not None:
            wanted = wanted.where(device.c.binned_at.is_not(None) if in_bin else device.c.binned_at.is_(None))
        if pending is not None:
            differ = device.c.settings_digest != device.c.applied_digest
            wanted = wanted.where(differ if pending else not_(differ))

        def query(connection: Connection) -> list[T]:
            # All of it on the reading thread: of twenty thousand devices everybody else would feel it.
            paths, below = tree.all_paths(connection), None
            if directory is not None:
                below = tree.subtree(connection, tree.resolve(connection, directory))
            return [
                show(row, paths[row["directory_id"]])
                for row in connection.execute(wanted).mappings()
                if below is None or row["directory_id"] in below
            ]

        return await self._store.read(query)

    async def show(self, unit_id: UnitId) -> DeviceView:
        """Return one device with its certificates. Raises `RegistryError`."""

        def query(connection: Connection) -> tuple[RowMapping, str, dict[str, Any]]:
            found = connection.execute(
                select(certificate).where(certificate.c.unit_id == unit_id).order_by(certificate.c.id)
            )
            row = connection.execute(_WHOLE.where(device.c.unit_id == unit_id)).mappings().first()
            if row is None:
                raise _no_device(unit_id)
            more = {
                "certificates": [_certificate_view(entry) for entry in found.mappings()],
                "logons": _history(connection, logon, unit_id),
                "assets": _history(connection, asset_event, unit_id),
            }
            return row, tree.path_of(connection, row["directory_id"]), more

        row, path, more = await self._store.read(query)
        return self._view(row, path, **{name: msgspec.json.decode(row[name]) for name in SAID}, **more)

    async def count(self) -> dict[str, int]:
        """Count devices by state."""
        query = select(device.c.unit_id, device.c.registered_at, device.c.binned_at, device.c.generation)

        def count(connection: Connection) -> dict[str, int]:
            # On the reading thread: of twenty thousand devices everybody else would feel it.
            counts = {"online": 0, "offline": 0, "never-registered": 0, "in-bin": 0}
            for row in connection.execute(query).mappings():
                state = device_states.state_of(row, self._presence)
                counts[state] = counts.get(state, 0) + 1
            return counts

        return await self._store.read(count)

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
        self.on_gone(unit_id)
        return "in-bin"

    async def restore(self, unit_id: UnitId, *, actor: str) -> None:
        """Take a device out of the recycle bin. Raises `RegistryError`."""

        def work(writer: Writer) -> None:
            if find(writer.connection, unit_id)["binned_at"] is None:
                raise RegistryError(f"{unit_id} is not in the recycle bin")
            update(writer, unit_id, binned_at=None)
            writer.event("device-restored", actor=actor, unit_id=unit_id)

        await self._store.change(work)
        session = self._reach.get(unit_id)
        if session is not None:
            await self.on_restored(session)
        else:
            self._reach.call_soon(unit_id)

    async def purge(self, unit_id: UnitId, *, actor: str) -> None:
        """Delete for good. A device that has ever registered is told so, now or at its next connection (L4)."""

        def work(writer: Writer) -> bool:
            row = find(writer.connection, unit_id)
            writer.connection.execute(device.delete().where(device.c.unit_id == unit_id))
            own = (assignment.c.receiver_type == "device", assignment.c.receiver_id == row["id"])
            writer.connection.execute(assignment.delete().where(*own))
            if row["registered_at"] is not None:
                tombstones.bury(writer, row)
            writer.event("device-purged", actor=actor, unit_id=unit_id)
            return row["registered_at"] is not None

        registered = await self._store.change(work)
        self.on_gone(unit_id)
        if registered:
            self._reach.deregister(unit_id)

    async def edit(self, unit_id: UnitId, values: dict[str, str], *, actor: str) -> None:
        """Change attributes that people keep. Raises `RefusedError`."""
        if not values:
            raise RegistryError("nothing to change was named")
        if unknown := sorted(set(values) - set(EDITABLE)):
            raise RegistryError(f"{', '.join(unknown)[:200]} cannot be edited; these can: {', '.join(EDITABLE)}")
        for name, text in values.items():
            check_text(name, text)
        if not values.get("name", "-").strip():
            raise RegistryError("a device has a name")

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
            empty: dict[str, Any] = dict.fromkeys(EDITABLE, "")
            new = [one for one in wanted if one.unit_id not in known]
            paths = {path: tree.create_path(writer, path, actor=actor)[0] for path in {one.directory for one in new}}
            rows = [
                {
                    **empty,
                    **_new_row(writer, one.unit_id, mac=one.mac, name=one.name),
                    **one.attributes,
                    "directory_id": paths[one.directory],
                }
                for one in new
            ]
            if rows:
                writer.connection.execute(device.insert(), rows)
                _assign_profiles(writer, new)
            for row in rows:
                writer.event("device-imported", actor=actor, unit_id=row["unit_id"])
            return [str(one.unit_id) for one in wanted if one.unit_id in known]

        existing = await self._store.change(work)
        return len(wanted) - len(existing), existing

    async def revoke(self, unit_id: UnitId, *, actor: str, reason: str) -> int:
        """Revoke all certificates of a device (X13, SE4); returns how many were not revoked before.

        Raises `RefusedError`.
        """
        check_text("reason", reason)

        def work(writer: Writer) -> int:
            find(writer.connection, unit_id)
            count = revoke_all(writer, unit_id, reason)
            writer.event("device-revoked", actor=actor, unit_id=unit_id, cause=reason, certificates=count)
            return count

        count = await self._store.change(work)
        self._presence.refuse(unit_id, reason)
        return count

    def _view(self, row: RowMapping, directory: str, **more: Any) -> DeviceView:
        state = device_states.state_of(row, self._presence)
        return DeviceView(
            **{name: row[name] for name in KEPT},
            **more,
            state=state,
            icon=device_states.icon(state),
            overlays=device_states.overlays(row, state, pending=is_pending(row)),
            directory=directory,
            config_changes=config_changes(row),
            info=msgspec.json.decode(row["info"]),
        )

    def _line(self, row: RowMapping, directory: str) -> DeviceLine:
        state = device_states.state_of(row, self._presence)
        return DeviceLine(
            unit_id=row["unit_id"],
            name=row["name"],
            state=state,
            overlays=device_states.overlays(row, state, pending=is_pending(row)),
            generation=row["generation"],
            firmware=row["firmware"],
            last_ip=row["last_ip"],
            directory=directory,
            config_changes=config_changes(row),
            last_contact=row["last_contact"],
        )


def _history(connection: Connection, table: Table, unit_id: UnitId) -> list[dict[str, Any]]:
    columns = [column for column in table.c if column.name not in {"id", "unit_id"}]
    query = select(*columns).where(table.c.unit_id == unit_id).order_by(table.c.id.desc())
    return [dict(row) for row in connection.execute(query).mappings()]


# For use inside a change.


def is_pending(row: RowMapping) -> bool:
    """Whether a device has not acknowledged what it is to have."""
    return bool(row["settings_digest"] != row["applied_digest"])


def config_changes(row: RowMapping) -> str:
    """Say so in the vendor's words (section 15.4)."""
    return "PENDING" if is_pending(row) else "APPLIED"


def find(connection: Connection, unit_id: UnitId) -> RowMapping:
    """Return the row of a device. Raises `RegistryError`."""
    row = get(connection, unit_id)
    if row is None:
        raise _no_device(unit_id)
    return row


def _no_device(unit_id: UnitId) -> RegistryError:
    return RegistryError(f"no device has the unit ID {unit_id}")


def get(connection: Connection, unit_id: UnitId) -> RowMapping | None:
    """Return the row of a device, or None."""
    return connection.execute(_GET, {"which": unit_id}).mappings().first()


def insert(writer: Writer, unit_id: UnitId, *, registered_at: str) -> None:
    """Add a device that registers now."""
    row = _new_row(writer, unit_id)
    writer.connection.execute(device.insert(), {**row, "registered_at": registered_at})


def _new_row(writer: Writer, unit_id: UnitId, *, mac: str = "", name: str = "") -> dict[str, str]:
    """What every new device has; without a name it gets the default one (U6)."""
    from_unit_id = unit_id if len(unit_id) == 12 else ""  # a UD Pocket's unit ID holds no MAC address (U2)
    identity = {"unit_id": unit_id, "mac": mac or from_unit_id, "name": name or default_name(unit_id)}
    return {**identity, "created_at": writer.stamp}


def _assign_profiles(writer: Writer, imported: Sequence[ImportedDevice]) -> None:
    """Assign to devices that are new the profiles their rows name (A10)."""
    named = {number for one in imported for number in one.profiles}
    if not named:
        return
    known = set(writer.connection.execute(select(profile.c.id).where(profile.c.kind != "global")).scalars())
    if unknown := sorted(named - known):
        raise RegistryError(f"the file names profile {unknown[0]}, and there is none with that number")
    ids = {row.unit_id: row.id for row in writer.connection.execute(select(device.c.unit_id, device.c.id)).all()}
    common = {"object_type": "profile", "receiver_type": "device"}
    rows = [
        {**common, "object_id": number, "receiver_id": ids[one.unit_id], "position": position}
        for one in imported
        for position, number in enumerate(one.profiles, 1)
    ]
    writer.connection.execute(assignment.insert(), rows)


def update(writer: Writer, unit_id: UnitId, **values: str | int | None) -> None:
    """Set columns of a device."""
    writer.connection.execute(_UPDATE, {"which": unit_id, **values})


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
