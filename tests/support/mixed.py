# SPDX-License-Identifier: Apache-2.0
"""A mixed fleet in virtual time: OS 11 and OS 12 devices, each at an address of its own, and what is told of them when.

Waits of devices are exact here: no share of them is left to chance. Times are virtual seconds since the lab began.
"""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

import trio

from tests.support.lab import EPOCH, QUICK, QUICK_OS11, SERVER, Lab, LabDevice, live, open_lab
from umslab.one_device import DeviceOptions, load_persona, make_device
from umslab_agent.behaviour import DeviceBehaviour
from umslab_agent.happenings import Kind
from umslab_agent.nearby import Whereabouts, open_nearby
from umslab_agent.onboarding import World
from umslab_agent.os11.device import Os11Settings
from umslab_certs.keys import KeyType
from umslab_protocol.errors import RemoteProtocolError
from umslab_protocol.machines.retrying import RetryPolicy
from umslab_protocol.values.firmware import DEFAULT_FIRMWARE, DEFAULT_OS11_FIRMWARE
from umslab_protocol.values.host_port import HostPort
from umslab_protocol.values.unit_id import UnitId
from umslab_protocol.wire.codec import JsonCodec
from umslab_protocol.wire.probes import read_probe
from umslab_runtime.executor import InlineExecutor
from umslab_server.config import EnrolmentConfig, OnlineCheckConfig, ServerConfig, SessionsConfig
from umslab_server.configuration.effective import GLOBAL
from umslab_server.configuration.reconcile import When

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from umslab_agent.living import Change
    from umslab_agent.nearby import Nearby
    from umslab_server.device_views import DeviceView
    from umslab_server.store import Event

LATENCY = 0.001
SOON = 0.1
"""More than any exchange of messages takes here, and less than any timeout."""
WAITS = RetryPolicy(first=1.0, factor=2.0, most=60.0, jitter=0.0)
CHECKS = OnlineCheckConfig(timeout_seconds=0.5, tries=2, interval_seconds=3.0)
SILENCE = CHECKS.timeout_seconds * CHECKS.tries
"""Seconds from the first probe that a silent device does not answer to its being offline."""
SESSIONS = SessionsConfig(ping_seconds=20.0, pong_seconds=5.0)
BOOT_SECONDS = 30.0
KEY = "mixed-fleet"
CONFIG = ServerConfig(
    port=0, certificates=QUICK, os11=QUICK_OS11, names=[SERVER], enrolment=EnrolmentConfig(automatic=True),
    online_check=CHECKS, sessions=SESSIONS,
)  # fmt: skip
_STATES = (
    "device-connected", "device-disconnected", "device-contact", "contact-broken", "device-reachable",
    "device-unreachable", "os11-registered", "device-enrolled", "call-failed", "settings-applied", "device-booted",
)  # fmt: skip
"""Kinds of events that tell of a state, or of what leads to one."""


class Member(LabDevice):
    """A device at an address of its own, and when it was in which state."""

    def __init__(self, lab: Lab, number: int, generation: int) -> None:
        super().__init__(lab.folder(f"{generation}-{number}"))
        self.address = f"127.3.{generation}.{number}"
        self.unit_id = UnitId(f"0200{generation:04d}{number:04d}")
        self.generation = generation
        self.moments: list[float] = []
        """When each change came."""
        self.nearby: Nearby | None = None

    def note(self, change: Change) -> None:
        """Take a change from the device."""
        self.moments.append(trio.current_time())
        super().note(change)

    @property
    def applied(self) -> list[int]:
        """Versions of the settings that were put in effect, one after the other, since it was switched on."""
        return [int(one.data["settings_version"]) for one in self.happenings if one.kind is Kind.SETTINGS]


@dataclass
class Mixed:
    """What `open_mixed` yields."""

    lab: Lab
    members: dict[UnitId, Member] = field(default_factory=dict)
    probes: list[tuple[float, UnitId]] = field(default_factory=list)
    """Who was asked when by the online check."""
    lost: dict[UnitId, int] = field(default_factory=dict)
    """How many of the next probes to a device are lost."""

    # Devices.

    async def switch_on(self, number: int, generation: int) -> Member:
        """Switch a device on, for the first time or again."""
        member = Member(self.lab, number, generation)
        await self.start(member)
        return member

    async def start(self, member: Member) -> None:
        """The same for a device that the test has made up."""
        self.members[member.unit_id] = member
        await self.lab.nursery.start(self._live, member)

    async def on_board(self, number: int, generation: int) -> Member:
        """The same; returns when the device is managed and all is said."""
        member = await self.switch_on(number, generation)
        await member.until_managed()
        await trio.sleep(10)
        return member

    async def _live(self, member: Member, task_status: trio.TaskStatus[None]) -> None:
        lab, os11 = self.lab, member.generation == 11
        assert lab.memory is not None
        network = lab.memory.host(member.address)
        member.folder.path.mkdir(parents=True, exist_ok=True)
        port = lab.config.os11.port if os11 else lab.target.port
        options = DeviceOptions(
            target=HostPort(SERVER, port or _port(lab.ready.os11_addresses[0])),
            trust_mode=lab.token_mode(),
            auth_key=KEY,
            firmware=DEFAULT_OS11_FIRMWARE if os11 else DEFAULT_FIRMWARE,
            unit_id=member.unit_id,
            policy=WAITS,
            behaviour=DeviceBehaviour(boot_seconds=BOOT_SECONDS),
            os11=Os11Settings(key_type=KeyType.P256, listen=member.address, push_port=30_005) if os11 else None,
        )
        world = World(
            network=network, clock=lab.clock, executor=InlineExecutor(), contexts=lab.contexts, codec=JsonCodec(),
            host=lab.host, entropy=os.urandom,
        )  # fmt: skip
        async with open_nearby(network, Whereabouts(address=member.address), checked=os11) as nearby:
            member.nearby = nearby
            persona = load_persona(member.folder, options)
            make = partial(make_device, on_happening=member.happened, nearby=nearby)
            member.device = make(world, member.folder, persona, options, member.note)  # type: ignore[assignment]
            task_status.started()
            await live(member)

    # Trouble.

    def cut(self, *members: Member) -> None:
        """Cut the links of these devices to the server."""
        for member in members:
            self.lab.memory.partition(SERVER, member.address)  # type: ignore[union-attr]

    def mend(self, *members: Member) -> None:
        """Mend them."""
        for member in members:
            self.lab.memory.heal(SERVER, member.address)  # type: ignore[union-attr]

    def reset(self, *members: Member) -> None:
        """Break their TCP connections, as a rebooted firewall does."""
        for member in members:
            self.lab.memory.reset(SERVER, member.address)  # type: ignore[union-attr]

    def loses(self, payload: bytes) -> bool:
        """Note each probe, and lose those that are to be lost."""
        try:
            unit_id = read_probe(payload).unit_id
        except RemoteProtocolError:  # an answer
            return False
        if unit_id is None:
            return False
        self.probes.append((trio.current_time(), unit_id))
        left = self.lost.get(unit_id, 0)
        self.lost[unit_id] = max(0, left - 1)
        return left > 0

    async def until_between_sweeps(self) -> float:
        """Wait until half an interval after the beginning of a sweep; returns when it began."""
        asked, by = len(self.probes), trio.current_time() + CHECKS.interval_seconds
        while len(self.probes) == asked:
            assert trio.current_time() <= by, "no OS 11 device is there to be asked"
            await trio.sleep(LATENCY)
        began = self.probes[asked][0]
        await trio.sleep_until(began + CHECKS.interval_seconds / 2)
        return began

    # What is known.

    async def set(self, **values: str) -> None:
        """Set parameters of the global profile; `_` stands for the dot."""
        settings = {name.replace("_", "."): value for name, value in values.items()}
        await self.lab.services.profiles.edit(GLOBAL, settings, actor="anna", when=When.NOW)

    async def show(self, member: Member) -> DeviceView:
        """What the registry says of a device."""
        return await self.lab.services.registry.show(member.unit_id)

    async def states(self) -> list[str]:
        """The states of all devices, in the order in which they were first switched on."""
        return [(await self.show(member)).state for member in self.members.values()]

    async def told(self, member: Member, *, since: float = 0.0) -> list[tuple[str, float]]:
        """Events that tell of a device's state, and when they were."""
        return [(event.kind, when(event)) for event in await self.events(member) if when(event) >= since]

    async def events(self, member: Member) -> list[Event]:
        """The events themselves."""
        found = await self.lab.services.store.events(0, limit=10_000, unit_id=member.unit_id)
        return [event for event in found if event.kind in _STATES]


def when(event: Event) -> float:
    """Virtual seconds, to a millisecond."""
    return (datetime.fromisoformat(event.at) - EPOCH).total_seconds()


def _port(address: str) -> int:
    return int(address.rpartition(":")[2])


@asynccontextmanager
async def open_mixed(path: Path) -> AsyncIterator[Mixed]:
    """Open a lab whose OS 11 devices register by themselves (A1), and those of OS 12 with a key."""
    async with open_lab(path, config=CONFIG, latency=LATENCY, days=0.02) as lab:
        fleet = Mixed(lab)
        assert lab.memory is not None
        lab.memory.datagrams.loses = fleet.loses
        await lab.mass_key(KEY)
        yield fleet
