# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_agent.nearby: a device's place on the link follows its state; a sleeping device really wakes."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import trio
from trio.testing import wait_all_tasks_blocked

from tests.support.lab import SERVER, Lab, LabDevice, open_lab
from umslab_agent.nearby import Nearby, Whereabouts, open_nearby
from umslab_protocol.machines.device_life import State
from umslab_protocol.values.host_port import HostPort
from umslab_protocol.values.unit_id import MacAddress
from umslab_protocol.wire.magic_packet import WAKE_PORT, write_magic_packet
from umslab_protocol.wire.orders import CommandName
from umslab_protocol.wire.probes import PROBE_PORT, ScanAnswer, read_scan_answer, write_scan
from umslab_runtime.net_trio import TrioNetwork
from umslab_runtime.streams import Address
from umslab_server.commanding.selectors import Selector

if TYPE_CHECKING:
    from pathlib import Path

    from umslab_runtime.udp import UdpEndpoint

NONCE = bytes(16)


async def _seen(lab: Lab, asker: UdpEndpoint) -> ScanAnswer | None:
    """What a scan finds."""
    asker.send_to(write_scan(NONCE, 0), Address("devices", PROBE_PORT))
    await trio.sleep(1)
    answers = asker.receive_nowait(9)
    return read_scan_answer(answers[0].payload) if answers else None


async def _order(lab: Lab, device: LabDevice, command: CommandName, state: State) -> None:
    unit_ids = [device.device.persona.unit_id]
    await lab.services.commands.start(command, Selector(unit_ids=unit_ids), actor="test")
    await device.until(lambda change: change.state is state)
    await wait_all_tasks_blocked()


async def test_device_is_found_while_it_is_awake_and_wakes_by_its_packet(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """Suspended and shut down it answers nothing, until a magic packet comes: then it is managed again."""
    async with open_lab(tmp_path) as lab:
        key = await lab.mass_key()
        asker = await lab.server_network.udp(SERVER, 0)
        async with open_nearby(lab.device_network, Whereabouts(address="devices")) as nearby:
            device = lab.device("one", auth_key=key, nearby=nearby)
            await device.until_managed()
            found = await _seen(lab, asker)

            assert found is not None
            assert (device.device.persona.unit_id, True) == (found.unit_id, found.has_ums)
            for command, state in ((CommandName.SUSPEND, State.SUSPENDED), (CommandName.SHUTDOWN, State.OFF)):
                await _order(lab, device, command, state)
                assert await _seen(lab, asker) is None
                device.changes.clear()
                packet = write_magic_packet(MacAddress(device.device.persona.mac))
                asker.send_to(packet, Address("devices", WAKE_PORT))
                await device.until_managed()
                assert await _seen(lab, asker) is not None
            device.power_off()
            await device.over.wait()
            assert await _seen(lab, asker) is None


async def test_without_a_place_on_the_link_a_device_that_was_shut_down_is_over(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """Nothing can switch it on, so its life ends there."""
    async with open_lab(tmp_path) as lab:
        device = lab.device("one", auth_key=await lab.mass_key())
        await device.until_managed()
        await _order(lab, device, CommandName.SHUTDOWN, State.OFF)
        await device.over.wait()

        assert State.OFF is device.ended


async def test_place_on_the_real_network() -> None:
    """With an address of its own, and with a whole interface."""
    for interface in ("", "lo"):
        where = Whereabouts(address="127.3.0.9", interface=interface, probe_port=0, wake_port=0)
        async with open_nearby(TrioNetwork(), where) as nearby:
            assert isinstance(nearby, Nearby)


async def test_os_12_answers_scans_over_tcp_and_nothing_else(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """T11: port 30005 is there for scans; asleep it finds nobody."""
    async with open_lab(tmp_path) as lab:
        key = await lab.mass_key()

        async def call(payload: bytes) -> bytes:
            transport = await lab.server_network.dial(HostPort("devices", PROBE_PORT))
            await transport.send_all(payload)
            heard = b""
            with suppress(trio.BrokenResourceError):
                while some := await transport.receive_some():
                    heard += some
            transport.abort()
            return heard

        async with open_nearby(lab.device_network, Whereabouts(address="devices")) as nearby:
            device = lab.device("one", auth_key=key, nearby=nearby)
            await device.until_managed()

            assert device.device.persona.unit_id == read_scan_answer(await call(write_scan(NONCE, 0))).unit_id
            assert b"" == await call(b"\x16\x03\x01" + bytes(60))
            await _order(lab, device, CommandName.SUSPEND, State.SUSPENDED)
            assert b"" == await call(write_scan(NONCE, 0))
            device.power_off()
            await device.over.wait()
