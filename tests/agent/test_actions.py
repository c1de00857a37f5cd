# SPDX-License-Identifier: Apache-2.0
"""What a device does for each command."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
import trio

from tests.agent.desk import do, open_desk
from umslab_agent import actions
from umslab_agent.behaviour import DeviceBehaviour
from umslab_agent.kept import Journal
from umslab_protocol.machines.device_life import State
from umslab_protocol.values.firmware import FirmwareVersion
from umslab_protocol.wire.close_codes import CloseCode
from umslab_protocol.wire.magic_packet import woken_by
from umslab_protocol.wire.messages import (
    Command,
    Error,
    PullSettings,
    PushLicenseInfo,
    PushSettings,
    PushSysinfo,
    Result,
)
from umslab_protocol.wire.orders import CommandName, ResultState
from umslab_runtime.net_trio import TrioNetwork

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

SUCCESS, FAILED = ResultState.SUCCESS, ResultState.FAILED


async def test_reboot(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Result, goodbye, boot time, and back with the next boot number."""
    async with open_desk(tmp_path) as desk:
        device = desk.device(behaviour=DeviceBehaviour(boot_seconds=45))
        await device.until_managed()
        session = await desk.session()
        result = await do(session, CommandName.REBOOT)
        closed = await session.until_over()
        left = trio.current_time()
        change = await device.until_state(State.REBOOTING)
        again = await desk.session(2)

        assert SUCCESS is result.state
        assert (CloseCode.NORMAL, "rebooting", True) == (closed.code, closed.reason, closed.by_peer)
        assert 45 == pytest.approx(trio.current_time() - left, abs=1)
        assert change.wait == pytest.approx(45)
        assert "2" == again.hello.boot


async def test_suspend_and_wake_up(tmp_path: Path, autojump_clock: MockClock) -> None:
    """It stays away until it is woken up; that is no boot. With a time it wakes by itself."""
    async with open_desk(tmp_path) as desk:
        device = desk.device()
        await device.until_managed()
        await do(await desk.session(), CommandName.SUSPEND)
        await device.until_state(State.SUSPENDED)
        await trio.sleep(10 * 86_400)
        assert 1 == len(desk.sessions)
        device.device.wake_up()
        second = await desk.session(2)
        assert "1" == second.hello.boot
        device.device.wake_up()  # nothing to a device that is awake
        device.power_off()
        await device.over.wait()

        other = desk.device(behaviour=DeviceBehaviour(resume_after_seconds=100))
        await do(await desk.session(3), CommandName.SUSPEND, "x2")
        began = trio.current_time()
        await desk.session(4)
        assert 100 == pytest.approx(trio.current_time() - began, abs=1)
        assert other.ended is None


async def test_shutdown(tmp_path: Path, autojump_clock: MockClock) -> None:
    """The run ends, unless somebody switches it on again: then it is a boot."""
    async with open_desk(tmp_path) as desk:
        device = desk.device()
        await do(await desk.session(), CommandName.SHUTDOWN)
        await device.over.wait()
        assert State.OFF is device.ended

        desk.device(behaviour=DeviceBehaviour(power_on_after_seconds=3_600))
        await do(await desk.session(2), CommandName.SHUTDOWN, "x2")
        began = trio.current_time()
        third = await desk.session(3)
        assert "3" == third.hello.boot
        assert 3_600 == pytest.approx(trio.current_time() - began, abs=1)


async def test_a_device_that_is_off_can_be_switched_on(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Wake-up does not wait for the alarm."""
    async with open_desk(tmp_path) as desk:
        device = desk.device(behaviour=DeviceBehaviour(power_on_after_seconds=86_400))
        await do(await desk.session(), CommandName.SHUTDOWN)
        await device.until_state(State.OFF)
        await trio.sleep(10)
        device.device.wake_up()
        assert "2" == (await desk.session(2)).hello.boot
        assert trio.current_time() < 3_600


@pytest.mark.parametrize("after", ["stay", "onboard"])
async def test_factory_reset(tmp_path: Path, autojump_clock: MockClock, after: str) -> None:
    """All but the persona is forgotten; then it stays so, or comes on board again with a new certificate."""
    async with open_desk(tmp_path) as desk:
        desk.settings(7, {"a": "b"})
        device = desk.device(behaviour=DeviceBehaviour(after_reset=after))  # type: ignore[arg-type]
        await device.until_managed()
        session = await desk.session()
        certificate = device.folder.load_identity()
        await do(session, CommandName.MESSAGE, "m1", text="private")
        result = await do(session, CommandName.FACTORY_RESET, "x1")
        await device.until_state(State.FACTORY)
        names = {path.name for path in device.folder.path.iterdir()}

        assert SUCCESS is result.state
        assert {"device.json", "boots.json"} == names
        if after == "stay":
            await device.over.wait()
            assert State.FACTORY is device.ended
        else:
            again = await desk.session(2)
            assert "2" == again.hello.boot
            assert certificate != device.folder.load_identity()
            assert (await again.until_kind(PullSettings)).version == 0


async def test_settings_to_the_device(tmp_path: Path, autojump_clock: MockClock) -> None:
    """It asks, puts in effect, and then says so; nothing new is a success too; a refusal is not."""
    async with open_desk(tmp_path) as desk:
        device = desk.device()
        await device.until_managed()
        session = await desk.session()
        desk.settings(4, {"system.remotemanager.release_delay": "60"})
        first = await do(session, CommandName.SETTINGS_TO_DEVICE, "a")
        assert 4 == device.folder.installed.load().version
        second = await do(session, CommandName.SETTINGS_TO_DEVICE, "b")
        desk.silent_about = {PullSettings}
        number = session.say(lambda number: Command(id=number, execID="c", command=CommandName.SETTINGS_TO_DEVICE))
        await trio.sleep(1)
        pull = session.of_kind(PullSettings)[3]
        session.pump.send(Error(code="busy", message="not now", re=pull.id))
        third = await session.until(lambda said: isinstance(said, Result) and said.re == number)

        assert (SUCCESS, "settings version 4 are in effect") == (first.state, first.message)
        assert SUCCESS is second.state
        assert (FAILED, "not now") == (third.state, third.message)


async def test_pushes_by_command(tmp_path: Path, autojump_clock: MockClock) -> None:
    """System information, licences and local settings are sent, and acknowledged before the result."""
    async with open_desk(tmp_path) as desk:
        device = desk.device(behaviour=DeviceBehaviour(local_settings={"sound.volume": "7"}))
        await device.until_managed()
        session = await desk.session()
        results = [
            await do(session, CommandName.REFRESH_SYSTEM_INFORMATION, "a"),
            await do(session, CommandName.REFRESH_LICENCE, "b"),
            await do(session, CommandName.SETTINGS_FROM_DEVICE, "c"),
        ]

        assert [SUCCESS] * 3 == [result.state for result in results]
        assert 2 == len(session.of_kind(PushSysinfo))
        assert "valid" == session.of_kind(PushLicenseInfo)[0].licences[0].state
        assert {"sound.volume": "7"} == session.of_kind(PushSettings)[0].settings


async def test_update(tmp_path: Path, autojump_clock: MockClock) -> None:
    """It takes its time, reboots, and is another firmware from then on; also for the folder."""
    async with open_desk(tmp_path) as desk:
        device = desk.device(firmware=FirmwareVersion(12, 6, 0))
        await device.until_managed()
        session = await desk.session()
        began = trio.current_time()
        result = await do(session, CommandName.UPDATE, version="12.8.4")
        again = await desk.session(2)
        persona = device.folder.load_persona()

        assert (SUCCESS, "updated to 12.8.4") == (result.state, result.message)
        assert trio.current_time() - began >= 45
        assert ("12.6.0", "12.8.4") == (session.hello.firmwareVersion, again.hello.firmwareVersion)
        assert persona is not None
        assert "12.8.4" == persona.firmware


async def test_update_on_shutdown(tmp_path: Path, autojump_clock: MockClock) -> None:
    """It waits for the next time the device goes down on purpose; a power cut does not do it."""
    async with open_desk(tmp_path) as desk:
        device = desk.device()
        await do(await desk.session(), CommandName.UPDATE_ON_SHUTDOWN, "a", version="12.9.0")
        device.power_off()
        await device.over.wait()
        desk.device()
        second = await desk.session(2)
        await do(second, CommandName.REBOOT, "b")
        third = await desk.session(3)

        assert ("12.8.4", "12.9.0") == (second.hello.firmwareVersion, third.hello.firmwareVersion)


@pytest.mark.parametrize(
    ("command", "parameters", "text"),
    [
        (CommandName.UPDATE, {"version": "new"}, "not a firmware version"),
        (CommandName.UPDATE_ON_SHUTDOWN, {"version": "12.x"}, "not a firmware version"),
        (CommandName.MESSAGE, {}, "empty"),
        (CommandName.DEVICE_COMMAND, {"name": "explode"}, "unknown device command 'explode'"),
        (CommandName.DEVICE_COMMAND, {}, "unknown device command ''"),
        (CommandName.FILE_TRANSFER, {}, "parameters name, sha256 and size"),
        (CommandName.FILE_TRANSFER, {"name": "../x", "sha256": "0" * 64, "size": "1"}, "name"),
        (CommandName.FILE_TRANSFER, {"name": "x", "sha256": "0" * 64, "size": "big"}, "size"),
    ],
)
async def test_what_cannot_be_done(
    tmp_path: Path, autojump_clock: MockClock, command: CommandName, parameters: dict[str, str], text: str
) -> None:
    """It fails with a text, which is remembered too."""
    async with open_desk(tmp_path) as desk:
        desk.device()
        session = await desk.session()
        for _ in range(2):
            result = await do(session, command, "x", **parameters)

            assert FAILED is result.state
            assert text in result.message


async def test_file_transfer(tmp_path: Path, autojump_clock: MockClock) -> None:
    """A file by command; one that is not there is a failure after a few tries."""
    async with open_desk(tmp_path) as desk:
        device = desk.device()
        session = await desk.session()
        order = desk.file("wallpaper.png", b"picture")
        good = {"name": order.name, "sha256": order.sha256, "size": str(order.size)}
        stored = await do(session, CommandName.FILE_TRANSFER, "a", **good)
        missing = await do(session, CommandName.FILE_TRANSFER, "b", name="no", sha256="0" * 64, size="1")

        assert SUCCESS is stored.state
        assert b"picture" == (device.folder.files / "wallpaper.png").read_bytes()
        assert FAILED is missing.state
        assert "404" in missing.message


async def test_check_reenrolment(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Not due is a success; when due, the certificate is renewed and the device comes back without a boot (X10)."""
    async with open_desk(tmp_path, days=400) as desk:
        device = desk.device()
        await device.until_managed()
        session = await desk.session()
        early = await do(session, CommandName.CHECK_REENROLMENT, "a")
        before = device.folder.load_identity()
        await trio.sleep(335 * 86_400 + 3_600)  # the daily look was at 335 days, the next is at 336
        late = await do(desk.sessions[-1], CommandName.CHECK_REENROLMENT, "b")
        await trio.sleep(60)

        assert "the renewal is not due" == early.message
        assert "the certificate is being renewed" == late.message
        assert before != device.folder.load_identity()
        assert "1" == desk.sessions[-1].hello.boot


async def test_wake_up_of_another_device(tmp_path: Path, autojump_clock: MockClock) -> None:
    """A proxy broadcasts a magic packet on its own link (WL4)."""
    async with open_desk(tmp_path) as desk:
        sleeper = await desk.network.host("sleeper").udp("", 4009)
        desk.device()
        result = await do(await desk.session(), CommandName.WAKE_UP, mac="02-00-00-00-00-09", port="4009")

        assert (SUCCESS, "magic packet sent to 255.255.255.255") == (result.state, result.message)
        assert "020000000009" == woken_by((await sleeper.receive()).payload)


@pytest.mark.parametrize(
    ("parameters", "firmware", "text"),
    [
        ({}, "12.8.4", "whom to wake?"),
        ({"mac": "x"}, "12.8.4", "whom to wake?"),
        ({"mac": "020000000009", "port": "65536"}, "12.8.4", "not a port"),
        ({"mac": "020000000009", "port": "-1"}, "12.8.4", "not a port"),
        ({"mac": "00E0C5000009"}, "12.8.4", "wakes nobody"),
        ({"mac": "020000000009"}, "12.5.9", "wakes nobody"),
    ],
)
async def test_whom_it_does_not_wake(
    parameters: dict[str, str], firmware: str, text: str, tmp_path: Path, autojump_clock: MockClock
) -> None:
    """Bad parameters, MAC addresses that could be real, and firmware that cannot."""
    async with open_desk(tmp_path) as desk:
        desk.device(firmware=FirmwareVersion.parse(firmware))
        result = await do(await desk.session(), CommandName.WAKE_UP, **parameters)

        assert FAILED is result.state
        assert text in result.message


async def test_proxy_on_loopback_wakes_those_on_loopback() -> None:
    """Where broadcasts on the link are not allowed, the one that stays on this machine is sent."""
    network = TrioNetwork()
    sleeper = await network.udp("0.0.0.0", 0, interface="lo")
    unit = SimpleNamespace(world=SimpleNamespace(network=network), firmware=FirmwareVersion(12, 8, 4))
    parameters = {"mac": "020000000009", "port": str(sleeper.address.port)}
    order = Command(id=1, execID="x", command=CommandName.WAKE_UP, parameters=parameters)
    outcome = await actions.wake_up(SimpleNamespace(unit=unit), order)  # type: ignore[arg-type]
    with trio.fail_after(60):
        received = await sleeper.receive()
    sleeper.close()

    assert (SUCCESS, "127.255.255.255") == (outcome.state, outcome.message.rpartition(" ")[2])
    assert "020000000009" == woken_by(received.payload)


async def test_a_forced_renewal(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Not due, and renewed all the same: once, whether the order is repeated or the device boots."""
    async with open_desk(tmp_path) as desk:
        device = desk.device()
        await device.until_managed()
        before = device.folder.identity_serial()
        wrong = await do(await desk.session(), CommandName.CHECK_REENROLMENT, "w", force="perhaps")
        done = await do(desk.sessions[-1], CommandName.CHECK_REENROLMENT, "f", force="true")
        await trio.sleep(60)
        after = device.folder.identity_serial()
        again = await do(desk.sessions[-1], CommandName.CHECK_REENROLMENT, "f", force="true")
        await do(desk.sessions[-1], CommandName.REBOOT, "r")
        await trio.sleep(2 * 86_400)

        assert (ResultState.FAILED, "force is true, or is left out") == (wrong.state, wrong.message)
        assert "the certificate is being renewed" == done.message == again.message
        assert before == device.folder.journal.load().replacing
        assert before != after == device.folder.identity_serial()


async def test_a_forced_renewal_survives_a_power_cut(tmp_path: Path, autojump_clock: MockClock) -> None:
    """The result was kept and the power failed: the renewal is done at the next boot."""
    async with open_desk(tmp_path) as desk:
        device = desk.device()
        await device.until_managed()
        device.power_off()
        await device.over.wait()
        before = device.folder.identity_serial()
        device.folder.journal.save(Journal(replacing=before))
        await desk.device().until_managed()

        assert before != device.folder.identity_serial()
