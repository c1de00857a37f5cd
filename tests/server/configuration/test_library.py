# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.configuration.library."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.server.parts import unit_id
from umslab_server.configuration.assignments import ObjectType
from umslab_server.configuration.library import Assigned, Library, chunks
from umslab_server.configuration.profiles import ProfileKind
from umslab_server.configuration.reconcile import When
from umslab_server.configuration.tree import resolve

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from .plant import Plant


def test_chunks() -> None:
    """What one query takes, in order, nothing left out."""
    assert [500, 500, 1] == [len(some) for some in chunks(range(1001))]
    assert list(range(1001)) == [one for some in chunks(range(1001)) for one in some]


async def test_documents_are_shared(plant: Plant) -> None:
    """Devices of one directory without assignments of their own have one document, computed once."""
    await plant.directories.create("/a/b", actor="ann")
    await plant.profiles.create("p", ProfileKind.PROFILE, {"x": "1"}, actor="ann")
    await plant.register(1, 2)
    await plant.assignments.assign(ObjectType.PROFILE, "p", ["/a", unit_id(2)], actor="ann", when=When.NOW)
    first, second = [(await plant.row(number))["id"] for number in (1, 2)]

    def look(connection: Connection) -> None:
        library = Library(connection)
        below = resolve(connection, "/a/b")

        assert {second: (Assigned("profile", 1),)} == library.own([first, second])
        assert library.document(below, ()) is library.document(below, ())
        assert {"x": "1"} == library.document(below, ()).settings
        assert {} == library.document(-1, ()).settings
        assert library.document(-1, (Assigned("profile", 1),)).digest == library.document(below, ()).digest
        assert ["/", "/a", "/a/b", "D"] == [layer.receiver for layer in library.layers(below, (), "D")]
        assert "/a/b" == library.path(below)

    await plant.store.read(look)
