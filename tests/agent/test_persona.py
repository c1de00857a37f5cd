# SPDX-License-Identifier: Apache-2.0
"""Simulated devices are always the same ones, and never somebody's real ones."""

from __future__ import annotations

from umslab_agent.persona import derive_persona
from umslab_protocol.values.firmware import DEFAULT_FIRMWARE, FirmwareVersion
from umslab_protocol.values.unit_id import UnitId, is_locally_administered, parse_mac, parse_unit_id


def test_the_same_seed_and_index_give_the_same_device() -> None:
    """A persona is a function of seed and index."""
    assert derive_persona(7, 3, firmware=DEFAULT_FIRMWARE) == derive_persona(7, 3, firmware=DEFAULT_FIRMWARE)


def test_devices_differ() -> None:
    """Ten thousand devices have ten thousand unit IDs, over two seeds."""
    ids = {derive_persona(seed, index, firmware=DEFAULT_FIRMWARE).unit_id for seed in (1, 2) for index in range(5_000)}

    assert len(ids) == 10_000


def test_unit_ids_are_locally_administered() -> None:
    """No derived unit ID can be that of a real endpoint."""
    for index in range(500):
        unit_id = parse_unit_id(derive_persona(1, index, firmware=DEFAULT_FIRMWARE).unit_id)

        assert is_locally_administered(unit_id)


def test_a_pocket_has_a_mac_of_its_own() -> None:
    """U2: the unit ID of a UD Pocket is not its MAC; its default name begins with UDP (U6)."""
    persona = derive_persona(1, 1, firmware=DEFAULT_FIRMWARE, unit_id=UnitId("85641000F615234423"))

    assert persona.unit_id != parse_mac(persona.mac)
    assert persona.device_info().networkName == "UDP85641000F615234423"


def test_older_firmware_keeps_its_serial_number_to_itself() -> None:
    """W22: the serial number is in the first contact since 12.2.0."""
    old = derive_persona(1, 1, firmware=FirmwareVersion(12, 1, 110))
    new = derive_persona(1, 1, firmware=FirmwareVersion(12, 2, 0))

    assert old.device_info().serialNumber == ""
    assert new.serial_number == new.device_info().serialNumber


def test_nobody_takes_it_for_real_hardware() -> None:
    """Model and operating system say that they are simulated."""
    info = derive_persona(1, 1, firmware=DEFAULT_FIRMWARE).device_info()

    assert info.deviceType.startswith("umslab")
    assert "simulated" in info.osType
    assert "simulated" in info.productId
