# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.configuration.acknowledgements; what leads to them: test_synchronise.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from tests.server.parts import rendered_logs, unit_id
from umslab_server.configuration.acknowledgements import Acknowledged, Acknowledgements
from umslab_server.tables import device

if TYPE_CHECKING:
    from .plant import Plant

VERSIONS = {"settings_version": 5, "settings_digest": "d5"}


async def prepare(plant: Plant, *numbers: int) -> None:
    """Devices that are to have version 5."""
    await plant.register(*numbers)
    await plant.store.change(lambda writer: writer.connection.execute(device.update().values(**VERSIONS)).rowcount)


async def applied(plant: Plant, *numbers: int) -> list[tuple[int, str]]:
    """What devices have acknowledged."""
    rows = [await plant.row(number) for number in numbers]
    return [(row["applied_version"], row["applied_digest"]) for row in rows]


async def test_many_at_once(plant: Plant) -> None:
    """Each device gets its newest; one event a device; equal ones and overtaken ones change nothing."""
    await prepare(plant, 1, 2, 3)
    acknowledgements = Acknowledgements(plant.store)
    for number, version in ((1, 4), (1, 5), (2, 5), (2, 4), (3, 6), (9, 5), (1, 5)):
        acknowledgements.put(Acknowledged(unit_id(number), version, f"d{version}"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(acknowledgements.run)
        await plant.settle()
        acknowledgements.put(Acknowledged(unit_id(1), 5, "d5"))
        acknowledgements.put(Acknowledged(unit_id(2), 4, "d4"))
        await plant.settle()
        nursery.cancel_scope.cancel()

    assert [(5, "d5"), (5, "d5"), (0, "")] == await applied(plant, 1, 2, 3)
    assert [(unit_id(1), 5), (unit_id(2), 5)] == [
        (event.unit_id, event.data["version"]) for event in await plant.events("settings-applied")
    ]


async def test_what_waits_at_the_end(plant: Plant) -> None:
    """It is written with the last changes of the store."""
    await prepare(plant, 1)
    acknowledgements = Acknowledgements(plant.store)
    async with trio.open_nursery() as nursery:
        acknowledgements.put(Acknowledged(unit_id(1), 5, "d5"))
        nursery.cancel_scope.cancel()
        nursery.start_soon(acknowledgements.run)
    await plant.settle()

    assert [(5, "d5")] == await applied(plant, 1)


async def test_registry_that_cannot_be_written(plant: Plant) -> None:
    """What could not be written is left to the device's next pull; the next ones are written again."""
    await prepare(plant, 1, 2)
    acknowledgements = Acknowledgements(plant.store)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(acknowledgements.run)
        plant.store._write_connection.exec_driver_sql("PRAGMA query_only = ON")
        with rendered_logs():
            acknowledgements.put(Acknowledged(unit_id(1), 5, "d5"))
            await plant.settle()
        plant.store._write_connection.exec_driver_sql("PRAGMA query_only = OFF")
        acknowledgements.put(Acknowledged(unit_id(2), 5, "d5"))
        await plant.settle()
        nursery.cancel_scope.cancel()

    assert [(0, ""), (5, "d5")] == await applied(plant, 1, 2)
