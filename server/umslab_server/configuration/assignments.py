# SPDX-License-Identifier: Apache-2.0
"""Who gets which profiles, apps and files: assignments to directories and devices, with positions (section 11.6)."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec import Struct
from sqlalchemy import func, select

from umslab_protocol.errors import InvalidValueError
from umslab_protocol.values.unit_id import parse_unit_id
from umslab_server import registry
from umslab_server.configuration.reconcile import Settled, When, devices_below, reconcile
from umslab_server.configuration.tree import LONGEST_NUMBER, path_of, resolve
from umslab_server.errors import RefusedError
from umslab_server.tables import app, assignment, device, file, profile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import ColumnElement, Connection, Row, Table

    from umslab_server.configuration.synchronise import Configuration, Outcome
    from umslab_server.store import Store, Writer

MAX_ASSIGNMENTS = 1_000  # of one type at one receiver


class ObjectType(StrEnum):
    """What can be assigned."""

    PROFILE = "profile"
    APP = "app"
    FILE = "file"


TABLES: dict[ObjectType, Table] = {ObjectType.PROFILE: profile, ObjectType.APP: app, ObjectType.FILE: file}


class Receiver(NamedTuple):
    """A directory or a device."""

    receiver_type: str
    receiver_id: int
    name: str


class AssignmentView(Struct, frozen=True, kw_only=True):
    """One assignment as the terminal shows it."""

    object_type: str
    object_id: int
    object: str
    receiver_type: str
    receiver: str
    position: int
    """From 1; what is applied later wins."""


class Assignments:
    """Assigns, takes back, lists."""

    def __init__(self, store: Store, configuration: Configuration) -> None:
        self._store = store
        self._configuration = configuration

    async def assign(
        self,
        object_type: ObjectType,
        which: str,
        receivers: Sequence[str],
        *,
        position: int | None = None,
        actor: str,
        when: When,
    ) -> Outcome:
        """Assign an object to directories (by path) and devices (by unit ID), last or at a position from 1.

        What is assigned already is moved to the position. Raises `RefusedError`.
        """

        def work(writer: Writer) -> Settled:
            object_id = find_object(writer.connection, object_type, which)
            name = object_name(writer.connection, object_type, object_id)
            found = [find_receiver(writer.connection, one) for one in receivers]
            for one in found:
                put(writer, object_type, object_id, one, position)
                writer.event(
                    "assigned", actor=actor, unit_id=_unit_id(one), object=str(object_type), id=object_id,
                    receiver=one.name,
                )  # fmt: skip
            affected = _affected(writer.connection, found)
            cause = f"{object_type} {name} was assigned"
            return reconcile(writer, affected, actor=actor, cause=cause, when=when, warn=True)

        return await self._configuration.change(work)

    async def unassign(
        self, object_type: ObjectType, which: str, receivers: Sequence[str], *, actor: str, when: When
    ) -> Outcome:
        """Take an object back from directories and devices. Raises `RefusedError`."""

        def work(writer: Writer) -> Settled:
            object_id = find_object(writer.connection, object_type, which)
            name = object_name(writer.connection, object_type, object_id)
            found = [find_receiver(writer.connection, one) for one in receivers]
            for one in found:
                if not take(writer, object_type, object_id, one):
                    raise RefusedError(f"{object_type} {name} is not assigned to {one.name}")
                writer.event(
                    "unassigned", actor=actor, unit_id=_unit_id(one), object=str(object_type), id=object_id,
                    receiver=one.name,
                )  # fmt: skip
            affected = _affected(writer.connection, found)
            return reconcile(writer, affected, actor=actor, cause=f"{object_type} {name} was unassigned", when=when)

        return await self._configuration.change(work)

    async def of_receiver(self, receiver: str) -> list[AssignmentView]:
        """Return what is assigned to a directory or device itself. Raises `RefusedError`."""

        def query(connection: Connection) -> list[AssignmentView]:
            found = find_receiver(connection, receiver)
            return _views(
                connection, assignment.c.receiver_type == found.receiver_type,
                assignment.c.receiver_id == found.receiver_id,
            )  # fmt: skip

        return await self._store.read(query)

    async def of_object(self, object_type: ObjectType, which: str) -> list[AssignmentView]:
        """Return to whom an object is assigned. Raises `RefusedError`."""

        def query(connection: Connection) -> list[AssignmentView]:
            object_id = find_object(connection, object_type, which)
            return _views(connection, assignment.c.object_type == str(object_type), assignment.c.object_id == object_id)

        return await self._store.read(query)


def find_receiver(connection: Connection, text: str) -> Receiver:
    """Return the directory or device that is named by path or unit ID. Raises `RefusedError`."""
    try:
        unit_id = parse_unit_id(text)
    except InvalidValueError:
        if not text.startswith("/"):
            raise RefusedError(f"{text[:60]!r} is neither a unit ID nor the path of a directory") from None
        here = resolve(connection, text)
        return Receiver("directory", here, path_of(connection, here))
    return Receiver("device", registry.find(connection, unit_id)["id"], unit_id)


def find_object(connection: Connection, object_type: ObjectType, which: str) -> int:
    """Return the id of what is named by number or name, an app by `NAME@VERSION`. Raises `RefusedError`."""
    table = TABLES[object_type]
    name, at, version = which.rpartition("@")
    if which.isascii() and which.isdecimal() and len(which) <= LONGEST_NUMBER:
        where = [table.c.id == int(which)]
    elif object_type is ObjectType.APP and at:
        where = [table.c.name == name, table.c.version == version]
    else:
        where = [table.c.name == which]
    found = list(connection.execute(select(table.c.id).where(*where)).scalars())
    if len(found) > 1:
        raise RefusedError(f"{which} has several versions: name one, as in {which}@VERSION, or its number")
    if not found:
        raise RefusedError(f"there is no {object_type} {which[:60]!r}")
    return int(found[0])


def object_name(connection: Connection, object_type: ObjectType, object_id: int) -> str:
    """Return the name of what can be assigned. Raises `RefusedError`."""
    table = TABLES[object_type]
    row = connection.execute(select(table).where(table.c.id == object_id)).mappings().first()
    if row is None:
        raise RefusedError(f"there is no {object_type} number {object_id}")
    if row.get("kind") == "global":
        raise RefusedError("the global profile is everybody's and cannot be assigned or taken back")
    return f"{row['name']} {row['version']}" if object_type is ObjectType.APP else str(row["name"])


def put(writer: Writer, object_type: ObjectType, object_id: int, receiver: Receiver, position: int | None) -> None:
    """Assign, at a position from 1 or last; for use inside a change. Raises `RefusedError`."""
    take(writer, object_type, object_id, receiver)
    rows = _of(writer.connection, object_type, receiver)
    if len(rows) >= MAX_ASSIGNMENTS:
        raise RefusedError(f"{receiver.name} has {len(rows)} assignments of type {object_type} already")
    at = len(rows) if position is None else min(max(position, 1), len(rows) + 1) - 1
    for number, row in enumerate(rows):
        wanted = number + 1 if number < at else number + 2
        if row.position != wanted:
            writer.connection.execute(assignment.update().where(assignment.c.id == row.id).values(position=wanted))
    writer.connection.execute(
        assignment.insert().values(
            object_type=str(object_type),
            object_id=object_id,
            receiver_type=receiver.receiver_type,
            receiver_id=receiver.receiver_id,
            position=at + 1,
        )
    )


def take(writer: Writer, object_type: ObjectType, object_id: int, receiver: Receiver) -> bool:
    """Take back; tells whether there was anything to take; for use inside a change."""
    rows = _of(writer.connection, object_type, receiver)
    mine = next((row for row in rows if row.object_id == object_id), None)
    if mine is None:
        return False
    writer.connection.execute(assignment.delete().where(assignment.c.id == mine.id))
    writer.connection.execute(
        assignment.update()
        .where(*_at(object_type, receiver), assignment.c.position > mine.position)
        .values(position=assignment.c.position - 1)
    )
    return True


def take_from_all(writer: Writer, object_type: ObjectType, object_id: int) -> None:
    """Take an object back from everybody, because it is deleted; for use inside a change."""
    query = select(assignment.c.receiver_type, assignment.c.receiver_id).where(
        assignment.c.object_type == str(object_type), assignment.c.object_id == object_id
    )
    for row in writer.connection.execute(query).all():
        take(writer, object_type, object_id, Receiver(row.receiver_type, row.receiver_id, ""))


def count_receivers(connection: Connection, object_type: ObjectType) -> dict[int, int]:
    """Return how many receivers each object of a type has."""
    query = (
        select(assignment.c.object_id, func.count())
        .where(assignment.c.object_type == str(object_type))
        .group_by(assignment.c.object_id)
    )
    return {row[0]: row[1] for row in connection.execute(query).all()}


def _unit_id(receiver: Receiver) -> str | None:
    return receiver.name if receiver.receiver_type == "device" else None


def _affected(connection: Connection, receivers: Sequence[Receiver]) -> list[int]:
    below = devices_below(connection, [one.receiver_id for one in receivers if one.receiver_type == "directory"])
    return [*below, *(one.receiver_id for one in receivers if one.receiver_type == "device")]


def _at(object_type: ObjectType, receiver: Receiver) -> tuple[ColumnElement[bool], ...]:
    return (
        assignment.c.object_type == str(object_type),
        assignment.c.receiver_type == receiver.receiver_type,
        assignment.c.receiver_id == receiver.receiver_id,
    )


def _of(connection: Connection, object_type: ObjectType, receiver: Receiver) -> list[Row[Any]]:
    query = select(assignment.c.id, assignment.c.object_id, assignment.c.position).where(*_at(object_type, receiver))
    return list(connection.execute(query.order_by(assignment.c.position, assignment.c.id)))


def _views(connection: Connection, *where: ColumnElement[bool]) -> list[AssignmentView]:
    order = (assignment.c.receiver_type, assignment.c.receiver_id, assignment.c.object_type, assignment.c.position)
    rows = connection.execute(select(assignment).where(*where).order_by(*order)).mappings().all()
    views = []
    for row in rows:
        if row["receiver_type"] == "directory":
            receiver: str | None = path_of(connection, row["receiver_id"])
        else:
            query = select(device.c.unit_id).where(device.c.id == row["receiver_id"])
            receiver = connection.execute(query).scalar_one_or_none()
        if receiver is None:
            continue  # its device is gone
        kind = ObjectType(row["object_type"])
        views.append(
            AssignmentView(
                object_type=str(kind),
                object_id=row["object_id"],
                object=object_name(connection, kind, row["object_id"]),
                receiver_type=row["receiver_type"],
                receiver=receiver,
                position=row["position"],
            )
        )
    return views
