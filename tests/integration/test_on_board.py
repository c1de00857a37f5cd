# SPDX-License-Identifier: Apache-2.0
"""A device comes on board, on the memory network in virtual time and on loopback in real time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
import trio

from tests.support.lab import open_lab, quick_config
from umslab_protocol.machines.device_life import State
from umslab_server.config import SessionsConfig

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock


async def test_comes_on_board_in_virtual_time(tmp_path: Path, autojump_clock: MockClock) -> None:
    """The first complete path, with TLS over memory streams."""
    async with open_lab(tmp_path) as lab:
        device = lab.device("one", auth_key=await lab.mass_key())

        await device.until_managed()

        shown = await lab.services.registry.list_devices()
        assert [(device.device.persona.unit_id, "online")] == [(one.unit_id, one.state) for one in shown]
        assert shown[0].firmware == "12.8.4"


async def test_comes_on_board_over_real_sockets(tmp_path: Path) -> None:
    """The same over loopback TCP."""
    with trio.fail_after(20):
        async with open_lab(tmp_path, real=True) as lab:
            device = lab.device("one", auth_key=await lab.mass_key())

            await device.until_managed()

            assert len(lab.services.presence) == 1


async def test_reconnects_after_a_server_restart_without_enrolling(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Registered durably: the certificate still counts after the server came back."""
    async with open_lab(tmp_path) as lab:
        device = lab.device("one", auth_key=await lab.mass_key())
        await device.until_managed()

        await lab.stop_server()
        await device.until_state(State.WAITING)
        await lab.start_server()
        device.changes.clear()
        await device.until_managed()

        states = {change.state for change in device.changes}
        assert State.ENROLLING not in states
        keys = await lab.services.keys.list_keys()
        assert keys[0].uses == 1


@pytest.mark.parametrize("days", [1, 340])
async def test_renews_in_time(tmp_path: Path, autojump_clock: MockClock, days: int) -> None:
    """The daily look renews a certificate that has less than thirty days left, and only then."""
    config = msgspec.structs.replace(quick_config(), sessions=SessionsConfig(ping_seconds=86_400))
    async with open_lab(tmp_path, config=config, days=500) as lab:
        device = lab.device("one", auth_key=await lab.mass_key())
        await device.until_managed()

        await trio.sleep(days * 86_400 + 7_200)

        shown = await lab.services.registry.show(device.device.persona.unit_id)  # type: ignore[arg-type]
        states = [certificate.state for certificate in shown.certificates]
        assert (["active"] if days == 1 else ["superseded", "active"]) == states


async def test_a_managed_device_knows_its_boots(tmp_path: Path, autojump_clock: MockClock) -> None:
    """The server sees a boot after a restart of the device, and none after a lost connection."""
    async with open_lab(tmp_path) as lab:
        device = lab.device("one", auth_key=await lab.mass_key())
        await device.until_managed()
        await lab.stop_server()
        await device.until_state(State.WAITING)
        await lab.start_server()
        device.changes.clear()
        await device.until_managed()
        device.power_off()
        await device.over.wait()
        again = lab.device("one")
        await again.until_managed()

        boots = [event.data["boot"] for event in await lab.services.store.events(0) if event.kind == "device-booted"]
        assert ["1", "2"] == boots
