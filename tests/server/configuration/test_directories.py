# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.configuration.directories."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.server.parts import unit_id
from umslab_server.configuration import directories
from umslab_server.configuration.assignments import ObjectType
from umslab_server.configuration.profiles import ProfileKind
from umslab_server.configuration.reconcile import When
from umslab_server.configuration.rule_matching import Criteria
from umslab_server.errors import RefusedError

if TYPE_CHECKING:
    from .plant import Plant


ADVICE = "the sizing guide advises against it"


async def paths(plant: Plant) -> list[tuple[str, int, int]]:
    """All directories with how many devices they hold."""
    return [(one.path, one.devices, one.devices_below) for one in await plant.directories.list_directories()]


async def make(plant: Plant, *wanted: str) -> None:
    """Make directories."""
    for path in wanted:
        await plant.directories.create(path, actor="ann")


async def give(plant: Plant, path: str, **settings: str) -> None:
    """Let everybody in a directory have these parameters."""
    await plant.profiles.create(f"for {path}", ProfileKind.PROFILE, settings, actor="ann")
    await plant.assignments.assign(ObjectType.PROFILE, f"for {path}", [path], actor="ann", when=When.NOW)


async def test_list_is_a_tree(plant: Plant) -> None:
    """Each directory before those below it, neighbours by name, with two counts."""
    await make(plant, "/b", "/a/x")
    await plant.register(1)
    await plant.register(2, 3)
    await plant.directories.move_devices([unit_id(2), unit_id(3)], "/a/x", actor="ann", when=When.NOW)

    assert [("/", 1, 3), ("/a", 0, 2), ("/a/x", 2, 2), ("/b", 0, 0)] == await paths(plant)


async def test_create_and_rename(plant: Plant) -> None:
    """Names are unique beside each other."""
    await make(plant, "/a", "/b")
    with pytest.raises(RefusedError, match="exists already"):
        await make(plant, "/a")
    with pytest.raises(RefusedError, match="beside it already"):
        await plant.directories.rename("/a", "b", actor="ann")
    await plant.directories.rename("/a", "a", actor="ann")
    await plant.directories.rename("/a", "c", actor="ann")

    assert ["/", "/b", "/c"] == [path for path, _, _ in await paths(plant)]


async def test_move_changes_settings(plant: Plant) -> None:
    """What is below a moved directory gets what is assigned above its new place, and loses the old."""
    await make(plant, "/a/x", "/b")
    await give(plant, "/a", where="a")
    await give(plant, "/b", where="b")
    thing = await plant.managed()
    await plant.directories.move_devices([unit_id(1)], "/a/x", actor="ann", when=When.NOW)
    outcome = await plant.directories.move("/a/x", "/b", actor="ann", when=When.NOW)

    assert outcome.devices == 1
    assert [{}, {"where": "a"}, {"where": "b"}] == [one.settings for one in thing.offers]
    assert "/b/x" == await plant.where()


async def test_moves_that_make_no_sense(plant: Plant) -> None:
    """Into itself, onto a namesake, too deep, the root."""
    await make(plant, "/a/x", "/b/x", "/d" * 30)
    for path, target, why in (
        ("/a", "/a/x", "into itself"),
        ("/a", "/a", "into itself"),
        ("/a/x", "/b", "in /b already"),
        ("/a", "/d" * 30, "32 deep"),
        ("/", "/a", "root"),
        ("/a", "/none", "no directory"),
    ):
        with pytest.raises(RefusedError, match=why):
            await plant.directories.move(path, target, actor="ann", when=When.NOW)


async def test_delete(plant: Plant) -> None:
    """Only an empty one that no rule needs (ITG-0A023)."""
    await make(plant, "/a/x")
    await give(plant, "/a/x", y="1")
    rule = await plant.rules.create("r", Criteria(), directory="/a/x", actor="ann")
    await plant.register(1)
    with pytest.raises(RefusedError, match="directories in it"):
        await plant.directories.delete("/a", actor="ann")
    with pytest.raises(RefusedError, match=f"rule {rule}"):
        await plant.directories.delete("/a/x", actor="ann")
    await plant.rules.delete(rule, actor="ann")
    await plant.directories.move_devices([unit_id(1)], "/a/x", actor="ann", when=When.NOW)
    with pytest.raises(RefusedError, match="devices in it"):
        await plant.directories.delete("/a/x", actor="ann")
    await plant.directories.move_devices([unit_id(1)], "/", actor="ann", when=When.NOW)
    await plant.directories.delete("/a/x", actor="ann")

    assert ["/", "/a"] == [path for path, _, _ in await paths(plant)]
    assert [] == await plant.assignments.of_object(ObjectType.PROFILE, "for /a/x")


async def test_moving_devices(plant: Plant) -> None:
    """One event a device that really moved; unknown ones and places are refused, and nothing moves."""
    await make(plant, "/a")
    await plant.register(1, 2)
    await plant.directories.move_devices([unit_id(1)], "/a", actor="ann", when=When.NOW)
    await plant.directories.move_devices([unit_id(1), unit_id(2)], "/a", actor="ann", when=When.NOW)
    with pytest.raises(RefusedError, match="no device"):
        await plant.directories.move_devices([unit_id(1), unit_id(9)], "/", actor="ann", when=When.NOW)

    assert [unit_id(1), unit_id(2)] == [event.unit_id for event in await plant.events("device-moved")]
    assert "/a" == await plant.where(1)


async def test_crowded(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    """Section 12.1: too many devices in one directory are a warning, in the answer and in the feed."""
    monkeypatch.setattr(directories, "ADVISED_DEVICES", 2)
    await make(plant, "/a")
    await plant.register(1, 2, 3)
    ids = [unit_id(number) for number in (1, 2, 3)]
    fine = await plant.directories.move_devices(ids[:2], "/a", actor="ann", when=When.NOW)
    crowded = await plant.directories.move_devices(ids[2:], "/a", actor="ann", when=When.NOW)
    await plant.register(4, 5, 6)
    more = await plant.directories.move_devices([unit_id(4)], "/a", actor="ann", when=When.NOW)
    await plant.register(7)  # into the root, which nobody was told of
    warnings = [one.warning for one in await plant.directories.list_directories()]

    assert [] == fine.warnings
    assert [f"/a holds 3 devices, more than 2: {ADVICE}"] == crowded.warnings
    assert [f"/a holds 4 devices, more than 2: {ADVICE}"] == more.warnings
    assert len(await plant.events("sizing-warning")) == 1
    assert [f"/ holds 3 devices, more than 2: {ADVICE}", *more.warnings] == warnings
