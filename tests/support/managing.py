# SPDX-License-Identifier: Apache-2.0
"""What stories about managed devices have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio

from umslab_protocol.values.unit_id import UnitId
from umslab_server.commanding.selectors import Selector

if TYPE_CHECKING:
    from tests.support.lab import Lab, LabDevice
    from umslab_protocol.wire.orders import CommandName
    from umslab_server.commanding.executions import TaskView
    from umslab_server.config import ServerConfig
    from umslab_server.device_views import DeviceView

HOUR = 3_600


async def come_on_board(lab: Lab, name: str, *, key: str | None = None, **details: Any) -> LabDevice:
    """Switch a new device on and wait until it is managed."""
    device = lab.device(name, auth_key=key or await lab.mass_key(f"key-{name}"), **details)
    await device.until_managed()
    return device


async def switch_off(device: LabDevice) -> None:
    """Pull the plug and wait until the device is dead, and the server has noticed."""
    device.power_off()
    await device.over.wait()
    await trio.sleep(1)


async def restart(lab: Lab, config: ServerConfig | None = None) -> None:
    """Restart the server, perhaps with another configuration."""
    await lab.stop_server()
    await lab.start_server(config)


async def show(lab: Lab, device: LabDevice) -> DeviceView:
    """What the registry knows of a device."""
    return await lab.services.registry.show(UnitId(device.device.persona.unit_id))


async def ask(
    lab: Lab, device: LabDevice, command: CommandName, *, retry_at_boot: bool = False, **given: str
) -> TaskView:
    """Give a device a command; returns what came of it, or that it waits for the next boot."""
    commands = lab.services.commands
    selector = Selector(unit_ids=[device.device.persona.unit_id])
    exec_id = await commands.start(command, selector, given, actor="anna", retry_at_boot=retry_at_boot, timeout=300)
    if (run := commands.progress(exec_id)) is not None:
        await run.news(0)
    _, (task,) = await commands.results(exec_id)
    return task
