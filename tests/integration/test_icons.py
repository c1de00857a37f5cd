# SPDX-License-Identifier: Apache-2.0
"""What is laid over the icon of a device while it lives (8.1): memory network, virtual time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio

from tests.support.lab import open_lab
from tests.support.managing import HOUR, ask, come_on_board, show
from umslab_agent.behaviour import DeviceBehaviour
from umslab_protocol.values.unit_id import UnitId
from umslab_protocol.wire.orders import CommandName
from umslab_server.commanding.selectors import Selector
from umslab_server.configuration.effective import GLOBAL
from umslab_server.configuration.reconcile import When

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

    from tests.support.lab import Lab, LabDevice


async def _settled(lab: Lab, **behaviour: Any) -> LabDevice:
    """A device that has what it is to have."""
    device = await come_on_board(lab, "one", behaviour=DeviceBehaviour(**behaviour))
    await trio.sleep(60)
    return device


async def _overlays(lab: Lab, device: LabDevice) -> list[str]:
    """As shown, which is as listed."""
    shown = (await show(lab, device)).overlays
    lines = [one.overlays for one in await lab.services.registry.brief()]

    assert [shown] == lines
    assert [shown] == [one.overlays for one in await lab.services.registry.list_devices()]
    return shown


async def test_an_update_runs(tmp_path: Path, autojump_clock: MockClock) -> None:
    """From the command to its result, and not while the device boots afterwards."""
    async with open_lab(tmp_path) as lab:
        device = await _settled(lab, update_seconds=40)
        who = Selector(unit_ids=[UnitId(device.device.persona.unit_id)])
        await lab.services.commands.start(CommandName.UPDATE, who, parameters={"version": "12.9.0"}, actor="anna")
        seen = []
        for seconds in (20, 25, 60):
            await trio.sleep(seconds)
            seen.append(((await show(lab, device)).state, await _overlays(lab, device)))

        assert [("online", ["updating"]), ("offline", []), ("online", [])] == seen


async def test_no_licence(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Known when the device was asked."""
    async with open_lab(tmp_path) as lab:
        device = await _settled(lab, licence="expired")
        before = await _overlays(lab, device)
        await ask(lab, device, CommandName.REFRESH_LICENCE)

        assert ([], ["no-licence"]) == (before, await _overlays(lab, device))


async def test_login_screen(tmp_path: Path, autojump_clock: MockClock) -> None:
    """While nobody is logged on, once the device tells of its users."""
    async with open_lab(tmp_path) as lab:
        device = await _settled(lab, log_ons_per_day=1)
        unknown = await _overlays(lab, device)
        await lab.services.profiles.edit(
            GLOBAL, {"system.remotemanager.log_authentication": "true"}, actor="anna", when=When.NOW
        )
        seen = set()
        for _ in range(48):
            await trio.sleep(HOUR)
            seen.add(tuple(await _overlays(lab, device)))

        assert [] == unknown
        assert {(), ("login-screen",)} == seen
        assert (await show(lab, device)).last_user
