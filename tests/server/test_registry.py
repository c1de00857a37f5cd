# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_server.registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from umslab_protocol.values.unit_id import UnitId
from umslab_server.importing import ImportedDevice
from umslab_server.registry import RegistryError, default_name
from umslab_server.sessions import NotAdmitted

from .parts import Endpoint, Office, open_office, unit_id

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

POCKET = UnitId("85641000F615234423")
STRANGER = unit_id(0xFFFF)


async def import_one(office: Office, number: int = 1, **attributes: str) -> None:
    """Add a device that has never come."""
    device = ImportedDevice(unit_id(number), attributes=attributes)
    await office.registry.import_devices([device], actor="ann")


async def tombstones(office: Office) -> int:
    """How many devices are still to be told that they were deleted."""
    query = "SELECT count(*) FROM tombstone"
    return int(await office.store.read(lambda connection: connection.exec_driver_sql(query).scalar()) or 0)


class TestImporting:
    """K8: devices that are known before they come."""

    async def test_all_or_what_is_new(self, office: Office) -> None:
        """Devices that exist already, also in the bin, are named and left alone."""
        await import_one(office, 1, site="Bremen")
        await import_one(office, 2)
        await office.registry.delete(unit_id(2), actor="ann")
        devices = [ImportedDevice(unit_id(number), name="new") for number in (1, 2, 3)]
        result = await office.registry.import_devices(devices, actor="ann")

        assert (1, [unit_id(1), unit_id(2)]) == result
        assert [f"ITC{unit_id(1)}", f"ITC{unit_id(2)}", "new"] == [
            device.name for device in await office.registry.list_devices()
        ]
        assert [unit_id(number) for number in (1, 2, 3)] == [
            event.unit_id for event in await office.events("device-imported")
        ]

    async def test_attributes(self, office: Office) -> None:
        """What the file said is what is shown."""
        await import_one(office, 1, site="Bremen", serial_number="SN", asset_id="A")
        shown = await office.registry.show(unit_id(1))

        assert (
            shown.site,
            shown.serial_number,
            shown.asset_id,
            shown.department,
            shown.state,
            shown.registered_at,
        ) == ("Bremen", "SN", "A", "", "never-registered", None)

    async def test_nothing(self, office: Office) -> None:
        """An empty file adds nothing."""
        assert await office.registry.import_devices([], actor="ann") == (0, [])

    async def test_names_and_addresses(self, office: Office) -> None:
        """U1, U2, U6: the MAC address is the unit ID, except for a UD Pocket, whose address nobody knows yet."""
        await office.registry.import_devices([ImportedDevice(unit_id(1)), ImportedDevice(POCKET)], actor="ann")

        assert [(f"ITC{unit_id(1)}", unit_id(1)), (f"UDP{POCKET}", "")] == [
            (device.name, device.mac) for device in await office.registry.list_devices()
        ]
        assert f"UDP{POCKET}" == default_name(POCKET)


class TestLooking:
    """Lists, one device, counts."""

    async def test_list(self, office: Office) -> None:
        """By unit ID, whole or by recycle bin."""
        for number in (3, 1, 2):
            await import_one(office, number)
        await office.registry.delete(unit_id(2), actor="ann")

        async def listed(*, in_bin: bool | None) -> list[str]:
            return [device.unit_id for device in await office.registry.list_devices(in_bin=in_bin)]

        assert [unit_id(1), unit_id(2), unit_id(3)] == await listed(in_bin=None)
        assert [unit_id(2)] == await listed(in_bin=True)
        assert [unit_id(1), unit_id(3)] == await listed(in_bin=False)

    async def test_show(self, office: Office) -> None:
        """One device with its certificates in the order of issue."""
        secret, device = await office.mass_key(), Endpoint(1)
        first = await office.enrol(device, secret)
        await office.use(first)
        await office.enrol(device, secret, request=device.another_request())
        shown = await office.registry.show(unit_id(1))

        assert [certificate.state for certificate in shown.certificates] == ["active", "issued"]
        assert [certificate.first_used_at is not None for certificate in shown.certificates] == [True, False]
        assert shown.info == {}

    async def test_counts(self, office: Office) -> None:
        """8.1: every device is in one state."""
        await office.device(1)
        await import_one(office, 2)
        await import_one(office, 3)
        await office.registry.delete(unit_id(3), actor="ann")

        assert await office.registry.count() == {"online": 0, "offline": 1, "never-registered": 1, "in-bin": 1}

    async def test_unknown(self, office: Office) -> None:
        """Whatever is asked about a device that is not there is refused by its unit ID."""
        registry = office.registry
        for call in (
            registry.show(STRANGER),
            registry.delete(STRANGER, actor="ann"),
            registry.restore(STRANGER, actor="ann"),
            registry.purge(STRANGER, actor="ann"),
            registry.edit(STRANGER, {"name": "x"}, actor="ann"),
            registry.revoke(STRANGER, actor="ann", reason="x"),
        ):
            with pytest.raises(RegistryError, match=f"no device has the unit ID {STRANGER}"):
                await call

        assert await office.events() == []


class TestEditing:
    """Attributes that people keep."""

    async def test_edit(self, office: Office) -> None:
        """Values change, the feed names which."""
        await import_one(office, 1, site="Bremen")
        await office.registry.edit(unit_id(1), {"name": "Kiosk", "site": ""}, actor="ann")
        shown = await office.registry.show(unit_id(1))
        (edited,) = await office.events("device-edited")

        assert (shown.name, shown.site) == ("Kiosk", "")
        assert (edited.data, edited.actor) == ({"changed": ["name", "site"]}, "ann")

    @pytest.mark.parametrize("values", [{"unit_id": "x"}, {"binned_at": "x", "name": "y"}, {"certificates": "x"}])
    async def test_not_everything(self, office: Office, values: dict[str, str]) -> None:
        """What the server keeps cannot be edited, and then nothing is."""
        await import_one(office)
        with pytest.raises(RegistryError, match="cannot be edited; these can: name, site"):
            await office.registry.edit(unit_id(1), values, actor="ann")

        assert f"ITC{unit_id(1)}" == (await office.registry.show(unit_id(1))).name

    async def test_nothing(self, office: Office) -> None:
        """An edit without a value is a mistake."""
        await import_one(office)
        with pytest.raises(RegistryError, match="nothing to change"):
            await office.registry.edit(unit_id(1), {}, actor="ann")


class TestRecycleBin:
    """RB1-RB4."""

    async def test_there_and_back(self, office: Office, autojump_clock: MockClock) -> None:
        """Deleting moves, restoring moves back, twice the same is a mistake; the feed has both."""
        await office.device(1)
        where = await office.registry.delete(unit_id(1), actor="ann")
        with pytest.raises(RegistryError, match="in the recycle bin already; `purge` deletes it for good"):
            await office.registry.delete(unit_id(1), actor="ann")
        binned = await office.registry.show(unit_id(1))
        await office.registry.restore(unit_id(1), actor="ann")
        with pytest.raises(RegistryError, match="is not in the recycle bin"):
            await office.registry.restore(unit_id(1), actor="ann")
        restored = await office.registry.show(unit_id(1))

        assert "in-bin" == where == binned.state
        assert (binned.binned_at, restored.binned_at) == ("2026-01-01T00:00:00.000Z", None)
        assert restored.state == "offline"
        assert [event.kind for event in await office.events("device-binned", "device-restored")] == [
            "device-binned",
            "device-restored",
        ]

    async def test_device_in_the_bin_may_connect(self, office: Office) -> None:
        """RB1: it gets no settings, but it is not deregistered."""
        certificate = await office.device(1)
        await office.registry.delete(unit_id(1), actor="ann")
        await office.use(certificate)

        assert await office.certificate_states() == ["active"]

    async def test_switched_off(self, tmp_path: Path) -> None:
        """Without the bin deleting is for good."""
        async with open_office(tmp_path, recycle_bin=False) as office:
            await import_one(office)
            where = await office.registry.delete(unit_id(1), actor="ann")

            assert where == "deleted"
            assert await office.registry.list_devices() == []


class TestPurging:
    """For good, with a tombstone for a device that has to be told (L4)."""

    async def test_registered(self, office: Office) -> None:
        """Device and certificates are gone; the device is let in once more, as unknown, to be told."""
        certificate = await office.device(1)
        await office.registry.purge(unit_id(1), actor="ann")
        admitted = await office.admit(certificate)

        assert not isinstance(admitted, NotAdmitted)
        assert not admitted.known
        assert await office.registry.list_devices() == []
        assert [event.kind for event in await office.events("device-purged")] == ["device-purged"]

    async def test_from_the_bin(self, office: Office) -> None:
        """The way out of the bin."""
        certificate = await office.device(1)
        await office.registry.delete(unit_id(1), actor="ann")
        await office.registry.purge(unit_id(1), actor="ann")
        admitted = await office.admit(certificate)

        assert not isinstance(admitted, NotAdmitted)
        assert not admitted.known

    async def test_never_registered(self, office: Office) -> None:
        """A device that never came needs no telling."""
        await import_one(office)
        await office.registry.purge(unit_id(1), actor="ann")

        assert await tombstones(office) == 0

    async def test_twice(self, office: Office) -> None:
        """A device that came again and is deleted again leaves one tombstone."""
        secret = await office.mass_key()
        for _ in range(2):
            await office.device(1, secret=secret)
            await office.registry.purge(unit_id(1), actor="ann")

        assert await tombstones(office) == 1


class TestRevoking:
    """X13, SE4."""

    async def test_all_certificates(self, office: Office) -> None:
        """Every certificate of the device, none of others; again there is nothing left to revoke."""
        secret = await office.mass_key()
        first = await office.device(1, secret=secret)
        second = await office.enrol(Endpoint(1), secret)
        other = await office.device(2, secret=secret)
        counts = [await office.registry.revoke(unit_id(1), actor="ann", reason="stolen") for _ in range(2)]
        refused = [await office.admit(certificate) for certificate in (first, second)]
        await office.use(other)

        assert counts == [2, 0]
        assert [answer.status for answer in refused if isinstance(answer, NotAdmitted)] == [403, 403]
        assert all("stolen" in answer.message for answer in refused if isinstance(answer, NotAdmitted))
        assert await office.certificate_states() == ["revoked", "revoked"]
        assert [(event.cause, event.data["certificates"]) for event in await office.events("device-revoked")] == [
            ("stolen", 2),
            ("stolen", 0),
        ]
