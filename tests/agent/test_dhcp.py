# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_agent.dhcp: the client of one device, in virtual time."""

from __future__ import annotations

import random
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import IPv4Address
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import trio

from tests.protocol.machines.dhcp_server import OS12, TinyServer
from tests.runtime.dhcp_servers import RELAY, MemoryServer, relayed
from umslab_agent.dhcp import Addressing, DeviceDhcp
from umslab_agent.dhcp_source import Heard
from umslab_agent.happenings import Happening, Kind
from umslab_agent.persona import derive_persona
from umslab_protocol.values.firmware import FirmwareVersion
from umslab_protocol.values.unit_id import UnitId
from umslab_protocol.wire.dhcp import MessageType
from umslab_protocol.wire.dhcp_options import Code, Option
from umslab_protocol.wire.igel_dhcp import ExtraCodes, vendor_payload
from umslab_runtime.clock import VirtualClock
from umslab_runtime.dhcp_runner import DhcpRunner, open_runner
from umslab_runtime.net_memory import MemoryNetwork
from umslab_runtime.udp import DatagramError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from trio.testing import MockClock

    from umslab_agent.unit import Unit

STATIC = IPv4Address("192.0.2.9")
OPTIONS = (Option(43, vendor_payload(server="192.0.2.10", tag="HQ", exclusive=True)),)


@dataclass
class Lab:
    """One device, its client, its server, and what was told."""

    runner: DhcpRunner
    server: MemoryServer
    told: list[Happening] = field(default_factory=list)
    options: list[Sequence[Option]] = field(default_factory=list)
    firmware: FirmwareVersion = OS12

    @property
    def unit(self) -> Unit:
        """As much of a device as the client looks at."""
        persona = derive_persona(1, 0, firmware=self.firmware, unit_id=UnitId("020000000001"))
        return cast("Unit", SimpleNamespace(persona=persona, firmware=self.firmware, tell=self._tell))

    def _tell(self, kind: Kind, text: str, **data: Any) -> None:
        self.told.append(Happening(kind, text, data))

    def client(self, **how: Any) -> DeviceDhcp:
        """A client that has not asked yet."""
        return DeviceDhcp(self.runner, Addressing(relay=RELAY, **how), on_options=self.options.append)

    @property
    def reasons(self) -> list[str]:
        """Why, of all that was told."""
        return [str(one.data["reason"]) for one in self.told]

    def heard(self, kind: MessageType) -> list[Any]:
        """What the server heard."""
        return [message for message in self.server.tiny.heard if message.kind is kind]


@asynccontextmanager
async def lab(server: MemoryServer | None = None) -> AsyncIterator[Lab]:
    """A server and a runner on the memory network."""
    server = server or MemoryServer(TinyServer(options=OPTIONS))
    async with trio.open_nursery() as nursery:
        door = await relayed(MemoryNetwork(latency=0.01), nursery, server)
        clock = VirtualClock(datetime(2026, 11, 22, tzinfo=UTC))
        async with open_runner(door, clock, chance=random.Random(1).random) as runner:
            yield Lab(runner, server)
        nursery.cancel_scope.cancel()


async def test_lease_is_kept_renewed_and_given_back(autojump_clock: MockClock) -> None:
    """Asked once; renewed while the device lives; at the end the server has its address back."""
    async with lab() as made:
        client = made.client()
        for _ in range(2):
            await client.ensure(made.unit)
        heard = client.heard()
        assert isinstance(heard, Heard)
        assert OPTIONS[0] in heard.options
        assert ["leased"] == made.reasons
        await trio.sleep(3600)
        assert {"leased", "renewed"} == set(made.reasons)

        client.leave(made.unit, release=True)
        await trio.sleep(1)
        assert ("released", {}) == (made.reasons[-1], made.server.tiny.leases)
        assert isinstance(client.heard(), str)
        assert len(made.options) == len(made.reasons) - 1


async def test_each_boot_asks_anew(autojump_clock: MockClock) -> None:
    """After a reboot for the same address, after a shutdown for any; with the firmware of that boot (D2, D3)."""
    async with lab() as made:
        client = made.client()
        await client.ensure(made.unit)
        client.leave(made.unit, release=False)
        await client.ensure(made.unit)
        assert 1 == len(made.heard(MessageType.DISCOVER))
        assert ["leased", "leased"] == made.reasons

        client.leave(made.unit, release=True)
        made.firmware = FirmwareVersion(11, 3, 500)
        await client.ensure(made.unit)
        new, old = made.heard(MessageType.DISCOVER)
        assert (True, False) == (bool(new.get(Code.VENDOR_CLASS)), bool(old.get(Code.VENDOR_CLASS)))
        asked = [set(message.get(Code.PARAMETER_LIST).value) & {43, 224, 226} for message in (new, old)]
        assert [{43, 224, 226}, {224}] == asked


async def test_static_addressing(autojump_clock: MockClock) -> None:
    """An INFORM for options, nothing leased, asked once."""
    async with lab() as made:
        client = made.client(static=STATIC)
        for _ in range(2):
            await client.ensure(made.unit)

        assert ["static", "informed"] == made.reasons
        assert ([], 1, {}) == (
            made.heard(MessageType.DISCOVER),
            len(made.heard(MessageType.INFORM)),
            made.server.tiny.leases,
        )
        assert isinstance(client.heard(), Heard)
        client.leave(made.unit, release=True)
        assert ["static", "informed"] == made.reasons


async def test_no_offer(autojump_clock: MockClock) -> None:
    """The reason is told and kept, and the next try asks again; with a fallback the options come by INFORM."""
    async with lab(MemoryServer(TinyServer(options=OPTIONS), pool=0)) as made:
        client = made.client(patience=5)
        for _ in range(2):
            await client.ensure(made.unit)
            assert "nobody offered an address" in str(client.heard())
        assert ["nobody-offered"] * 2 == made.reasons

        client.leave(made.unit, release=True)
        made.told.clear()
        client = made.client(patience=5, fallback=STATIC)
        await client.ensure(made.unit)
        assert ["nobody-offered", "static", "informed"] == made.reasons
        assert isinstance(client.heard(), Heard)


async def test_nobody_at_all(autojump_clock: MockClock) -> None:
    """Then there is an address and there are no options."""
    server = MemoryServer(TinyServer(options=OPTIONS))
    server.tiny.silent = True
    async with lab(server) as made:
        client = made.client(patience=5, fallback=STATIC)
        await client.ensure(made.unit)

        assert ["nobody-offered", "static", "not-informed"] == made.reasons
        assert "nobody answered the request for options" == client.heard()


async def test_refusals_and_loss(autojump_clock: MockClock) -> None:
    """A NAK has the server's words; a lease that runs out is told and no longer counts."""
    async with lab(MemoryServer(TinyServer(options=OPTIONS, refuses=True))) as made:
        client = made.client(patience=5)
        await client.ensure(made.unit)
        assert {"refused"} == set(made.reasons)
        assert any("not here" in one.text for one in made.told)
        client.leave(made.unit, release=True)

        made.server.tiny.refuses = False
        await client.ensure(made.unit)
        made.server.tiny.silent = True
        await trio.sleep(4000)
        assert "lost" in made.reasons
        assert "was lost: expired" in str(client.heard())
        made.server.tiny.silent = False
        await client.ensure(made.unit)
        assert isinstance(client.heard(), Heard)


async def test_broken_door(autojump_clock: MockClock) -> None:
    """What cannot be sent is told, and the device goes on without options."""
    async with lab() as made:
        made.runner.failure = DatagramError("no route")
        client = made.client()
        await client.ensure(made.unit)

        assert ("DHCP cannot be asked: no route", ["failed"]) == (client.heard(), made.reasons)


async def test_own_codes_are_asked_for(autojump_clock: MockClock) -> None:
    """The options of OS 12.7.2, with codes that a user gave (D11)."""
    async with lab() as made:
        await made.client(extra=ExtraCodes(port=240)).ensure(made.unit)
        (asked,) = made.heard(MessageType.DISCOVER)

        assert 240 in asked.get(Code.PARAMETER_LIST).value
