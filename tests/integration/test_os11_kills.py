# SPDX-License-Identifier: Apache-2.0
"""An OS 11 device or its server is killed while settings are pushed: the device has the old or the new ones, whole."""

from __future__ import annotations

import json
import sqlite3
import subprocess
from contextlib import closing, suppress
from functools import partial
from typing import TYPE_CHECKING

import pytest
import trio

from tests.agent.os11.ums import Os11Lab, open_os11_lab
from tests.support.process import QUICK_KEYS, UMSLAB, clean_environment
from tests.support.trouble import TroubledLab
from umslab_agent.folder import DeviceFolder
from umslab_protocol.wire.messages import SettingsMessage
from umslab_runtime.control import ControlError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.trouble import Member

MOMENTS = 6
"""Messages of the device in a call after which it is killed; the last ones are its acknowledgements."""
VICTIMS = ("server", "device", "both", "server", "device")
PUSH_SECONDS = 0.15
"""About as long as an edit and its push take; a kill comes within."""


def _start(lab: Os11Lab, state: Path) -> subprocess.Popen[bytes]:
    arguments = ("--os", "11", "--push-port", "0", "--state", str(state))
    command = [*UMSLAB, "device", str(lab.ums.target), *arguments]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, env=clean_environment())


def _settings(version: int) -> SettingsMessage:
    values = {f"key.{number}": str(version) for number in range(200)}
    return SettingsMessage(id=1, version=version, digest=str(version), settings=values)


async def _push_and_kill(lab: Os11Lab, unit_id: str, device: subprocess.Popen[bytes], after: int) -> None:
    """Push; kill the device with SIGKILL when it has said so many things."""
    heard = 0

    def kill() -> None:
        nonlocal heard
        heard += 1
        if heard == after:
            device.kill()

    lab.ums.on_message = kill
    await lab.ums.call(unit_id, lab.ums.settings, host="127.0.0.1")
    lab.ums.on_message = lambda: None
    device.kill()
    await trio.to_thread.run_sync(device.wait)


@pytest.mark.slow
async def test_killed_in_the_middle_of_a_push(tmp_path: Path) -> None:
    """After each message that it says: whole settings of one version, and the newest ones after the next boot."""
    folder = DeviceFolder(tmp_path / "state" / "device")
    async with open_os11_lab(tmp_path, real=True, seconds=120) as lab:
        lab.ums.settings = _settings(1)
        device = _start(lab, tmp_path / "state")
        try:
            for version in range(2, 2 + MOMENTS):
                await lab.ums.until_contacts(version - 1)
                await lab.ums.until_quiet()
                persona = folder.load_persona()
                assert persona is not None
                assert version - 1 == folder.settings.load().version
                lab.ums.settings = _settings(version)
                await _push_and_kill(lab, persona.unit_id, device, after=version - 1)

                kept, installed = folder.settings.load(), folder.installed.load()
                assert kept.version in {version - 1, version}
                assert {str(kept.version)} == set(kept.settings.values())
                assert installed.version <= kept.version
                assert len(set(installed.settings.values())) <= 1
                device = _start(lab, tmp_path / "state")
            await lab.ums.until_contacts(1 + MOMENTS)
            await lab.ums.until_quiet()

            assert 1 + MOMENTS == folder.settings.load().version
        finally:
            device.kill()
            device.wait()


@pytest.mark.slow
async def test_both_sides_killed_in_the_middle_of_a_push(tmp_path: Path) -> None:
    """Processes, killed at seeded moments: settings are always whole, the same in the end, and none comes twice."""
    lab = TroubledLab(tmp_path, seed=5, arguments=(*QUICK_KEYS, "--set", "enrolment.automatic=true"))
    await lab.start()
    try:
        with trio.fail_after(240):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(lab.live_as_os11_process, 0)
                await lab.until(partial(_is_applied, lab))
                (member,) = lab.members
                for number, victim in enumerate(VICTIMS, 1):
                    await _edit_and_kill(lab, member, number, victim)
                    await lab.until(partial(_is_applied, lab))
                    await _until_in_effect(member, _values(number))
                (found,) = await lab.ask("devices.list")
                nursery.cancel_scope.cancel()
        await trio.to_thread.run_sync(lab.server.stop)
    finally:
        lab.server.close()

    with closing(sqlite3.connect(tmp_path / "ums" / "server" / "registry.sqlite")) as database:
        events = database.execute("SELECT data FROM event WHERE kind = 'settings-applied' ORDER BY id")
        versions = [json.loads(data)["version"] for (data,) in events]
    assert sorted(set(versions)) == versions
    told = [json.loads(line) for line in member.told.read_text().splitlines()]
    applied = [one["data"]["settings_version"] for one in told if one.get("event") == "settings"]
    assert sorted(set(applied)) == applied
    assert {found["applied_version"]} == {versions[-1], applied[-1]}


def _values(number: int) -> dict[str, str]:
    return {f"x.key{index}": str(number) for index in range(200)}


async def _is_applied(lab: TroubledLab) -> bool:
    """Whether the server knows that the device has what it is to have."""
    return ["APPLIED"] == [one["config_changes"] for one in await lab.ask("devices.list")]


async def _until_in_effect(member: Member, values: dict[str, str]) -> None:
    """Wait until exactly this is in effect on the device; what it acknowledges is that it has stored it."""
    while values != member.folder.installed.load().settings:  # noqa: ASYNC110 - a file of another process
        await trio.sleep(0.05)


async def _edit_and_kill(lab: TroubledLab, member: Member, number: int, victim: str) -> None:
    """Edit settings; kill while they are on their way; look at what the device has; boot it again."""

    async def edit() -> None:
        with suppress(ControlError):  # whoever asks a server that is killed does not know how far it came
            await lab.ask("profiles.edit", which="global", values=_values(number), when="now")

    async def edited() -> bool:
        return bool((await lab.ask("profiles.show", which="global"))["settings"] == _values(number))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(edit)
        await trio.sleep(lab.chance.uniform(0, PUSH_SECONDS))
        if victim != "server":
            member.cut()
        if victim != "device":
            await lab.kill()
    for settings in (member.folder.settings.load().settings, member.folder.installed.load().settings):
        assert settings in (_values(number), _values(number - 1) if number > 1 else {})
    if victim != "device":
        await lab.start()
    await lab.insist("profiles.edit", edited, which="global", values=_values(number), when="now")
    if victim == "server":
        member.cut()  # settings that did not get through are fetched at the next boot (G2)
