# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.configuration.profiles."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.server.parts import unit_id
from umslab_protocol.wire.orders import MAX_PARAMETERS
from umslab_server.configuration.assignments import ObjectType
from umslab_server.configuration.profiles import ProfileKind, check_name
from umslab_server.configuration.reconcile import When
from umslab_server.errors import RefusedError

if TYPE_CHECKING:
    from .plant import Plant


async def test_life_of_a_profile(plant: Plant) -> None:
    """Created, assigned, edited, renamed, deleted: the device follows, and a value that goes has its default."""
    thing = await plant.managed()
    number = await plant.profiles.create("kiosk", ProfileKind.PROFILE, {"a": "1", "b": "1"}, actor="ann")
    await plant.assignments.assign(ObjectType.PROFILE, "kiosk", [unit_id(1)], actor="ann", when=When.NOW)
    await plant.profiles.edit("kiosk", {"a": "2", "c": "3"}, ["b"], actor="ann", when=When.NOW)
    await plant.profiles.rename(str(number), "desk", actor="ann")
    shown = await plant.profiles.show("desk")
    outcome = await plant.profiles.delete("desk", actor="ann", when=When.NOW)

    assert [{}, {"a": "1", "b": "1"}, {"a": "2", "c": "3"}, {}] == [one.settings for one in thing.offers]
    assert (shown.id, shown.settings, shown.parameters, shown.receivers) == (number, {"a": "2", "c": "3"}, 2, 1)
    assert (outcome.devices, outcome.warnings) == (1, [])
    assert [] == await plant.profiles.list_profiles()


async def test_priority(plant: Plant) -> None:
    """A priority profile of the root is over a device's own."""
    thing = await plant.managed()
    await plant.fill(1, "own", a="own")
    await plant.profiles.create("first", ProfileKind.PRIORITY, {"a": "first"}, actor="ann")
    await plant.assignments.assign(ObjectType.PROFILE, "first", ["/"], actor="ann", when=When.NOW)

    assert [{}, {"a": "own"}, {"a": "first"}] == [one.settings for one in thing.offers]


async def test_the_global_one(plant: Plant) -> None:
    """It comes with its first parameter, is everybody's, and can be neither assigned, renamed nor deleted."""
    with pytest.raises(RefusedError, match="no parameters yet"):
        await plant.profiles.show("global")
    things = [await plant.managed(number) for number in (1, 2)]
    outcome = await plant.profiles.edit("global", {"x": "1"}, actor="ann", when=When.NOW)
    await plant.profiles.create("a", ProfileKind.PROFILE, actor="ann")

    assert outcome.devices == 2
    assert all(thing.offers[-1].settings == {"x": "1"} for thing in things)
    assert ["global", "a"] == [one.name for one in await plant.profiles.list_profiles()]
    for refused in (
        plant.profiles.rename("global", "b", actor="ann"),
        plant.profiles.delete("global", actor="ann", when=When.NOW),
        plant.profiles.create("global", ProfileKind.PROFILE, actor="ann"),
        plant.profiles.rename("a", "global", actor="ann"),
        plant.assignments.assign(ObjectType.PROFILE, "global", ["/"], actor="ann", when=When.NOW),
    ):
        with pytest.raises(RefusedError):
            await refused


@pytest.mark.parametrize("name", ["", "a b", "ü", "x" * 256, "a;b"])
async def test_parameter_names(plant: Plant, name: str) -> None:
    """What a message could not carry is refused before anything changes."""
    with pytest.raises(RefusedError, match="is not a parameter"):
        await plant.profiles.edit("global", {name: "1"}, actor="ann", when=When.NOW)
    assert [] == await plant.profiles.list_profiles()


@pytest.mark.parametrize("value", ["x" * 4097, "\ud800"])
async def test_values(plant: Plant, value: str) -> None:
    """So are values that are too long, or no text."""
    with pytest.raises(RefusedError, match="the value of a cannot be set"):
        await plant.profiles.create("p", ProfileKind.PROFILE, {"a": value}, actor="ann")


async def test_too_many(plant: Plant) -> None:
    """At most 2,000 parameters a profile."""
    many = {f"p{number}": "1" for number in range(MAX_PARAMETERS)}
    await plant.profiles.create("p", ProfileKind.PROFILE, many, actor="ann")
    with pytest.raises(RefusedError, match="at most 2000"):
        await plant.profiles.edit("p", {"one.more": "1"}, actor="ann", when=When.NOW)


async def test_other_refusals(plant: Plant) -> None:
    """Twice the same name, unknown ones, nothing to do, unset what is not set."""
    await plant.profiles.create("p", ProfileKind.PROFILE, actor="ann")
    await plant.profiles.rename("p", "p", actor="ann")
    for refused, why in (
        (plant.profiles.create("p", ProfileKind.PRIORITY, actor="ann"), "already"),
        (plant.profiles.show("q"), "no profile 'q'"),
        (plant.profiles.show("99"), "no profile '99'"),
        (plant.profiles.edit("p", {}, actor="ann", when=When.NOW), "nothing to change"),
        (plant.profiles.edit("p", {}, ["x"], actor="ann", when=When.NOW), "does not set x"),
    ):
        with pytest.raises(RefusedError, match=why):
            await refused


@pytest.mark.parametrize("name", ["", "17", "x" * 256, "a\tb"])
def test_names(name: str) -> None:
    """A number would be taken for an id."""
    with pytest.raises(RefusedError, match="is not a number"):
        check_name(name)


async def test_values_are_not_in_the_feed(plant: Plant) -> None:
    """They may be secrets: the feed has names only."""
    await plant.profiles.edit("global", {"vpn.password": "hunter2"}, actor="ann", when=When.NOW)

    assert "hunter2" not in json.dumps([event.data for event in await plant.events()])


async def test_too_large_for_a_device(plant: Plant) -> None:
    """A change that would give a device more than a message holds is refused whole."""
    thing = await plant.managed()
    await plant.fill(1, "one", **{f"a{number}": "x" * 4000 for number in range(30)})
    with pytest.raises(RefusedError, match="one message"):
        await plant.profiles.edit(
            "global", {f"b{number}": "x" * 4000 for number in range(30)}, actor="ann", when=When.NOW
        )

    assert 2 == len(thing.offers)
    assert (2, 1, "PENDING") == await plant.state()
    assert [] == [one for one in await plant.profiles.list_profiles() if one.kind == "global"]
