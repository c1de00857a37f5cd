# SPDX-License-Identifier: Apache-2.0
"""OS 11 devices that answer online checks by hand, on the memory network, and the service that asks them."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import trio

from umslab_protocol.wire.probes import PROBE_PORT, read_probe, write_online_answer
from umslab_runtime.net_memory import MemoryNetwork
from umslab_runtime.streams import Address
from umslab_server import registry
from umslab_server.config import OnlineCheckConfig
from umslab_server.online_check import OnlineChecks

from .parts import Office, open_office, unit_id

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from umslab_runtime.udp import UdpEndpoint

NAMES = [f"127.3.0.{number}" for number in range(1, 11)]


@dataclass
class Neighbourhood:
    """Devices 1 to 10, each with an address of its own: `127.3.0.N`."""

    office: Office
    network: MemoryNetwork
    checks: OnlineChecks
    silent: set[int] = field(default_factory=set)
    """Those that do not answer."""
    asked: list[tuple[float, int]] = field(default_factory=list)
    """When which was asked."""

    async def add(self, *numbers: int, **values: Any) -> None:
        """Registered OS 11 devices."""
        for number in numbers:
            row = {"generation": "11", "last_ip": NAMES[number - 1], **values}

            def work(writer: Any, number: int = number, row: dict[str, Any] = row) -> None:
                registry.insert(writer, unit_id(number), registered_at=writer.stamp)
                registry.update(writer, unit_id(number), **row)
                writer.event("device-registered", actor="test", unit_id=unit_id(number))

            await self.office.store.change(work)

    async def state(self, number: int) -> str:
        """The state of a device as people see it."""
        return (await self.office.registry.show(unit_id(number))).state

    async def told(self) -> list[tuple[str, str]]:
        """What the feed says of who is there."""
        events = await self.office.events("device-reachable", "device-unreachable")
        return [(event.kind.removeprefix("device-"), event.unit_id or "") for event in events]

    async def answer(self, endpoint: UdpEndpoint) -> None:
        """Be the devices."""
        while True:
            received = await endpoint.receive()
            probe = read_probe(received.payload)
            if probe.unit_id is None:
                continue  # a scan
            number = NAMES.index(received.destination) + 1
            self.asked.append((trio.current_time(), number))
            if probe.unit_id == unit_id(number) and number not in self.silent:
                answer = write_online_answer(probe.unit_id, probe.nonce)
                to = Address(received.source.host, probe.reply_port)
                endpoint.send_to(answer, to, source=received.destination)


@asynccontextmanager
async def open_neighbourhood(
    path: Path, *, latency: float = 0.01, asks: bool = True, **config: Any
) -> AsyncIterator[Neighbourhood]:
    """Open services and devices; without `asks` the online check is off. Doing so again is a restart."""
    network = MemoryNetwork(latency=latency)
    devices = await network.host("devices", *NAMES).udp("", PROBE_PORT, interface="lo")
    async with open_office(path) as office, trio.open_nursery() as nursery:
        checks = OnlineChecks(office.store, office.presence, config=OnlineCheckConfig(**config), clock=office.clock)
        here = Neighbourhood(office, network, checks)
        nursery.start_soon(here.answer, devices)
        if asks:
            checks.open(await network.host("ums").udp("", 0), os.urandom)
            nursery.start_soon(checks.carry)
            nursery.start_soon(checks.run)
        yield here
        nursery.cancel_scope.cancel()
