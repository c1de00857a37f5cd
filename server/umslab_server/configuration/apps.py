# SPDX-License-Identifier: Apache-2.0
"""Apps that devices can be told to have (FU3); only names and versions: there is no App Portal here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct
from sqlalchemy import select

from umslab_server.configuration.assignments import ObjectType, count_receivers, find_object, object_name, take_from_all
from umslab_server.configuration.profiles import check_name
from umslab_server.configuration.reconcile import Settled, When, devices_with, reconcile
from umslab_server.errors import RefusedError
from umslab_server.tables import app

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from umslab_server.configuration.synchronise import Configuration, Outcome
    from umslab_server.store import Store, Writer

MAX_VERSION_CHARACTERS = 255


class AppView(Struct, frozen=True, kw_only=True):
    """An app as the terminal shows it."""

    id: int
    name: str
    version: str
    receivers: int
    created_at: str


class Apps:
    """The apps, for people."""

    def __init__(self, store: Store, configuration: Configuration) -> None:
        self._store = store
        self._configuration = configuration

    async def list_apps(self) -> list[AppView]:
        """Return all apps, by name and version."""

        def query(connection: Connection) -> list[AppView]:
            rows = connection.execute(select(app).order_by(app.c.name, app.c.version)).mappings().all()
            receivers = count_receivers(connection, ObjectType.APP)
            return [AppView(**row, receivers=receivers.get(row["id"], 0)) for row in rows]

        return await self._store.read(query)

    async def create(self, name: str, version: str, *, actor: str) -> int:
        """Make an app known and return its number. Raises `RefusedError`."""
        checked, version = check_name(name), version.strip()
        if not 1 <= len(version) <= MAX_VERSION_CHARACTERS or not version.isprintable():
            raise RefusedError(f"a version has 1 to {MAX_VERSION_CHARACTERS} printable characters")

        def work(writer: Writer) -> int:
            same = select(app.c.id).where(app.c.name == checked, app.c.version == version)
            if writer.connection.execute(same).scalar() is not None:
                raise RefusedError(f"the app {checked} {version} is known already")
            values = {"name": checked, "version": version, "created_at": writer.stamp}
            made = writer.connection.execute(app.insert().values(**values).returning(app.c.id)).scalar_one()
            writer.event("app-created", actor=actor, app=made, name=checked, version=version)
            return int(made)

        return await self._store.change(work)

    async def delete(self, which: str, *, actor: str, when: When) -> Outcome:
        """Forget an app; whoever had it is to remove it. Raises `RefusedError`."""

        def work(writer: Writer) -> Settled:
            app_id = find_object(writer.connection, ObjectType.APP, which)
            name = object_name(writer.connection, ObjectType.APP, app_id)
            affected = devices_with(writer.connection, "app", app_id)
            take_from_all(writer, ObjectType.APP, app_id)
            writer.connection.execute(app.delete().where(app.c.id == app_id))
            writer.event("app-deleted", actor=actor, app=app_id, name=name)
            return reconcile(writer, affected, actor=actor, cause=f"app {name} was deleted", when=when)

        return await self._configuration.change(work)
