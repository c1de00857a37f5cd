# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.configuration.assignments."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine
from sqlalchemy.pool import StaticPool

from tests.server.parts import EPOCH, unit_id
from umslab_server.configuration import assignments
from umslab_server.configuration.assignments import ObjectType, Receiver, put, take
from umslab_server.configuration.profiles import ProfileKind
from umslab_server.configuration.reconcile import When
from umslab_server.errors import RefusedError
from umslab_server.store import Writer
from umslab_server.tables import assignment, metadata

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .plant import Plant

HERE = Receiver("directory", -1, "/")


async def make(plant: Plant, *names: str) -> None:
    """Make profiles that all set the same parameter."""
    for name in names:
        await plant.profiles.create(name, ProfileKind.PROFILE, {"x": name}, actor="ann")


async def order(plant: Plant, receiver: str = "/") -> list[tuple[str, int]]:
    """What a receiver has, and at which positions."""
    return [(one.object, one.position) for one in await plant.assignments.of_receiver(receiver)]


async def test_positions(plant: Plant) -> None:
    """Last, at a position, moved by assigning again, closed up when one goes; the last wins."""
    await make(plant, "a", "b", "c")
    thing = await plant.managed()
    for name, position in (("a", None), ("b", None), ("c", 1), ("c", 99), ("a", 2)):
        await plant.assignments.assign(ObjectType.PROFILE, name, ["/"], position=position, actor="ann", when=When.NOW)
    before = await order(plant)
    await plant.assignments.unassign(ObjectType.PROFILE, "b", ["/"], actor="ann", when=When.NOW)

    assert [("b", 1), ("a", 2), ("c", 3)] == before
    assert [("a", 1), ("c", 2)] == await order(plant)
    assert ["a", "b", "c"] == [one.settings["x"] for one in thing.offers[1:]]


async def test_who_has_it(plant: Plant) -> None:
    """Directories by path, devices by unit ID; a device that is gone is not told."""
    await make(plant, "a")
    await plant.directories.create("/Bremen", actor="ann")
    await plant.register(1, 2)
    receivers = ["/Bremen", unit_id(1), unit_id(2)]
    await plant.assignments.assign(ObjectType.PROFILE, "a", receivers, actor="ann", when=When.NOW)
    await plant.registry.purge(unit_id(2), actor="ann")

    assert [unit_id(1), "/Bremen"] == [
        one.receiver for one in await plant.assignments.of_object(ObjectType.PROFILE, "a")
    ]
    assert [None, unit_id(1), unit_id(2)] == [event.unit_id for event in await plant.events("assigned")]


async def test_refusals(plant: Plant) -> None:
    """Unknown objects and receivers, and what is not assigned: nothing of the change happens."""
    await make(plant, "a")
    for which, receiver, why in (
        ("b", "/", "no profile 'b'"),
        ("a", "/none", "no directory"),
        ("a", unit_id(1), "no device"),
        ("a", "nonsense", "neither a unit ID nor"),
    ):
        with pytest.raises(RefusedError, match=why):
            await plant.assignments.assign(ObjectType.PROFILE, which, ["/", receiver], actor="ann", when=When.NOW)
    with pytest.raises(RefusedError, match="is not assigned to /"):
        await plant.assignments.unassign(ObjectType.PROFILE, "a", ["/"], actor="ann", when=When.NOW)
    assert [] == await order(plant)


async def test_crowded(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    """Section 12.1: 25 assignments that reach a device are a warning; far too many are refused."""
    monkeypatch.setattr(assignments, "MAX_ASSIGNMENTS", 27)
    await plant.register(1, 2)
    names = [f"p {number}" for number in range(28)]
    await make(plant, *names)
    outcomes = [
        await plant.assignments.assign(ObjectType.PROFILE, name, ["/"], actor="ann", when=When.NOW)
        for name in names[:24]
    ]
    for path in ("/a/b", "/c"):
        await plant.directories.create(path, actor="ann")
    await plant.directories.move_devices([unit_id(1)], "/c", actor="ann", when=When.NOW)
    fine = await plant.overview.show(unit_id(1))
    await plant.assignments.assign(ObjectType.PROFILE, names[24], ["/a"], actor="ann", when=When.NOW)
    moved = await plant.directories.move("/c", "/a", actor="ann", when=When.NOW)
    crowded = await plant.overview.show(unit_id(1))
    for name in names[24:27]:
        await plant.assignments.assign(ObjectType.PROFILE, name, ["/"], actor="ann", when=When.NOW)

    assert [[]] * 24 == [one.warnings for one in outcomes]
    assert ["25 assignments or more reach 1 device: the sizing guide advises against it"] == moved.warnings
    assert ("", f"25 assignments reach it: {moved.warnings[0].partition(': ')[2]}") == (fine.warning, crowded.warning)
    with pytest.raises(RefusedError, match="27 assignments"):
        await plant.assignments.assign(ObjectType.PROFILE, names[27], ["/"], actor="ann", when=When.NOW)


@contextmanager
def _memory() -> Iterator[Writer]:
    """A writer on tables in memory."""
    engine = create_engine("sqlite://", poolclass=StaticPool)
    with engine.connect() as connection:
        metadata.create_all(connection)
        yield Writer(connection, EPOCH)
    engine.dispose()


_steps = st.lists(st.tuples(st.integers(1, 5), st.one_of(st.none(), st.just(0), st.integers(1, 7))), max_size=12)


@given(_steps)
@settings(deadline=None)
def test_positions_stay_dense(steps: list[tuple[int, int | None]]) -> None:
    """Whatever is assigned and taken back (0): positions are 1 to n, in the order a list would have."""
    wanted: list[int] = []
    with _memory() as writer:
        for which, position in steps:
            if which in wanted:
                wanted.remove(which)
            if position == 0:
                take(writer, ObjectType.PROFILE, which, HERE)
                continue
            put(writer, ObjectType.PROFILE, which, HERE, position)
            wanted.insert(len(wanted) if position is None else min(position - 1, len(wanted)), which)
        rows = writer.connection.execute(assignment.select().order_by(assignment.c.position)).all()

    assert [(which, at) for at, which in enumerate(wanted, 1)] == [(row.object_id, row.position) for row in rows]
