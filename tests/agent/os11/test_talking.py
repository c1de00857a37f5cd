# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_agent.os11.talking: sessions take turns (test_device.py has the rest)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from tests.agent.os11.ums import open_os11_lab
from umslab_agent.behaviour import DeviceBehaviour
from umslab_protocol.machines.device_life import State
from umslab_protocol.wire.orders import CommandName, ResultState

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock


async def test_a_call_waits_for_the_one_before(tmp_path: Path, autojump_clock: MockClock) -> None:
    """The second call is greeted at once and heard after the first; its command comes after the other's."""
    async with open_os11_lab(tmp_path) as lab:
        device = lab.device(behaviour=DeviceBehaviour(update_seconds=60, boot_seconds=5))
        await device.until_state(State.READY)
        done: list[str] = []

        async def give(which: CommandName, exec_id: str, **parameters: str) -> None:
            result = await lab.ums.command(device.unit_id, which, exec_id, **parameters)
            done.append(f"{which} {ResultState(result.state)}")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: give(CommandName.REFRESH_LICENCE, "e1"))
            await trio.sleep(0.5)
            nursery.start_soon(lambda: give(CommandName.MESSAGE, "e2", text="hello"))

    assert ["refreshlicence SUCCESS", "message SUCCESS"] == done
