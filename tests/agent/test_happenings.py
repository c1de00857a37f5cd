# SPDX-License-Identifier: Apache-2.0
"""Happenings reach the watcher in words and in data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.agent.desk import do, open_desk
from umslab_agent.happenings import Happening, Kind, ignore
from umslab_protocol.wire.orders import CommandName

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock


async def test_a_command_is_told(tmp_path: Path, autojump_clock: MockClock) -> None:
    """What was said, and how it ended."""
    async with open_desk(tmp_path) as desk:
        desk.settings(2, {"a": "b", "c": "d"})
        device = desk.device()
        await device.until_happening("settings version 2 applied: 2 parameters")
        await do(await desk.session(), CommandName.MESSAGE, "m", text="back in five")
        told = [(happening.kind, happening.text) for happening in device.happenings]

        assert told == [
            (Kind.BOOTED, "boot 1, firmware 12.8.4"),
            (Kind.SETTINGS, "settings version 2 applied: 2 parameters"),
            (Kind.MESSAGE, 'message "back in five"'),
            (Kind.COMMAND, "command message: SUCCESS"),
        ]
        assert {"command": "message", "exec_id": "m", "result": "SUCCESS", "message": ""} == device.happenings[-1].data


def test_nobody_has_to_listen() -> None:
    """A device without a watcher."""
    ignore(Happening(Kind.BOOTED, "boot 1"))
