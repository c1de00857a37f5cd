# SPDX-License-Identifier: Apache-2.0
"""Each device of a fleet is made as its kind and its plan say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from tests.support.fleets import fleet_in
from tests.support.lab import open_lab
from umslab_agent.device import Device
from umslab_agent.fleet.door import Door
from umslab_agent.fleet.making import make_device
from umslab_agent.fleet.scenario import Kind, Scenario
from umslab_agent.folder import DeviceFolder
from umslab_agent.os11.device import Os11Device
from umslab_agent.shelf import MemoryShelf, Scratch

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock


async def test_the_generation_is_that_of_the_plan(autojump_clock: MockClock, tmp_path: Path) -> None:
    """OS 11 or OS 12; who it is says the plan, until the device has kept something else."""
    scratch, made = Scratch(), []
    async with open_lab(tmp_path) as lab:
        with fleet_in(lab, Scenario(devices=2, mix=(Kind(os=11), Kind()))) as ours:
            for one in ours.fleet.plan.devices:
                folder = DeviceFolder(MemoryShelf(one.persona.unit_id, scratch))
                for _ in range(2):
                    member = ours.fleet.members[one.index]
                    device = make_device(
                        member._equipment,
                        one,
                        folder=folder,
                        door=Door(lab.device_network, lab.clock),
                        world=member._equipment.world,
                        on_change=lambda _: None,
                    )
                    made.append((one.os11, type(device), device.persona == one.persona))
                    folder.save_persona(msgspec.structs.replace(one.persona, firmware="9.9.9"))
    scratch.close()

    assert {
        (True, Os11Device, True),
        (True, Os11Device, False),
        (False, Device, True),
        (False, Device, False),
    } == set(made)
