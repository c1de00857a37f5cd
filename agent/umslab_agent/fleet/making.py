# SPDX-License-Identifier: Apache-2.0
"""Makes the devices of a fleet: the same as those of `umslab device`, with what the fleet shares."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from umslab_agent.chance import Chance
from umslab_agent.device import Device
from umslab_agent.fleet.door import BehindDoor
from umslab_agent.os11.device import Os11Device, Os11Settings
from umslab_agent.unit import unit_seed
from umslab_protocol.machines.device_life import RELEASE_DELAY, DeviceLife
from umslab_protocol.machines.device_life_os11 import Os11DeviceLife
from umslab_protocol.values.firmware import Behaviour, behaves

if TYPE_CHECKING:
    from collections.abc import Callable

    from umslab_agent.fleet.door import Door
    from umslab_agent.fleet.member import Equipment, Os11Equipment
    from umslab_agent.fleet.plan import PlannedDevice
    from umslab_agent.folder import DeviceFolder
    from umslab_agent.living import Change, LivingDevice
    from umslab_agent.nearby import Nowhere
    from umslab_agent.onboarding import World
    from umslab_agent.persona import Persona


def make_device(
    equipment: Equipment,
    planned: PlannedDevice,
    *,
    folder: DeviceFolder,
    door: Door,
    world: World,
    on_change: Callable[[Change], None],
) -> LivingDevice:
    """Make one, as what it has kept says or else the plan. Raises `DeviceFolderError` for a damaged persona."""
    persona, world = folder.load_persona() or planned.persona, replace(world, network=door)
    if planned.os11:
        nearby = BehindDoor(door, _os11(equipment).nearby(planned))
        return _make_os11(
            equipment, planned, persona=persona, folder=folder, world=world, nearby=nearby, on_change=on_change
        )
    return _make_os12(equipment, planned, persona=persona, folder=folder, world=world, on_change=on_change)


def _os11(equipment: Equipment) -> Os11Equipment:
    assert equipment.os11 is not None  # noqa: S101 - the plan has such devices
    return equipment.os11


def _make_os12(
    equipment: Equipment,
    planned: PlannedDevice,
    *,
    persona: Persona,
    folder: DeviceFolder,
    world: World,
    on_change: Callable[[Change], None],
) -> Device:
    kind = equipment.kinds[planned.kind]
    delay = RELEASE_DELAY if behaves(kind.runs, Behaviour.RELEASE_RULE) else None
    return Device(
        persona,
        folder,
        equipment.target if kind.source == "host" else None,
        world,
        life=DeviceLife(equipment.policy, release_delay=delay, chance=_chance(equipment, persona)),
        trust_mode=equipment.trust(kind),
        auth_key=equipment.auth_key,
        key_type=planned.key_type,
        on_change=on_change,
        behaviour=equipment.behaviour,
        discovery=equipment.discovery(kind),
    )


def _make_os11(
    equipment: Equipment,
    planned: PlannedDevice,
    *,
    persona: Persona,
    folder: DeviceFolder,
    world: World,
    nearby: Nowhere,
    on_change: Callable[[Change], None],
) -> Os11Device:
    """Make a device of OS 11, which is called at its address of the plan."""
    kind, ours = equipment.kinds[planned.kind], _os11(equipment)
    return Os11Device(
        persona,
        folder,
        ours.target if kind.source == "host" else None,
        world,
        life=Os11DeviceLife(equipment.policy, chance=_chance(equipment, persona)),
        settings=Os11Settings(
            key_type=planned.key_type, wish=ours.wish, listen=planned.address, push_port=ours.push_port
        ),
        on_change=on_change,
        behaviour=equipment.behaviour,
        discovery=equipment.discovery(kind),
        nearby=nearby,
    )


def _chance(equipment: Equipment, persona: Persona) -> Callable[[], float]:
    """What makes the waits of devices differ, always the same for one of them."""
    return Chance(f"umslab waits {unit_seed(persona, equipment.behaviour)}").random
