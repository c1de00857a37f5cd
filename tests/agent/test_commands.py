# SPDX-License-Identifier: Apache-2.0
"""Commands: each once, and remembered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from tests.agent.desk import do, open_desk
from umslab_agent.behaviour import DeviceBehaviour
from umslab_agent.kept import JOURNAL_ENTRIES
from umslab_protocol.machines.device_life import State
from umslab_protocol.wire.close_codes import CloseCode
from umslab_protocol.wire.messages import (
    Command,
    Error,
    PushLicenseInfo,
)
from umslab_protocol.wire.orders import CommandName, ResultState

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

SUCCESS, FAILED = ResultState.SUCCESS, ResultState.FAILED


async def test_an_exec_id_is_done_once(tmp_path: Path, autojump_clock: MockClock) -> None:
    """The same execID is answered from the journal: in this session, after a reboot, after a power cut."""
    async with open_desk(tmp_path) as desk:
        device = desk.device()
        await device.until_managed()
        session = await desk.session()
        first = await do(session, CommandName.MESSAGE, "m1", text="hello")
        again = await do(session, CommandName.MESSAGE, "m1", text="hello")
        await do(session, CommandName.REBOOT, "r1")
        second = await desk.session(2)
        await do(second, CommandName.REBOOT, "r1")
        await trio.sleep(600)
        assert 2 == len(desk.sessions)
        device.power_off()
        await device.over.wait()
        desk.device()
        third = await desk.session(3)
        await do(third, CommandName.MESSAGE, "m1", text="hello")
        await do(third, CommandName.REBOOT, "r1")
        await trio.sleep(600)

        assert 3 == len(desk.sessions)
        assert (first.state, first.message) == (again.state, again.message)
        assert ["hello"] == [entry.text for entry in device.folder.inbox.load().messages]


async def test_the_journal_is_bounded(tmp_path: Path, autojump_clock: MockClock) -> None:
    """The last 64 are remembered."""
    async with open_desk(tmp_path) as desk:
        device = desk.device()
        session = await desk.session()
        for number in range(JOURNAL_ENTRIES + 6):
            await do(session, CommandName.DEVICE_COMMAND, f"x{number}", command="identify")
        done = device.folder.journal.load().done

        assert 64 == JOURNAL_ENTRIES
        assert [f"x{number}" for number in range(6, 70)] == [entry.execID for entry in done]


async def test_a_command_whose_session_ends_is_done_when_it_comes_again(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """It waits for an answer that does not come: no result is kept, and the next session's order counts."""
    async with open_desk(tmp_path) as desk:
        device = desk.device()
        await device.until_managed()
        desk.silent_about = {PushLicenseInfo}
        session = await desk.session()
        session.say(lambda number: Command(id=number, execID="x", command=CommandName.REFRESH_LICENCE))
        await session.until_kind(PushLicenseInfo)
        desk.silent_about = set()
        session.pump.close(CloseCode.GOING_AWAY, "again")
        second = await desk.session(2)
        assert [] == device.folder.journal.load().done

        assert SUCCESS is (await do(second, CommandName.REFRESH_LICENCE, "x")).state


async def test_an_update_that_was_under_way_is_asked_for_again(tmp_path: Path, autojump_clock: MockClock) -> None:
    """The session breaks while it installs: the order of the next session is the same update, not a second one."""
    async with open_desk(tmp_path) as desk:
        device = desk.device(behaviour=DeviceBehaviour(update_seconds=100))
        await device.until_managed()
        session = await desk.session()
        session.say(lambda number: Command(id=number, execID="u", command=CommandName.UPDATE))
        await trio.sleep(10)
        session.pump.close(CloseCode.GOING_AWAY, "again")
        second = await desk.session(2)
        began = trio.current_time()
        assert SUCCESS is (await do(second, CommandName.UPDATE, "u")).state

        assert trio.current_time() - began < 95
        assert "2" == (await desk.session(3)).hello.boot


async def test_a_reboot_that_is_decided_while_away(tmp_path: Path, autojump_clock: MockClock) -> None:
    """The update ends while the device waits for a server: it reboots all the same."""
    async with open_desk(tmp_path) as desk:
        device = desk.device(behaviour=DeviceBehaviour(update_seconds=100))
        await device.until_managed()
        session = await desk.session()
        session.say(
            lambda number: Command(id=number, execID="u", command=CommandName.UPDATE, parameters={"version": "12.9.9"})
        )
        await trio.sleep(1)
        desk.network.partition("ums.lab", "devices")
        session.pump.close(CloseCode.GOING_AWAY, "never arrives")
        await device.until_state(State.REBOOTING)
        desk.network.heal("ums.lab", "devices")
        second = await desk.session(2)

        assert ("2", "12.9.9") == (second.hello.boot, second.hello.firmwareVersion)


async def test_a_damaged_journal(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Nothing is done without a journal: an error says why."""
    async with open_desk(tmp_path) as desk:
        device = desk.device()
        session = await desk.session()
        device.folder.journal.path.write_bytes(b"[]")
        answer = await session.order(lambda number: Command(id=number, execID="x", command=CommandName.REBOOT))

        assert isinstance(answer, Error)
        assert ("journal-damaged", True) == (answer.code, "journal.json is damaged" in answer.message)
