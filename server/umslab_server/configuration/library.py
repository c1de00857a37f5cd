# SPDX-License-Identifier: Apache-2.0
"""Reads the configuration for one change or one question, each row at most once, and makes documents of it.

Documents are shared: devices in one directory without assignments of their own have the same one.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import msgspec
from sqlalchemy import bindparam, select

from umslab_protocol.wire.orders import AppOrder, FileOrder
from umslab_server.configuration.effective import Layer, Profile, effective_document
from umslab_server.tables import app, assignment, directory, file, profile

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sqlalchemy import Connection

    from umslab_server.configuration.document import Document
    from umslab_server.configuration.effective import Holding

T = TypeVar("T")

CHUNK = 500  # ids in one query; SQLite takes 32,766

# Made once, because every device that asks for the first time runs them.
_GLOBAL = select(profile.c.settings).where(profile.c.kind == "global")
_DIRECTORY = select(directory.c.parent_id, directory.c.name).where(directory.c.id == bindparam("which"))
_ASSIGNED = (
    select(assignment.c.receiver_id, assignment.c.object_type, assignment.c.object_id)
    .where(
        assignment.c.receiver_type == bindparam("kind"),
        assignment.c.receiver_id.in_(bindparam("receivers", expanding=True)),
    )
    .order_by(assignment.c.receiver_id, assignment.c.object_type, assignment.c.position, assignment.c.id)
)

_settings_decoder = msgspec.json.Decoder(dict[str, str])


class Assigned(NamedTuple):
    """One object as it is assigned."""

    object_type: str
    object_id: int


def chunks(ids: Sequence[T]) -> Iterator[Sequence[T]]:
    """Cut a list of ids into what one query takes."""
    for start in range(0, len(ids), CHUNK):
        yield ids[start : start + CHUNK]


class Library:
    """The configuration as it is on this connection now."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._objects: dict[Assigned, Holding] = {}
        self._layers: dict[int, Layer] = {}  # by directory
        self._directories: dict[int, tuple[int | None, str]] = {}  # parent and name
        self._documents: dict[tuple[int, tuple[Assigned, ...]], Document] = {}
        self._global: dict[str, str] | None = None

    @property
    def global_settings(self) -> dict[str, str]:
        """The parameters of the global profile."""
        if self._global is None:
            self._global = _settings_decoder.decode(self._connection.execute(_GLOBAL).scalar() or "{}")
        return self._global

    def document(self, directory_id: int, own: tuple[Assigned, ...]) -> Document:
        """Return what a device in this directory with these assignments of its own is to have.

        Raises `DocumentTooLargeError`.
        """
        document = self._documents.get((directory_id, own))
        if document is None:
            document = effective_document(self.global_settings, self.layers(directory_id, own, ""))
            self._documents[directory_id, own] = document
        return document

    def layers(self, directory_id: int, own: tuple[Assigned, ...], unit_id: str) -> list[Layer]:
        """Return the receivers from the root to the device, with what they have."""
        chain = self.chain(directory_id)
        return [*(self._layer(one) for one in chain), Layer(unit_id, self._holdings(own))]

    def chain(self, directory_id: int) -> list[int]:
        """Return the ids of the directories from the root to this one."""
        chain: list[int] = []
        here: int | None = directory_id
        while here is not None:
            chain.append(here)
            here = self._directory(here)[0]
        return chain[::-1]

    def path(self, directory_id: int) -> str:
        """Return the path of a directory; `/` is the root."""
        return "/" + "/".join(self._directory(one)[1] for one in self.chain(directory_id)[1:])

    def _directory(self, directory_id: int) -> tuple[int | None, str]:
        if directory_id not in self._directories:
            parent, name = self._connection.execute(_DIRECTORY, {"which": directory_id}).one()
            self._directories[directory_id] = (parent, name)
        return self._directories[directory_id]

    def own(self, device_ids: Sequence[int]) -> dict[int, tuple[Assigned, ...]]:
        """Return the devices' own assignments in their order; devices without any are not in it."""
        found: dict[int, tuple[Assigned, ...]] = {}
        for some in chunks(device_ids):
            found |= self._assigned("device", some)
        return found

    def _layer(self, directory_id: int) -> Layer:
        layer = self._layers.get(directory_id)
        if layer is None:
            assigned = self._assigned("directory", [directory_id]).get(directory_id, ())
            layer = Layer(self.path(directory_id), self._holdings(assigned))
            self._layers[directory_id] = layer
        return layer

    def _assigned(self, receiver_type: str, ids: Sequence[int]) -> dict[int, tuple[Assigned, ...]]:
        rows = self._connection.execute(_ASSIGNED, {"kind": receiver_type, "receivers": list(ids)}).all()
        return {
            receiver: tuple(Assigned(row.object_type, row.object_id) for row in some)
            for receiver, some in groupby(rows, key=lambda row: int(row.receiver_id))
        }

    def _holdings(self, assigned: Iterable[Assigned]) -> list[Holding]:
        return [self._object(one) for one in assigned]

    def _object(self, wanted: Assigned) -> Holding:
        if wanted not in self._objects:
            self._objects[wanted] = _read_object(self._connection, wanted)
        return self._objects[wanted]


def _read_object(connection: Connection, wanted: Assigned) -> Holding:
    table = {"profile": profile, "app": app, "file": file}[wanted.object_type]
    row = connection.execute(select(table).where(table.c.id == wanted.object_id)).mappings().one()
    if wanted.object_type == "app":
        return AppOrder(name=row["name"], version=row["version"])
    if wanted.object_type == "file":
        return FileOrder(name=row["name"], sha256=row["sha256"], size=row["size"])
    return Profile(row["name"], _settings_decoder.decode(row["settings"]), priority=row["kind"] == "priority")
