# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_agent.living: what the driver does for both generations (test_device.py and os11/ have the lives)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from tests.agent.os11.ums import open_os11_lab
from umslab_agent.behaviour import DeviceBehaviour
from umslab_protocol.machines.device_life import State
from umslab_protocol.wire.orders import CommandName

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock


async def test_somebody_wakes_it_up(tmp_path: Path, autojump_clock: MockClock) -> None:
    """A suspended device waits for it; waking one that is awake does nothing."""
    async with open_os11_lab(tmp_path) as lab:
        device = lab.device(behaviour=DeviceBehaviour())
        await device.until_state(State.READY)
        device.device.wake_up()
        await lab.ums.command(device.unit_id, CommandName.SUSPEND)
        await device.until_state(State.SUSPENDED)
        await trio.sleep(3_600)
        assert 1 == lab.ums.contacts
        device.device.wake_up()
        await lab.ums.until_contacts(2)


async def test_a_device_that_nothing_switches_on_ends(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Shut down, with no time to come back: its run is over."""
    async with open_os11_lab(tmp_path) as lab:
        device = lab.device()
        await device.until_state(State.READY)
        await lab.ums.command(device.unit_id, CommandName.SHUTDOWN)
        await device.over.wait()

        assert State.OFF is device.ended
