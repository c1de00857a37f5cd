# SPDX-License-Identifier: Apache-2.0
"""Commands, files and jobs for OS 11 over TCP 30005, in one wave with OS 12: real server, real devices, virtual time.

What each command does is told in test_managed_commands.py; here it is that the generation makes no difference.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import pytest
import trio

from tests.support.managing import ask
from tests.support.mixed import BOOT_SECONDS, Mixed, open_mixed
from umslab_protocol.machines.device_life import State
from umslab_protocol.wire.orders import CommandName
from umslab_server.commanding.executions import Order
from umslab_server.commanding.jobs import Plan
from umslab_server.commanding.selectors import Selector
from umslab_server.configuration.assignments import ObjectType
from umslab_server.configuration.reconcile import When

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

    from tests.support.mixed import Member

EVERYONE = Selector(everyone=True)
CONTENT = bytes(range(256)) * 40
GIVEN = {
    CommandName.MESSAGE: {"text": "hello"},
    CommandName.DEVICE_COMMAND: {"name": "identify"},
    CommandName.FILE_TRANSFER: {"file": "patch.bin"},
}
NEWER = {11: "11.10.290", 12: "12.9.0"}
ENDS = {
    CommandName.SHUTDOWN: State.OFF,
    CommandName.SUSPEND: State.SUSPENDED,
    CommandName.FACTORY_RESET: State.FACTORY,
}
"""Where a device stays; after all others it is there, or comes back."""


async def _both(fleet: Mixed) -> list[Member]:
    return [await fleet.on_board(1, 11), await fleet.on_board(1, 12)]


@pytest.mark.parametrize("command", [name for name in CommandName if name is not CommandName.WAKE_UP])
async def test_every_command(tmp_path: Path, autojump_clock: MockClock, command: CommandName) -> None:
    """It succeeds on both, but for what OS 11 does not know, and both end where it leads."""
    (tmp_path / "patch.bin").write_bytes(CONTENT)
    async with open_mixed(tmp_path) as fleet:
        devices = await _both(fleet)
        await fleet.lab.services.files.add(tmp_path / "patch.bin", actor="anna")
        for device in devices:
            updates = command in {CommandName.UPDATE, CommandName.UPDATE_ON_SHUTDOWN}
            given: dict[str, Any] = {"version": NEWER[device.generation]} if updates else GIVEN.get(command, {})
            task = await ask(fleet.lab, device, command, **given)
            knows = command is not CommandName.DEVICE_COMMAND or device.generation == 12  # since 12.3.0
            assert ("SUCCESS" if knows else "FAILED") == task.state, task.message
        await trio.sleep(BOOT_SECONDS * 6)

        there = {11: State.READY, 12: State.ONLINE}
        for device in devices:
            assert ENDS.get(command, there[device.generation]) is device.device.state
            if command is CommandName.FILE_TRANSFER:
                assert CONTENT == (device.folder.files / "patch.bin").read_bytes()
            if command is CommandName.MESSAGE:
                assert ["hello"] == [one.text for one in device.folder.inbox.load().messages]
            if command is CommandName.UPDATE:
                assert NEWER[device.generation] == (await fleet.show(device)).firmware


async def test_assigned_files(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Each fetches from the port of its generation (E7, FU1, FU2), and tells that it has."""
    (tmp_path / "wallpaper.png").write_bytes(CONTENT)
    digest = hashlib.sha256(CONTENT).hexdigest()
    async with open_mixed(tmp_path) as fleet:
        devices = await _both(fleet)
        await fleet.lab.services.files.add(tmp_path / "wallpaper.png", actor="anna")
        assign = fleet.lab.services.assignments.assign
        await assign(ObjectType.FILE, "wallpaper.png", ["/"], actor="anna", when=When.NOW)
        await trio.sleep(60)
        for device in devices:
            assert CONTENT == (device.folder.files / "wallpaper.png").read_bytes()
            (told,) = (await fleet.show(device)).files
            assert (digest, "installed") == (told["sha256"], told["state"])


async def test_a_job_reaches_both_once(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Who is away when it is due gets it at its next boot, whatever the server has been through meanwhile."""
    async with open_mixed(tmp_path) as fleet:
        devices = [*await _both(fleet), await fleet.on_board(2, 11), await fleet.on_board(2, 12)]
        away = devices[2:]
        for device in away:
            device.power_off()
        order = Order(command=CommandName.MESSAGE, selector=EVERYONE, parameters={"text": "once"}, retry_at_boot=True)
        await fleet.lab.services.jobs.create("job", order, Plan(in_seconds=60), actor="anna")
        await trio.sleep(300)
        await fleet.lab.kill_server()
        await fleet.lab.start_server()
        back = [await fleet.on_board(2, 11), await fleet.on_board(2, 12)]
        await trio.sleep(60)

        texts = [[one.text for one in device.folder.inbox.load().messages] for device in (*devices[:2], *back)]
        assert [["once"]] * 4 == texts
        (run,) = (await fleet.lab.services.jobs.show("job")).runs
        assert {"SUCCESS": 4} == run.states
