# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.configuration.rules (section 11.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.server.parts import unit_id
from umslab_protocol.wire.inventory import AppState, InstallState
from umslab_protocol.wire.messages import PushAppStatus
from umslab_server.configuration import rules as module
from umslab_server.configuration.assignments import ObjectType
from umslab_server.configuration.reconcile import When
from umslab_server.configuration.rule_matching import Criteria
from umslab_server.errors import RefusedError

if TYPE_CHECKING:
    from .plant import Plant

HALL = Criteria(structure_tag="hall-1")


async def make(plant: Plant, *paths: str) -> None:
    """Make directories."""
    for path in paths:
        await plant.directories.create(path, actor="ann")


class TestRegistration:
    """The first system information after a registration places a device."""

    async def test_placed(self, plant: Plant) -> None:
        """By the tag it has just told; and it gets the settings of that directory with its first pull."""
        await make(plant, "/Hall 1")
        await plant.rules.create("hall 1", HALL, directory="/Hall 1", actor="ann")
        await plant.register(1)
        thing = await plant.connect()
        await thing.tell(umsStructuralTag="hall-1")
        (event,) = await plant.events("device-moved")

        assert "/Hall 1" == await plant.where()
        assert (event.actor, event.unit_id, event.cause) == ("rules", unit_id(1), "rule hall 1 fits")

    async def test_only_once(self, plant: Plant) -> None:
        """A device that a person has moved away stays where it is, also when it tells news about itself."""
        await make(plant, "/Hall 1")
        await plant.rules.create("hall 1", HALL, directory="/Hall 1", actor="ann")
        await plant.register(1)
        thing = await plant.connect()
        await thing.tell(umsStructuralTag="hall-1")
        await plant.directories.move_devices([unit_id(1)], "/", actor="ann", when=When.NOW)
        await thing.tell(umsStructuralTag="hall-1", firmwareVersion="12.9.0")
        booted = await plant.connect(boot="b2")
        await booted.tell(umsStructuralTag="hall-1")

        assert "/" == await plant.where()

    async def test_not_from_its_directory(self, plant: Plant) -> None:
        """A device that was imported into a directory stays there, unless the rule overrides."""
        await make(plant, "/Hall 1", "/Other")
        rule = await plant.rules.create("all", Criteria(), directory="/Hall 1", actor="ann")
        await plant.register(1, 2, directory=2)
        await (await plant.connect(1)).tell()
        await plant.rules.edit(rule, {"override": True}, actor="ann")
        await (await plant.connect(2)).tell()

        assert ["/Other", "/Hall 1"] == [await plant.where(number) for number in (1, 2)]

    async def test_too_large(self, plant: Plant) -> None:
        """Where its settings would not fit into a message it is not put; the rest of what it said is kept."""
        await make(plant, "/Hall 1")
        thing = await plant.managed(2)
        thing.leave()
        await plant.register(1)
        await plant.fill(1, "own", **{f"a{number}": "x" * 4000 for number in range(30)})
        await plant.fill(2, "other", **{f"b{number}": "x" * 4000 for number in range(30)})
        await plant.assignments.assign(ObjectType.PROFILE, "other", ["/Hall 1"], actor="ann", when=When.NOW)
        await plant.rules.create("all", Criteria(), directory="/Hall 1", actor="ann")
        await (await plant.connect(1)).tell()
        (event,) = await plant.events("rule-not-applied")

        assert "/" == await plant.where()
        assert "one message" in event.cause


class TestBoot:
    """Rules that also count at a boot."""

    async def test_at_every_boot(self, plant: Plant) -> None:
        """When it has told about itself after a boot, and only then; the settings follow."""
        await make(plant, "/Hall 1")
        await plant.rules.create("hall 1", HALL, directory="/Hall 1", at_boot=True, actor="ann")
        thing = await plant.managed()
        await thing.tell(umsStructuralTag="hall-1")
        before = await plant.where()
        reconnected = await plant.connect(boot="b1")
        await reconnected.tell(umsStructuralTag="hall-1")
        still = await plant.where()
        booted = await plant.connect(boot="b2")
        await booted.tell(umsStructuralTag="hall-1")

        assert ["/", "/", "/Hall 1"] == [before, still, await plant.where()]

    async def test_by_installed_app(self, plant: Plant) -> None:
        """An app counts when it is installed, which a device tells after its registration."""
        await make(plant, "/Kiosks")
        await plant.rules.create("k", Criteria(app="kiosk"), directory="/Kiosks", at_boot=True, actor="ann")
        thing = await plant.managed()
        where = []
        for number, state in enumerate((InstallState.FAILED, InstallState.INSTALLED)):
            await thing.say(PushAppStatus(id=50 + number, apps=[AppState(name="kiosk", version="1", state=state)]))
            await (await plant.connect(boot=f"c{number}")).tell()
            where.append(await plant.where())

        assert ["/", "/Kiosks"] == where

    async def test_no_such_rules(self, plant: Plant) -> None:
        """Other rules are not looked at."""
        await make(plant, "/Hall 1")
        await plant.managed()
        await plant.rules.create("all", Criteria(), directory="/Hall 1", actor="ann")
        await (await plant.connect(boot="b2")).tell()

        assert "/" == await plant.where()
        assert set() == plant.rules._booted


class TestKeeping:
    """Made, listed, changed, put in order, deleted."""

    async def test_order(self, plant: Plant) -> None:
        """A tree, top to bottom; positions among neighbours."""
        create = plant.rules.create
        first = await create("first", Criteria(), directory=None, actor="ann")
        await create("second", Criteria(), directory=None, actor="ann")
        await create("zeroth", Criteria(), directory=None, position=1, actor="ann")
        child = await create("child", HALL, directory="/", parent=first, override=True, actor="ann")
        await plant.rules.move(first, 3, actor="ann")
        listed = await plant.rules.list_rules()

        assert [("zeroth", 0, 1), ("second", 0, 2), ("first", 0, 3), ("child", 1, 1)] == [
            (one.name, one.depth, one.position) for one in listed
        ]
        assert (listed[-1].id, listed[-1].criteria, listed[-1].directory) == (child, HALL, "/")
        assert (listed[-1].override, listed[-1].at_boot, listed[-1].parent_id) == (True, False, first)
        await plant.rules.delete(first, actor="ann")
        assert ["zeroth", "second"] == [one.name for one in await plant.rules.list_rules()]

    async def test_edit(self, plant: Plant) -> None:
        """Each of its parts, and no target any more."""
        await make(plant, "/a")
        number = await plant.rules.create("r", Criteria(), directory="/a", actor="ann")
        changes = {"name": "s", "criteria": HALL, "directory": None, "at_boot": True}
        await plant.rules.edit(number, changes, actor="ann")
        (rule,) = await plant.rules.list_rules()
        await plant.rules.edit(number, {"directory": "/a"}, actor="ann")

        assert (rule.name, rule.criteria, rule.directory, rule.at_boot) == ("s", HALL, None, True)
        assert "/a" == (await plant.rules.list_rules())[0].directory

    async def test_refusals(self, plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
        """Unknown rules and places, bad names and ranges, nothing to do, too many, too deep."""
        create, parent = plant.rules.create, None
        for _ in range(module.MAX_DEPTH):
            parent = await create("r", Criteria(), directory=None, parent=parent, actor="ann")
        for refused, why in (
            (create("r", Criteria(), directory=None, parent=parent, actor="ann"), "8 deep"),
            (create("r", Criteria(), directory=None, parent=99, actor="ann"), "no rule number 99"),
            (create("r", Criteria(), directory="/none", actor="ann"), "no directory"),
            (create(" ", Criteria(), directory=None, actor="ann"), "rule's name"),
            (create("r", Criteria(ip_range="x"), directory=None, actor="ann"), "not a range"),
        ):
            with pytest.raises(RefusedError, match=why):
                await refused
        for coroutine, why in (
            (plant.rules.edit(99, {"name": "x"}, actor="ann"), "no rule number 99"),
            (plant.rules.edit(1, {}, actor="ann"), "nothing to change"),
            (plant.rules.edit(1, {"criteria": Criteria(ip_range="x")}, actor="ann"), "not a range"),
            (plant.rules.move(99, 1, actor="ann"), "no rule number 99"),
            (plant.rules.delete(99, actor="ann"), "no rule number 99"),
        ):
            with pytest.raises(RefusedError, match=why):
                await coroutine
        monkeypatch.setattr(module, "MAX_RULES", module.MAX_DEPTH)
        with pytest.raises(RefusedError, match="rules already"):
            await create("r", Criteria(), directory=None, actor="ann")

    async def test_explained(self, plant: Plant) -> None:
        """What was looked at, what did not hold, where it would go and why."""
        await make(plant, "/Hall 1")
        await plant.rules.create("hall 1", HALL, directory="/Hall 1", actor="ann")
        await plant.rules.create("here", Criteria(ip_range="192.0.2.0/24"), directory="/Hall 1", actor="ann")
        await plant.register(1)
        told = await plant.rules.test(unit_id(1))

        assert [("hall 1", False, ["structure tag is none, not hall-1"]), ("here", True, [])] == [
            (look.name, look.fits, look.why_not) for look in told.looks
        ]
        assert ("/", "/Hall 1", "rule here fits") == (told.directory, told.target, told.because)
        with pytest.raises(RefusedError, match="no device"):
            await plant.rules.test(unit_id(9))
