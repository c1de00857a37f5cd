# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.configuration.reconcile; what follows from it on the wire: test_synchronise.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.server.parts import unit_id
from umslab_server.configuration.assignments import ObjectType
from umslab_server.configuration.reconcile import (
    Settled,
    When,
    all_devices,
    devices_below,
    devices_with,
    reconcile,
)
from umslab_server.tables import profile

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from umslab_server.store import Writer

    from .plant import Plant


async def test_who_is_affected(plant: Plant) -> None:
    """All below a directory, each once; all that an object reaches; everybody."""
    await plant.directories.create("/a/b", actor="ann")
    await plant.register(1, 2, 3)
    await plant.directories.move_devices([unit_id(2)], "/a/b", actor="ann", when=When.NOW)
    await plant.apps.create("app", "1", actor="ann")
    await plant.assignments.assign(ObjectType.APP, "app", ["/a", unit_id(3)], actor="ann", when=When.NOW)
    ids = [(await plant.row(number))["id"] for number in (1, 2, 3)]

    def look(connection: Connection) -> None:
        assert ids == all_devices(connection)
        assert ids[1:2] == devices_below(connection, [1, 2, 1])
        assert set(ids) == set(devices_below(connection, [-1]))
        assert set(ids[1:]) == set(devices_with(connection, "app", 1))
        assert [] == devices_with(connection, "app", 9)

    await plant.store.read(look)


async def test_never_asked(plant: Plant) -> None:
    """A device of version 0 is left as it is: its first pull computes what it is to have."""
    await plant.register(1)
    await plant.profiles.edit("global", {"x": "1"}, actor="ann", when=When.REBOOT)
    thing = await plant.connect()
    await thing.pull()

    assert (1, 0, "PENDING") == await plant.state()
    assert [{"x": "1"}] == [one.settings for one in thing.offers]


async def test_mixed_times(plant: Plant) -> None:
    """A change for the reboot goes now where something waits for now; the event says both."""
    first, second = [await plant.managed(number) for number in (1, 2)]
    await plant.fill(1, "p", a="1")
    await plant.profiles.edit("global", {"x": "1"}, actor="ann", when=When.REBOOT)
    event = (await plant.events("settings-changed"))[-1]

    assert (event.data, event.unit_id) == ({"count": 2, "when": "now and at reboot"}, None)
    assert {"a": "1", "x": "1"} == first.offers[-1].settings
    assert {} == second.offers[-1].settings


async def test_all_or_nothing(plant: Plant) -> None:
    """What fails after it leaves rows and feed as they were."""
    await plant.managed()

    def work(writer: Writer) -> Settled:
        values = {"name": "global", "kind": "global", "settings": '{"x":"1"}', "created_at": "", "updated_at": ""}
        writer.connection.execute(profile.insert().values(**values))
        settled = reconcile(writer, all_devices(writer.connection), actor="t", cause="c", when=When.NOW)
        assert 1 == settled.changed
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await plant.configuration.change(work)

    assert (1, 1, "APPLIED") == await plant.state()
    assert 1 == len(await plant.events("settings-changed"))
