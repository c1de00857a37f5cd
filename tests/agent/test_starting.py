# SPDX-License-Identifier: Apache-2.0
"""What a boot does: damage is told at once, boots are counted, the time of being unknown is remembered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from tests.agent.desk import UNKNOWN, open_desk
from umslab_agent.kept import Unknown
from umslab_protocol.machines.device_life import State
from umslab_protocol.machines.retrying import RetryPolicy
from umslab_protocol.values.failure import Phase, Reason
from umslab_protocol.wire.close_codes import CloseCode

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock


@pytest.mark.parametrize(
    "name",
    ["boots", "settings", "installed", "connectors", "roots", "discovered", "reached", "journal", "inbox"],
)
async def test_damage_is_told_at_boot(tmp_path: Path, autojump_clock: MockClock, name: str) -> None:
    """A broken file ends the life with phase start and the file's name, not with a traceback."""
    async with open_desk(tmp_path) as desk:
        device = desk.device()
        await device.until_managed()
        device.power_off()
        await device.over.wait()
        (device.folder.path / f"{name}.json").write_bytes(b"\x00")
        again = desk.device()
        await again.over.wait()

        assert State.FAILED is again.ended
        assert again.device.failure is not None
        assert (Phase.START, Reason.STATE_DAMAGED) == (again.device.failure.phase, again.device.failure.reason)
        assert f"{name}.json" in again.device.failure.detail


@pytest.mark.parametrize("since", ["nonsense", "2026-01-01T00:00:00"])
async def test_an_edited_time_is_no_traceback(tmp_path: Path, autojump_clock: MockClock, since: str) -> None:
    """Then the delay begins anew, or the time is taken as UTC."""
    async with open_desk(tmp_path) as desk:
        device = desk.device()
        await device.until_managed()
        device.power_off()
        await device.over.wait()
        device.folder.unknown.save(Unknown(since=since))
        desk.refusals = {"ums.lab": UNKNOWN}
        again = desk.device(policy=RetryPolicy(first=600, most=600, jitter=0.0))
        await again.over.wait()

        assert State.RELEASED is again.ended
        assert 86_400 <= trio.current_time() <= 88_000


async def test_the_settings_in_effect_are_there_after_a_boot(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Also before any server is reached."""
    async with open_desk(tmp_path) as desk:
        desk.settings(1, {"system.remotemanager.release_delay": "77"})
        device = desk.device()
        await device.until_happening("applied")
        (await desk.session()).pump.close(CloseCode.GOING_AWAY, "bye")
        device.power_off()
        await device.over.wait()
        desk.network.partition("ums.lab", "devices")
        again = desk.device()
        await again.until_state(State.WAITING)

        assert 77.0 == again.device._life.release_delay
