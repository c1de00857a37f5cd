# SPDX-License-Identifier: Apache-2.0
"""Saved views: a name for a search over the registry, used to look at devices and to address them.

Facts: B5 (who onboarded), H1 (searches for lost devices use the time of the last contact), J8 (devices in the recycle
bin cannot be addressed, so no view finds them), N8 (who looks at a view with the criterion Online waits for a check of
OS 11 devices, with the timeout of the online check; who gives a command to it gets what the last check found).
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct
from sqlalchemy import func, select

from umslab_protocol.wire.inventory import InstallState
from umslab_server.configuration import tree
from umslab_server.errors import RefusedError
from umslab_server.store import timestamp
from umslab_server.tables import OS11, device, job, view
from umslab_server.texts import check_name

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from datetime import datetime

    from sqlalchemy import ColumnElement, Connection, RowMapping

    from umslab_runtime.clock import Clock
    from umslab_server.presence import Presence
    from umslab_server.store import Store, Writer

MAX_VIEWS = 1_000

Pattern = Annotated[str, Meta(min_length=1, max_length=255)]
"""Text to be equal to; `*` stands for any characters, `?` for one, and then case does not matter."""


class Criteria(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What devices have to be; all that is given has to be true."""

    name: Pattern | None = None
    structure_tag: Pattern | None = None
    firmware: Pattern | None = None
    """For example `12.8.4` or `12.8.*`."""
    onboarded_by: Pattern | None = None
    directory: Pattern | None = None
    """A path or a number; everything below it belongs to it."""
    online: bool | None = None
    """Of an OS 11 device that nobody has asked neither is true."""
    config_changes: Literal["PENDING", "APPLIED"] | None = None
    not_seen_for_days: Annotated[float, Meta(ge=0, le=36_525)] | None = None
    """Last contact is at least so long ago (H1); neither a device that is online nor one that never registered is."""
    app: Pattern | None = None
    """Name of an app that is installed."""


class SavedView(Struct, frozen=True, kw_only=True):
    """A view as the terminal shows it."""

    id: int
    name: str
    criteria: dict[str, Any]
    created_at: str


class FoundDevice(Struct, frozen=True, kw_only=True):
    """A device that a view found."""

    unit_id: str
    name: str
    online: bool
    firmware: str
    structure_tag: str
    last_contact: str | None


def find(connection: Connection, criteria: Criteria, presence: Presence, now: datetime) -> list[str]:
    """Return the unit IDs of the devices that meet the criteria, by unit ID. Raises `RefusedError`."""
    query = select(device).where(device.c.binned_at.is_(None)).order_by(device.c.unit_id)
    for condition in _conditions(criteria, now):
        query = query.where(condition)
    rows: Iterable[RowMapping] = connection.execute(query).mappings()
    if criteria.directory is not None:
        below = tree.subtree(connection, tree.resolve(connection, criteria.directory))
        rows = (row for row in rows if row["directory_id"] in below)
    if criteria.online is not None:
        rows = (row for row in rows if _is(criteria.online, row, presence))
    if criteria.not_seen_for_days is not None:
        rows = (row for row in rows if not presence.is_online(row["unit_id"]))
    if criteria.app is not None:
        rows = (row for row in rows if _has_app(row["apps"], criteria.app))
    return [str(row["unit_id"]) for row in rows]


def find_saved(connection: Connection, name: str, presence: Presence, now: datetime) -> list[str]:
    """Return the unit IDs of the devices in a saved view. Raises `RefusedError`."""
    return find(connection, _criteria(_saved(connection, name)), presence, now)


async def _nothing() -> None:
    """Where nobody has to be asked."""


class Views:
    """Saved views, for people."""

    def __init__(
        self, store: Store, presence: Presence, *, clock: Clock, refresh: Callable[[], Awaitable[None]] = _nothing
    ) -> None:
        """`refresh` brings up to date who is online; it may take as long as an online check."""
        self._store = store
        self._presence = presence
        self._clock = clock
        self._refresh = refresh

    async def create(self, name: str, criteria: Criteria, *, actor: str) -> SavedView:
        """Save a view. Raises `RefusedError`."""
        text = msgspec.json.encode(criteria).decode()

        def work(writer: Writer) -> SavedView:
            _check(writer.connection, name, criteria)
            row = {"name": name, "criteria": text, "created_at": writer.stamp}
            writer.connection.execute(view.insert().values(**row))
            writer.event("view-created", actor=actor, view=name)
            return _shown(_saved(writer.connection, name))

        return await self._store.change(work)

    async def list_views(self) -> list[SavedView]:
        """Return all views by name."""
        query = select(view).order_by(view.c.name)
        rows = await self._store.read(lambda connection: connection.execute(query).mappings().all())
        return [_shown(row) for row in rows]

    async def show(self, name: str) -> tuple[SavedView, list[FoundDevice]]:
        """Return a view and the devices in it. Raises `RefusedError`."""
        saved = await self._store.read(lambda connection: _criteria(_saved(connection, name)))
        now = await self._begin(saved)

        def query(connection: Connection) -> tuple[SavedView, list[FoundDevice]]:
            row = _saved(connection, name)
            found = set(find(connection, _criteria(row), self._presence, now))
            return _shown(row), [self._found(one) for one in _devices(connection) if one["unit_id"] in found]

        return await self._store.read(query)

    async def search(self, criteria: Criteria) -> list[FoundDevice]:
        """Return the devices that meet criteria nobody has saved. Raises `RefusedError`."""
        now = await self._begin(criteria)

        def query(connection: Connection) -> list[FoundDevice]:
            found = set(find(connection, criteria, self._presence, now))
            return [self._found(one) for one in _devices(connection) if one["unit_id"] in found]

        return await self._store.read(query)

    async def delete(self, name: str, *, actor: str) -> None:
        """Delete a view. Raises `RefusedError` while a job addresses devices by it."""

        def work(writer: Writer) -> None:
            number = _saved(writer.connection, name)["id"]
            for row in writer.connection.execute(select(job.c.name, job.c.selector)).mappings():
                if json.loads(row["selector"]).get("view") == name:
                    raise RefusedError(f"the job {row['name']!r} uses this view; delete the job first")
            writer.connection.execute(view.delete().where(view.c.id == number))
            writer.event("view-deleted", actor=actor, view=name)

        await self._store.change(work)

    async def _begin(self, criteria: Criteria) -> datetime:
        """Return the time of the search; who is online is up to date then, if it matters (N8)."""
        if criteria.online is not None:
            await self._refresh()
        return self._clock.utc()

    def _found(self, row: RowMapping) -> FoundDevice:
        columns = {name: row[name] for name in FoundDevice.__struct_fields__ if name != "online"}
        return FoundDevice(**columns, online=self._presence.is_online(row["unit_id"]))


def _check(connection: Connection, name: str, criteria: Criteria) -> None:
    check_name("a view", name)
    if criteria == Criteria():
        raise RefusedError("a view needs at least one criterion; `--all` addresses every device")
    if connection.execute(select(view.c.id).where(view.c.name == name)).first() is not None:
        raise RefusedError(f"there is a view {name!r} already; delete it first")
    if (connection.execute(select(func.count()).select_from(view)).scalar() or 0) >= MAX_VIEWS:
        raise RefusedError(f"there are {MAX_VIEWS} views, which is the most there can be")
    if criteria.directory is not None:
        tree.resolve(connection, criteria.directory)


def _conditions(criteria: Criteria, now: datetime) -> list[ColumnElement[bool]]:
    """Everything that the database can decide."""
    conditions = [
        _matches(device.c[column], wanted)
        for column in ("name", "structure_tag", "firmware", "onboarded_by")
        if (wanted := getattr(criteria, column)) is not None
    ]
    if criteria.config_changes is not None:
        applied = device.c.settings_digest == device.c.applied_digest
        conditions.append(applied if criteria.config_changes == "APPLIED" else ~applied)
    if criteria.not_seen_for_days is not None:
        limit = timestamp(now - timedelta(days=criteria.not_seen_for_days))
        conditions.append(func.coalesce(device.c.last_contact, device.c.registered_at) <= limit)
    if criteria.app is not None:
        conditions.append(device.c.apps != "[]")
    return conditions


def _is(online: bool, row: RowMapping, presence: Presence) -> bool:  # noqa: FBT001 - the criterion
    if presence.is_online(row["unit_id"]):
        return online
    return not online and (row["generation"] != OS11 or presence.is_known(row["unit_id"]))


def _matches(column: ColumnElement[Any], pattern: str) -> ColumnElement[bool]:
    if not set(pattern) & {"*", "?"}:
        return column == pattern
    escaped = pattern.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return column.like(escaped.replace("*", "%").replace("?", "_"), escape="\\")


def _has_app(apps: str, name: str) -> bool:
    return any(one["name"] == name and one["state"] == InstallState.INSTALLED for one in json.loads(apps))


def _saved(connection: Connection, name: str) -> RowMapping:
    row = connection.execute(select(view).where(view.c.name == name)).mappings().first()
    if row is None:
        raise RefusedError(f"there is no view {name!r}: `umslab ctl views list` shows all")
    return row


def _criteria(row: RowMapping) -> Criteria:
    return msgspec.json.decode(row["criteria"], type=Criteria)


def _shown(row: RowMapping) -> SavedView:
    return SavedView(**{**row, "criteria": json.loads(row["criteria"])})


def _devices(connection: Connection) -> Iterable[RowMapping]:
    columns = [device.c[name] for name in FoundDevice.__struct_fields__ if name != "online"]
    return connection.execute(select(*columns).order_by(device.c.unit_id)).mappings()
