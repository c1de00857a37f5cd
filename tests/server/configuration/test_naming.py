# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.configuration.naming (section 9 of the facts)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.server.parts import unit_id
from umslab_server.configuration.naming import Naming

if TYPE_CHECKING:
    from .plant import Plant


async def names(plant: Plant, naming: Naming, count: int) -> list[str | None]:
    """The names that so many devices get."""
    return [await plant.store.change(naming.next_name) for _ in range(count)]


async def test_running_number(plant: Plant) -> None:
    """Prefix and number, with at least so many digits; it goes on after a restart."""
    assert ["IGEL-01", "IGEL-02"] == await names(plant, Naming("IGEL-", 2), 2)
    assert ["IGEL-003"] == await names(plant, Naming("IGEL-", 3), 1)


async def test_names_are_unique(plant: Plant) -> None:
    """A name that somebody has given is left out."""
    await plant.register(1)
    await plant.registry.edit(unit_id(1), {"name": "TC2"}, actor="ann")

    assert ["TC1", "TC3"] == await names(plant, Naming("TC", 1), 2)


async def test_off(plant: Plant) -> None:
    """Without a prefix there is no convention."""
    assert [None] == await names(plant, Naming(), 1)


async def test_used_up(plant: Plant) -> None:
    """U9: no name has more than 15 characters; that is told in the feed."""
    assert [None] == await names(plant, Naming("PREFIX-IS-", 6), 1)
    assert 1 == len(await plant.events("naming-exhausted"))
