# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_agent.os11.finding, and of how an OS 11 device looks for its UMS."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.agent.os11.ums import open_os11_lab
from umslab_agent.dhcp_source import DhcpSource, Heard
from umslab_agent.discovery import Discovery, Source, command_line
from umslab_agent.os11.finding import stored_address
from umslab_agent.trust import TrustMode
from umslab_protocol.machines.device_life import State
from umslab_protocol.values.failure import Phase, Reason
from umslab_protocol.values.firmware import DEFAULT_OS11_FIRMWARE
from umslab_protocol.wire.dhcp_options import Option

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

    from umslab_protocol.values.host_port import HostPort

ORDER = (Source.STORED, Source.DHCP224, Source.COMMAND_LINE)


def _discovery(server: bytes, other: HostPort | None = None) -> Discovery:
    heard = Heard((Option(224, server), Option(226, b"HQ")), DEFAULT_OS11_FIRMWARE)
    dhcp = DhcpSource(lambda: heard, port=30_001)
    finders = {Source.DHCP224: dhcp.find_global}
    if other is not None:
        finders[Source.COMMAND_LINE] = command_line(other)  # type: ignore[assignment]
    return Discovery(ORDER, finders, trust_mode=TrustMode(), auth_key=None, stored=stored_address)


async def test_dhcp_leads_to_port_30001(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Option 224 names the UMS, 226 the structure tag; after registration the stored address comes first (W9)."""
    async with open_os11_lab(tmp_path) as lab:
        device = lab.device(discovery=_discovery(b"ums.lab"))
        await device.until_state(State.READY)
        device.power_off()
        await device.over.wait()
        again = lab.device(discovery=_discovery(b"elsewhere.lab"))
        await again.until_state(State.READY)

        assert "HQ" == lab.ums.registers[0].structureTag
        assert "ums.lab:30001" == device.folder.discovered.load().address
        await again.until_happening("stored: ums.lab:30001")


async def test_a_source_that_leads_nowhere_is_left_behind(tmp_path: Path, autojump_clock: MockClock) -> None:
    """The next one is asked."""
    async with open_os11_lab(tmp_path) as lab:
        device = lab.device(discovery=_discovery(b"nowhere.lab", lab.ums.target))
        await device.until_state(State.READY)

        assert "command-line" == device.folder.discovered.load().source


async def test_nobody_knows_a_server(tmp_path: Path, autojump_clock: MockClock) -> None:
    """It says which sources were asked."""
    nothing = Discovery(ORDER, {}, trust_mode=TrustMode(), auth_key=None, stored=stored_address)
    async with open_os11_lab(tmp_path) as lab:
        device = lab.device(discovery=nothing)
        await device.over.wait()

        assert device.device.failure is not None
        assert (Phase.REGISTER, Reason.NAME_UNKNOWN) == (device.device.failure.phase, device.device.failure.reason)
