# SPDX-License-Identifier: Apache-2.0
"""Who a simulated device is: unit ID, hardware, firmware, all derived from a seed (facts U1, U6, W22, 15.4).

Provenance: the attributes are those the vendor's REST interface names; the hardware of a simulated device is made up
and says so (`deviceType` begins with "umslab").
"""

from __future__ import annotations

import random

from msgspec import Struct

from umslab_protocol.values.firmware import Behaviour, FirmwareVersion, behaves
from umslab_protocol.values.unit_id import MacAddress, UnitId
from umslab_protocol.wire.inventory import DeviceInfo

_MODELS = (
    ("umslab model S", "x86_64 (simulated)", 1800, 4096, 8192),
    ("umslab model M", "x86_64 (simulated)", 2400, 8192, 32768),
    ("umslab model L", "x86_64 (simulated)", 3200, 16384, 65536),
)

MODELS = tuple(model[0] for model in _MODELS)
"""The names of the hardware."""


class Persona(Struct, frozen=True, kw_only=True):
    """The identity of one device; kept in its state folder."""

    unit_id: str
    mac: str
    serial_number: str
    device_type: str
    cpu_type: str
    cpu_speed: int
    memory_size: int
    flash_size: int
    firmware: str
    structure_tag: str = ""
    seed: int = 0

    def device_info(self) -> DeviceInfo:
        """What the device says about itself on its session (L1)."""
        firmware = FirmwareVersion.parse(self.firmware)
        reports_serial = behaves(firmware, Behaviour.REPORTS_SERIAL_AT_FIRST_CONTACT)
        system = f"IGEL OS {firmware.major} (simulated)"
        return DeviceInfo(
            unitID=self.unit_id,
            mac=self.mac,
            firmwareVersion=self.firmware,
            productId=system,
            networkName=f"ITC{self.unit_id}" if len(self.unit_id) == 12 else f"UDP{self.unit_id}",
            serialNumber=self.serial_number if reports_serial else "",
            deviceSerialNumber=self.serial_number,
            umsStructuralTag=self.structure_tag,
            deviceType=self.device_type,
            osType=system,
            cpuType=self.cpu_type,
            cpuSpeed=self.cpu_speed,
            memorySize=self.memory_size,
            flashSize=self.flash_size,
            biosVendor="umslab",
            biosVersion="1.0",
            biosDate="01/01/2026",
        )


def derive_persona(
    seed: int,
    index: int,
    *,
    firmware: FirmwareVersion,
    unit_id: UnitId | None = None,
    structure_tag: str = "",
    model: str = "",
) -> Persona:
    """Make the device with this index of the fleet with this seed: always the same one.

    Without a unit ID it gets a locally administered MAC, so that it can never be taken for a real endpoint. `model` is
    one of `MODELS`; without it chance decides.
    """
    chance = random.Random(f"umslab persona {seed} {index}")  # noqa: S311 - repeatable, not secret
    mac = MacAddress(f"02{chance.getrandbits(40):010X}")
    drawn = chance.choice(_MODELS)
    device_type, cpu, speed, memory, flash = _MODELS[MODELS.index(model)] if model else drawn
    chosen = unit_id or UnitId(mac)
    return Persona(
        unit_id=chosen,
        mac=chosen if len(chosen) == 12 else mac,
        serial_number=f"UMSLAB{chance.getrandbits(40):012X}",
        device_type=device_type,
        cpu_type=cpu,
        cpu_speed=speed,
        memory_size=memory,
        flash_size=flash,
        firmware=str(firmware),
        structure_tag=structure_tag,
        seed=seed,
    )
