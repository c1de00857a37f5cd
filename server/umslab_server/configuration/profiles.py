# SPDX-License-Identifier: Apache-2.0
"""Profiles, priority profiles and the one global profile: parameters and their values (section 11.6)."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct
from sqlalchemy import select

from umslab_protocol.wire.orders import MAX_PARAMETERS, SettingName, SettingValue
from umslab_server.configuration.assignments import ObjectType, count_receivers, object_name, take_from_all
from umslab_server.configuration.effective import GLOBAL
from umslab_server.configuration.reconcile import Settled, When, all_devices, devices_with, reconcile
from umslab_server.configuration.tree import LONGEST_NUMBER
from umslab_server.errors import RefusedError
from umslab_server.tables import profile

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection, RowMapping

    from umslab_server.configuration.synchronise import Configuration, Outcome
    from umslab_server.store import Store, Writer

MAX_NAME_CHARACTERS = 255


class ProfileKind(StrEnum):
    """What can be created; the global profile is always there."""

    PROFILE = "profile"
    PRIORITY = "priority"
    """Applied after, so over, all others; a "master profile" before 12."""


class ProfileView(Struct, frozen=True, kw_only=True):
    """A profile as the terminal shows it."""

    id: int
    name: str
    kind: str
    parameters: int
    receivers: int
    """So many directories and devices it is assigned to."""
    created_at: str
    updated_at: str
    settings: dict[str, str] = {}
    """Only where one profile was asked for."""


class Profiles:
    """The profiles, for people. `GLOBAL` in place of a number names the global profile."""

    def __init__(self, store: Store, configuration: Configuration) -> None:
        self._store = store
        self._configuration = configuration

    async def list_profiles(self) -> list[ProfileView]:
        """Return all profiles, by name; the global one first, once it has parameters."""

        def query(connection: Connection) -> list[ProfileView]:
            rows = connection.execute(select(profile).order_by(profile.c.kind != GLOBAL, profile.c.name))
            receivers = count_receivers(connection, ObjectType.PROFILE)
            return [_view(row, receivers.get(row["id"], 0)) for row in rows.mappings().all()]

        return await self._store.read(query)

    async def show(self, which: str) -> ProfileView:
        """Return a profile, by number or name, with its parameters. Raises `RefusedError`."""

        def query(connection: Connection) -> ProfileView:
            row = find_profile(connection, which)
            receivers = count_receivers(connection, ObjectType.PROFILE)
            return _view(row, receivers.get(row["id"], 0), with_settings=True)

        return await self._store.read(query)

    async def create(
        self, name: str, kind: ProfileKind, settings: Mapping[str, str] | None = None, *, actor: str
    ) -> int:
        """Make a profile and return its number. Raises `RefusedError`."""
        checked, parameters = check_name(name), check_settings(settings or {})

        def work(writer: Writer) -> int:
            made = _insert(writer, checked, str(kind), parameters)
            writer.event("profile-created", actor=actor, profile=made, name=checked, profile_kind=str(kind))
            return made

        return await self._store.change(work)

    async def rename(self, which: str, name: str, *, actor: str) -> None:
        """Give a profile another name. Raises `RefusedError`."""
        checked = check_name(name)

        def work(writer: Writer) -> None:
            row = _editable(writer.connection, which)
            if checked != row["name"]:
                _refuse_taken(writer.connection, checked)
            _update(writer, row["id"], name=checked)
            writer.event("profile-renamed", actor=actor, profile=row["id"], name=checked)

        await self._store.change(work)

    async def delete(self, which: str, *, actor: str, when: When) -> Outcome:
        """Delete a profile; whoever had it loses its values. Raises `RefusedError`."""

        def work(writer: Writer) -> Settled:
            row = _editable(writer.connection, which)
            affected = devices_with(writer.connection, "profile", row["id"])
            take_from_all(writer, ObjectType.PROFILE, row["id"])
            writer.connection.execute(profile.delete().where(profile.c.id == row["id"]))
            writer.event("profile-deleted", actor=actor, profile=row["id"], name=row["name"])
            cause = f"profile {row['name']} was deleted"
            return reconcile(writer, affected, actor=actor, cause=cause, when=when)

        return await self._configuration.change(work)

    async def edit(
        self, which: str, values: Mapping[str, str], remove: Sequence[str] = (), *, actor: str, when: When
    ) -> Outcome:
        """Set parameters and take others out, so that they have their default again. Raises `RefusedError`."""
        if not values and not remove:
            raise RefusedError("nothing to change was named")
        check_settings(values)

        def work(writer: Writer) -> Settled:
            row = find_profile(writer.connection, which, writer=writer)
            settings = msgspec.json.decode(row["settings"])
            if unknown := sorted(set(remove) - set(settings)):
                raise RefusedError(f"{row['name']} does not set {', '.join(unknown)[:200]}")
            kept = {name: value for name, value in settings.items() if name not in remove}
            _update(writer, row["id"], settings=_encode(check_settings({**kept, **values})))
            changed = sorted({*values, *remove})  # their names only: values may be secrets
            writer.event(
                "profile-edited", actor=actor, profile=row["id"], name=row["name"], parameters=len(changed),
                first=changed[:10],
            )  # fmt: skip
            cause = f"profile {row['name']} was edited"
            return reconcile(writer, _holders(writer.connection, row), actor=actor, cause=cause, when=when)

        return await self._configuration.change(work)


def check_name(name: str) -> str:
    """Return a name a profile, app or file can have. Raises `RefusedError`."""
    stripped = name.strip()
    if not 1 <= len(stripped) <= MAX_NAME_CHARACTERS or not stripped.isprintable() or stripped.isdecimal():
        raise RefusedError(f"a name has 1 to {MAX_NAME_CHARACTERS} printable characters and is not a number")
    return stripped


def check_settings(settings: Mapping[str, str]) -> dict[str, str]:
    """Return parameters that a message can carry. Raises `RefusedError`."""
    if len(settings) > MAX_PARAMETERS:
        raise RefusedError(f"a profile has at most {MAX_PARAMETERS} parameters")
    for name, value in settings.items():
        try:
            msgspec.convert(name, SettingName)
        except msgspec.ValidationError:
            raise RefusedError(
                f"{name[:60]!r} is not a parameter: 1 to 255 letters, digits and . _ - %, as in x.session0.title"
            ) from None
        try:
            msgspec.convert(value, SettingValue)
            value.encode()
        except (msgspec.ValidationError, UnicodeEncodeError) as error:
            raise RefusedError(f"the value of {name} cannot be set: {error}") from None
    return dict(settings)


def find_profile(connection: Connection, which: str, *, writer: Writer | None = None) -> RowMapping:
    """Return the row of a profile that is named by its number, its name or `global`. Raises `RefusedError`.

    The global one is made when it is not there and a `writer` may make it.
    """
    by_number = which.isascii() and which.isdecimal() and len(which) <= LONGEST_NUMBER
    where = profile.c.id == int(which) if by_number else profile.c.name == which
    row = connection.execute(select(profile).where(where)).mappings().first()
    if row is None and which == GLOBAL:
        if writer is None:
            raise RefusedError("the global profile has no parameters yet: `umslab ctl settings global set NAME=VALUE`")
        _insert(writer, GLOBAL, GLOBAL, {})
        return find_profile(connection, which)
    if row is None:
        raise RefusedError(f"there is no profile {which[:60]!r}: `umslab ctl profiles list` shows all")
    return row


def _editable(connection: Connection, which: str) -> RowMapping:
    row = find_profile(connection, which)
    object_name(connection, ObjectType.PROFILE, row["id"])  # refuses the global profile
    return row


def _holders(connection: Connection, row: RowMapping) -> list[int]:
    if row["kind"] == GLOBAL:
        return all_devices(connection)
    return devices_with(connection, "profile", row["id"])


def _insert(writer: Writer, name: str, kind: str, settings: Mapping[str, str]) -> int:
    if kind != GLOBAL:
        _refuse_taken(writer.connection, name)
    values = {"name": name, "kind": kind, "settings": _encode(settings)}
    stamps = {"created_at": writer.stamp, "updated_at": writer.stamp}
    done = writer.connection.execute(profile.insert().values(**values, **stamps).returning(profile.c.id))
    return int(done.scalar_one())


def _refuse_taken(connection: Connection, name: str) -> None:
    taken = connection.execute(select(profile.c.id).where(profile.c.name == name)).scalar()
    if taken is not None or name == GLOBAL:
        raise RefusedError(f"there is a profile {name!r} already")


def _update(writer: Writer, profile_id: int, **values: Any) -> None:
    values["updated_at"] = writer.stamp
    writer.connection.execute(profile.update().where(profile.c.id == profile_id).values(**values))


def _encode(settings: Mapping[str, str]) -> str:
    return msgspec.json.encode(settings, order="deterministic").decode()


def _view(row: RowMapping, receivers: int, *, with_settings: bool = False) -> ProfileView:
    settings: dict[str, str] = msgspec.json.decode(row["settings"])
    return ProfileView(
        id=row["id"],
        name=row["name"],
        kind=row["kind"],
        parameters=len(settings),
        receivers=receivers,
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        settings=settings if with_settings else {},
    )
