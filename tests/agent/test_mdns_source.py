# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_agent.mdns_source, and the story of a lab that has nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from tests.support.lab import SERVER, open_lab, quick_config
from umslab_agent.discovery import Absent, Discovery, Found, Source
from umslab_agent.mdns_source import MdnsSource
from umslab_agent.trust import TrustMode
from umslab_protocol.values.host_port import HostPort
from umslab_runtime.net_memory import MemoryNetwork
from umslab_runtime.net_trio import TrioNetwork
from umslab_server.config import EnrolmentConfig, MdnsConfig

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock


async def test_several_in_order(autojump_clock: MockClock) -> None:
    """All that were found are told, and tried in the same order every time."""
    network = MemoryNetwork()
    async with (
        network.host("ums.two").announce("two", 8443, on=[]),
        network.host("ums.one").announce("one", 8444, on=[]),
    ):
        found = await MdnsSource(network.host("device")).find()

    assert isinstance(found, Found)
    assert (HostPort("ums.one", 8444), HostPort("ums.two", 8443)) == found.targets
    assert "announced by mDNS as one, two, simulated" == found.why


async def test_nothing(autojump_clock: MockClock) -> None:
    """Nobody there is told as such, after a bounded time; what may not be asked, or cannot, too."""
    silent = await MdnsSource(MemoryNetwork().host("device")).find()
    assert isinstance(silent, Absent)
    assert (Source.MDNS, "timeout", "nobody announced a UMS within 5 seconds") == (
        silent.source,
        silent.reason,
        silent.text,
    )
    refused = await MdnsSource(TrioNetwork(), ["8.8.8.8"]).find()
    elsewhere = await MdnsSource(TrioNetwork(), ["10.99.98.97"]).find()
    assert isinstance(refused, Absent)
    assert isinstance(elsewhere, Absent)
    assert ("target-refused", "unreachable") == (refused.reason, elsewhere.reason)


async def test_by_mdns_alone(tmp_path: Path, autojump_clock: MockClock) -> None:
    """A device finds a server that announces itself, behind one that is none, and is managed."""
    config = msgspec.structs.replace(
        quick_config(), enrolment=EnrolmentConfig(automatic=True), mdns=MdnsConfig(enabled=True)
    )
    async with open_lab(tmp_path, config=config) as lab:
        assert lab.memory is not None
        async with lab.memory.host("nobody").announce("a decoy", 1, on=[]):
            finders = {Source.MDNS: MdnsSource(lab.device_network).find}
            sought = Discovery([Source.STORED, Source.MDNS], finders, trust_mode=TrustMode(), auth_key=None)
            device = lab.device("one", discovery=sought)
            await device.until_managed()

        reasons = [one.data["reason"] for one in device.happenings if one.kind == "discovery"]
        assert ["not-registered", "found", "trust-first-use", "unreachable", "trust-first-use", "taken"] == reasons
        device.power_off()

        await lab.stop_server()
        assert isinstance(await MdnsSource(lab.memory.host(SERVER)).find(), Absent)
