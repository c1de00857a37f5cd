# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.registering: what makes a device a registered one, of which generation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from umslab_protocol.values.auth_key import KeyKind
from umslab_server import registry
from umslab_server.configuration.naming import Naming
from umslab_server.importing import ImportedDevice
from umslab_server.registering import become_os11, become_os12, register

from .parts import Endpoint, unit_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import RowMapping

    from umslab_server.store import Writer

    from .parts import Office

ONE = unit_id(1)
OS11: dict[str, str | int] = {
    "generation": "11",
    "device_key": "secret",
    "device_certificate": "PEM",
    "push_port": 31_005,
}


async def do(office: Office, work: Callable[[Writer, RowMapping | None], Any]) -> Any:
    """Do something with the row of the first device."""
    return await office.store.change(lambda writer: work(writer, registry.get(writer.connection, ONE)))


async def row(office: Office) -> RowMapping:
    """The row of the first device."""
    return await office.store.read(lambda connection: registry.find(connection, ONE))


async def test_new_imported_and_again(office: Office) -> None:
    """One event for each that was not registered before; a name given by a person stays."""
    named = Naming("TC")
    await office.registry.import_devices([ImportedDevice(ONE, name="desk-1")], actor="ann")
    for _ in range(2):
        await do(office, lambda writer, device: register(writer, ONE, device, named, actor="test"))
    await office.store.change(lambda writer: register(writer, unit_id(2), None, named, actor="test"))

    assert [one.name for one in await office.registry.list_devices()] == ["desk-1", "TC0001"]
    assert [event.cause for event in await office.events("device-registered")] == ["imported before", ""]


async def test_enrolling_moves_an_os11_device(office: Office) -> None:
    """O6: what it was known by is forgotten, in the change that issues its certificate."""
    await office.registry.import_devices([ImportedDevice(ONE)], actor="ann")
    await do(office, lambda writer, _: registry.update(writer, ONE, **OS11, registered_at=writer.stamp))
    (key,) = await office.keys.create(KeyKind.ONE_TIME, actor="ann")
    await office.enrol(Endpoint(1), key.secret or "")
    found = await row(office)

    assert {"generation": "12", "device_key": "", "device_certificate": "", "push_port": 0} == {
        name: found[name] for name in OS11
    }
    assert [event.data["before"] for event in await office.events("generation-changed")] == ["11"]


async def test_who_does_not_move(office: Office) -> None:
    """Strangers, devices that were only imported, and those that are there already."""
    stranger = await do(office, lambda writer, device: become_os11(writer, ONE, device, actor="test"))
    await office.registry.import_devices([ImportedDevice(ONE)], actor="ann")
    imported = await do(office, lambda writer, device: become_os11(writer, ONE, device, actor="test"))
    already = await do(office, lambda writer, device: become_os12(writer, ONE, device, actor="test"))

    assert (stranger, imported, already) == (False, False, False)
    assert await office.events("generation-changed") == []


async def test_registering_moves_an_os12_device(office: Office) -> None:
    """Its certificates open nothing any more."""
    await office.device(1)
    moved = await do(office, lambda writer, device: become_os11(writer, ONE, device, actor="test"))

    assert moved
    assert await office.certificate_states(1) == ["revoked"]
