# SPDX-License-Identifier: Apache-2.0
"""Each command from the server to its effect on the device: memory network, virtual time, nothing pretended."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest
import trio

from tests.support.lab import open_lab, quick_config
from tests.support.managing import HOUR, ask, come_on_board, restart, show, switch_off
from umslab_agent.behaviour import DeviceBehaviour
from umslab_agent.nearby import Whereabouts, open_nearby
from umslab_protocol.machines.device_life import State
from umslab_protocol.wire.orders import CommandName, ResultState
from umslab_server.commanding.executions import Order
from umslab_server.commanding.jobs import Plan
from umslab_server.commanding.selectors import Selector
from umslab_server.config import SessionsConfig
from umslab_server.configuration.effective import GLOBAL
from umslab_server.configuration.reconcile import When

if TYPE_CHECKING:
    from trio.testing import MockClock

    from tests.support.lab import Lab, LabDevice

DAY = 24 * HOUR
C = CommandName


async def _boots(lab: Lab, device: LabDevice) -> int:
    unit_id = device.device.persona.unit_id
    return sum(one.kind == "device-booted" for one in await lab.services.store.events(0, unit_id=unit_id))


async def test_reboot(tmp_path: Path, autojump_clock: MockClock) -> None:
    """It is gone for its boot time, and the server sees another boot."""
    async with open_lab(tmp_path) as lab:
        device = await come_on_board(lab, "one", behaviour=DeviceBehaviour(boot_seconds=120))
        assert "SUCCESS" == (await ask(lab, device, C.REBOOT)).state
        await trio.sleep(100)
        assert "offline" == (await show(lab, device)).state
        await trio.sleep(30)
        assert ("online", 2) == ((await show(lab, device)).state, await _boots(lab, device))


async def test_suspend_and_wake_up(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Asleep until somebody wakes it up, and that is no boot."""
    async with open_lab(tmp_path) as lab:
        device = await come_on_board(lab, "one")
        assert "SUCCESS" == (await ask(lab, device, C.SUSPEND)).state
        await trio.sleep(DAY)
        assert (State.SUSPENDED, "offline") == (device.device.state, (await show(lab, device)).state)
        device.device.wake_up()
        await trio.sleep(5)
        assert ("online", 1) == ((await show(lab, device)).state, await _boots(lab, device))


async def test_wake_up(tmp_path: Path, autojump_clock: MockClock) -> None:
    """The magic packet of the server reaches the device: out of suspension without a boot, out of a shutdown by one."""
    async with (
        open_lab(tmp_path) as lab,
        open_nearby(lab.device_network, Whereabouts(address="devices")) as nearby,
    ):
        device = await come_on_board(lab, "one", nearby=nearby)
        for command, asleep, boots in ((C.SUSPEND, State.SUSPENDED, 1), (C.SHUTDOWN, State.OFF, 2)):
            assert "SUCCESS" == (await ask(lab, device, command)).state
            await trio.sleep(DAY)
            assert (asleep, "offline") == (device.device.state, (await show(lab, device)).state)
            woken = await ask(lab, device, C.WAKE_UP)
            assert ("SUCCESS", True) == (woken.state, "devices" in woken.message)
            await trio.sleep(60)
            assert ("online", boots) == ((await show(lab, device)).state, await _boots(lab, device))


async def test_update_on_shutdown(tmp_path: Path, autojump_clock: MockClock) -> None:
    """The update waits for the shutdown; the device runs it when somebody switches it on."""
    async with open_lab(tmp_path) as lab:
        device = await come_on_board(lab, "one")
        assert "SUCCESS" == (await ask(lab, device, C.UPDATE_ON_SHUTDOWN, version="12.9.1")).state
        await trio.sleep(HOUR)
        assert "12.8.4" == (await show(lab, device)).firmware
        assert "SUCCESS" == (await ask(lab, device, C.SHUTDOWN)).state
        await device.over.wait()
        assert State.OFF is device.ended
        device = lab.device("one")
        await device.until_managed()
        assert "12.9.1" == (await show(lab, device)).firmware


async def test_update(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Takes its time, then the device boots into the version; one that is none is refused by the device."""
    async with open_lab(tmp_path) as lab:
        device = await come_on_board(lab, "one", behaviour=DeviceBehaviour(update_seconds=200))
        began = trio.current_time()
        assert "SUCCESS" == (await ask(lab, device, C.UPDATE, version="12.10.0")).state
        assert 200 <= trio.current_time() - began < 210
        await trio.sleep(60)
        assert ("12.10.0", "online") == ((await show(lab, device)).firmware, (await show(lab, device)).state)
        assert "FAILED" == (await ask(lab, device, C.UPDATE, version="ten")).state


@pytest.mark.parametrize("after", ["stay", "onboard"])
async def test_reset_to_factory_defaults(tmp_path: Path, autojump_clock: MockClock, after: str) -> None:
    """Identity, pins, settings and messages are forgotten; with its key it comes on board again, with a new one."""
    async with open_lab(tmp_path) as lab:
        behaviour = DeviceBehaviour(after_reset=after)  # type: ignore[arg-type]
        device = await come_on_board(lab, "one", behaviour=behaviour)
        await lab.services.profiles.edit(GLOBAL, {"x.y": "1"}, actor="anna", when=When.NOW)
        await ask(lab, device, C.MESSAGE, text="soon forgotten")
        before = device.folder.load_identity()
        assert "SUCCESS" == (await ask(lab, device, C.FACTORY_RESET)).state
        await trio.sleep(300)

        folder = device.folder
        assert [] == folder.inbox.load().messages
        if after == "stay":
            assert State.FACTORY is device.ended
            assert ([], None, {}) == (folder.load_trust()[0], folder.load_identity(), folder.settings.load().settings)
        else:
            assert "online" == (await show(lab, device)).state
            assert before != folder.load_identity()
            assert {"x.y": "1"} == folder.installed.load().settings
            states = [one.state for one in (await show(lab, device)).certificates]
            assert ["superseded", "active"] == states


async def test_message(tmp_path: Path, autojump_clock: MockClock) -> None:
    """The user finds it in the inbox, in order, and over a reboot."""
    async with open_lab(tmp_path) as lab:
        device = await come_on_board(lab, "one")
        for text in ("coffee", "tea"):
            assert "SUCCESS" == (await ask(lab, device, C.MESSAGE, text=text)).state
        await ask(lab, device, C.REBOOT)
        await trio.sleep(60)
        assert ["coffee", "tea"] == [one.text for one in device.folder.inbox.load().messages]


async def test_settings_both_ways(tmp_path: Path, autojump_clock: MockClock) -> None:
    """`settings2tc` ends when they are in effect; `tc2settings` brings what was set on the device itself."""
    async with open_lab(tmp_path) as lab:
        device = await come_on_board(lab, "one", behaviour=DeviceBehaviour(local_settings={"x.mouse": "left"}))
        await lab.services.profiles.edit(GLOBAL, {"x.y": "1"}, actor="anna", when=When.NOW)
        done = await ask(lab, device, C.SETTINGS_TO_DEVICE)
        assert ("SUCCESS", {"x.y": "1"}) == (done.state, device.folder.installed.load().settings)
        assert "in effect" in done.message
        assert "SUCCESS" == (await ask(lab, device, C.SETTINGS_FROM_DEVICE)).state
        assert {"x.mouse": "left"} == (await show(lab, device)).own_settings


async def test_refreshes(tmp_path: Path, autojump_clock: MockClock) -> None:
    """The licences are known after one, what has changed about the device after the other."""
    async with open_lab(tmp_path) as lab:
        device = await come_on_board(lab, "one")
        assert [] == (await show(lab, device)).licences
        assert "SUCCESS" == (await ask(lab, device, C.REFRESH_LICENCE)).state
        assert ["valid"] == [one["state"] for one in (await show(lab, device)).licences]
        assert "SUCCESS" == (await ask(lab, device, C.REFRESH_SYSTEM_INFORMATION)).state
        assert "2026-01-01 00:00" == (await show(lab, device)).info["lastBoottime"]


async def test_file_transfer(tmp_path: Path, autojump_clock: MockClock) -> None:
    """One file by command, without an assignment; afterwards it is not this device's to fetch any more."""
    (tmp_path / "patch.bin").write_bytes(b"\0\1" * 1_000)
    digest = hashlib.sha256(b"\0\1" * 1_000).hexdigest()
    async with open_lab(tmp_path) as lab:
        device = await come_on_board(lab, "one")
        await lab.services.files.add(tmp_path / "patch.bin", actor="anna")
        assert "SUCCESS" == (await ask(lab, device, C.FILE_TRANSFER, file="patch.bin")).state
        assert b"\0\1" * 1_000 == (device.folder.files / "patch.bin").read_bytes()
        assert await lab.services.files.content(device.device.persona.unit_id, digest) is None  # type: ignore[arg-type]


async def test_device_command(tmp_path: Path, autojump_clock: MockClock) -> None:
    """The device says what it did, or that it does not know it."""
    async with open_lab(tmp_path) as lab:
        device = await come_on_board(lab, "one")
        known, unknown = [await ask(lab, device, C.DEVICE_COMMAND, name=name) for name in ("identify", "dance")]
        assert ("SUCCESS", "FAILED") == (known.state, unknown.state)
        assert "blinked" in known.message
        assert "dance" in unknown.message


async def test_check_reenrolment(tmp_path: Path, autojump_clock: MockClock) -> None:
    """X10: nothing before it is due; then at once, instead of at the next daily look."""
    quiet = SessionsConfig(ping_seconds=86_400)
    short = msgspec.structs.replace(quick_config().certificates, device_days=60)
    config = msgspec.structs.replace(quick_config(), sessions=quiet, certificates=short)
    async with open_lab(tmp_path, config=config, days=60) as lab:
        device = await come_on_board(lab, "one")
        await trio.sleep(DAY / 2)
        await ask(lab, device, C.REBOOT)  # so that its daily look is at noon
        await trio.sleep(60)
        assert "not due" in (await ask(lab, device, C.CHECK_REENROLMENT)).message
        await trio.sleep(39.75 * DAY)  # due since six hours, with 20 of 60 days left
        assert 1 == len((await show(lab, device)).certificates)
        assert "SUCCESS" == (await ask(lab, device, C.CHECK_REENROLMENT)).state
        await trio.sleep(60)
        shown = await show(lab, device)
        assert ("online", ["superseded", "active"]) == (shown.state, [one.state for one in shown.certificates])


def test_every_command_has_a_story_here() -> None:
    """A new command needs one too."""
    text = Path(__file__).read_text()
    assert [] == [name.name for name in CommandName if f"C.{name.name}" not in text]


async def test_retry_at_the_next_boot(tmp_path: Path, autojump_clock: MockClock) -> None:
    """For a device that is away it waits, also over a restart of the server; without the wish it fails at once."""
    async with open_lab(tmp_path) as lab:
        device = await come_on_board(lab, "one")
        await switch_off(device)
        lost = await ask(lab, device, C.MESSAGE, text="lost")
        assert ("FAILED", "the device is offline") == (lost.state, lost.message)
        waits = await ask(lab, device, C.MESSAGE, text="kept", retry_at_boot=True)
        assert "at-next-boot" == waits.state
        await restart(lab)
        device = lab.device("one")
        await device.until_managed()
        await trio.sleep(10)
        _, (task,) = await lab.services.commands.results(waits.exec_id)
        assert ("SUCCESS", ["kept"]) == (task.state, [one.text for one in device.folder.inbox.load().messages])


async def test_a_job_on_its_schedule(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Every night to all that are there then; its runs are kept, one that was missed by a day is left out."""
    async with open_lab(tmp_path) as lab:
        device = await come_on_board(lab, "one")
        order = Order(command=C.MESSAGE, selector=Selector(everyone=True), parameters={"text": "good night"})
        plan = Plan(in_seconds=22 * HOUR, every_seconds=DAY, expiry_seconds=2_400)
        await lab.services.jobs.create("nightly", order, plan, actor="anna")
        await trio.sleep(1.5 * DAY)
        late = await come_on_board(lab, "two")
        await trio.sleep(DAY)
        texts = [[one.text for one in each.folder.inbox.load().messages] for each in (device, late)]
        assert [["good night"] * 2, ["good night"]] == texts
        await lab.stop_server()
        await trio.sleep(DAY)
        await lab.start_server()
        await trio.sleep(HOUR)
        job = await lab.services.jobs.show("nightly")
        assert [{"SUCCESS": 2}, {"SUCCESS": 1}] == [run.states for run in job.runs]
        assert "2026-01-04T22:00" == (job.next_run_at or "")[:16]


async def test_a_wave_over_the_queue_is_rejected(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Section 9: so many threads, so long a queue; the surplus has the result that says so."""
    requests = msgspec.structs.replace(quick_config().requests, threads=2, queue=3)
    async with open_lab(tmp_path, config=msgspec.structs.replace(quick_config(), requests=requests)) as lab:
        devices = [await come_on_board(lab, f"d{number}") for number in range(8)]
        commands = lab.services.commands
        exec_id = await commands.start(C.UPDATE, Selector(everyone=True), {"version": "12.9.0"}, actor="anna")
        await trio.sleep(600)
        _, tasks = await commands.results(exec_id)
        rejected = [task for task in tasks if task.state == ResultState.FAILED]
        assert {"rejected: the request queue is full"} == {task.message for task in rejected}
        assert (3, 5) == (len(rejected), len(tasks) - len(rejected))
        updated = [one for one in await lab.services.registry.list_devices() if one.firmware == "12.9.0"]
        assert 5 == len(updated)
        assert {"online"} == {(await show(lab, device)).state for device in devices}
