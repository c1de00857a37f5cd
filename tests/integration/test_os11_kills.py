# SPDX-License-Identifier: Apache-2.0
"""An OS 11 device that is killed while its settings are pushed has the old ones or the new ones, and comes back."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import trio

from tests.agent.os11.ums import Os11Lab, open_os11_lab
from tests.support.process import UMSLAB, clean_environment
from umslab_agent.folder import DeviceFolder
from umslab_protocol.wire.messages import SettingsMessage

if TYPE_CHECKING:
    from pathlib import Path

MOMENTS = 6
"""Messages of the device in a call after which it is killed; the last ones are its acknowledgements."""


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
