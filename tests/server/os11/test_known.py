# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.os11.known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.server.parts import unit_id
from umslab_protocol.values.device_key import DeviceKey
from umslab_protocol.values.host_port import HostPort
from umslab_server import registry
from umslab_server.importing import ImportedDevice
from umslab_server.os11 import known

if TYPE_CHECKING:
    from tests.server.parts import Office
    from umslab_server.os11.known import Known

KEY = DeviceKey(bytes(range(32)))
ONE = unit_id(1)


async def add(office: Office, **values: str | int) -> None:
    """An OS 11 device, with these columns."""
    await office.registry.import_devices([ImportedDevice(ONE)], actor="test")
    columns = {"generation": "11", "device_key": KEY.text, "registered_at": "now", "last_ip": "192.0.2.1", **values}
    await office.store.change(lambda writer: registry.update(writer, ONE, **columns))


async def find(office: Office) -> Known | None:
    """What is known of it."""
    return await office.store.read(lambda connection: known.find(connection, ONE))


@pytest.mark.parametrize(
    ("values", "address"),
    [
        ({}, HostPort("192.0.2.1", 30005)),
        ({"push_port": 31005}, HostPort("192.0.2.1", 31005)),
        ({"last_ip": "", "push_port": 31005}, None),
    ],
)
async def test_where_it_is_called(office: Office, values: dict[str, str | int], address: HostPort | None) -> None:
    """P10: port 30005 unless it said otherwise; nowhere without an address (WL6)."""
    await add(office, **values)
    found = await find(office)

    assert found is not None
    assert (found.address, found.key, found.registered) == (address, KEY, True)
    assert found.admitted(called=True).os11


async def test_others(office: Office) -> None:
    """Neither a stranger nor an OS 12 device."""
    before = await find(office)
    await office.device(1)

    assert before is None
    assert await find(office) is None
    assert await office.store.read(known.list_callable) == []


async def test_deleted(office: Office) -> None:
    """L4: it can still be called, to be told so; until it has been, or registers again."""
    await add(office, push_port=31005)
    here = await office.store.read(known.list_callable)
    await office.registry.purge(ONE, actor="ann")
    found = await find(office)
    gone = await office.store.read(known.list_callable)

    assert here == gone == [ONE]
    assert found is not None
    assert (found.registered, found.key, found.address) == (False, KEY, HostPort("192.0.2.1", 31005))
    assert not found.admitted(called=False).known
