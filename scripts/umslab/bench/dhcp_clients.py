# SPDX-License-Identifier: Apache-2.0
"""The worker of `scripts/bench dhcp`: our simulated clients, in relay mode, as `umslab dhcp lease` runs them."""

from __future__ import annotations

import json
import random
import sys
import time
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Any

import trio

from umslab.bench.dhcp_lab import CLIENT, SERVER
from umslab.bench.worker import say
from umslab_protocol.machines.dhcp_requests import Relay, igel_identity
from umslab_protocol.values.firmware import DEFAULT_FIRMWARE, FirmwareVersion
from umslab_protocol.values.unit_id import MacAddress
from umslab_protocol.wire.dhcp import SERVER_PORT
from umslab_runtime.clock import SystemClock
from umslab_runtime.dhcp_door import UdpDoor
from umslab_runtime.dhcp_runner import Outcome, open_runner
from umslab_runtime.net_trio import TrioNetwork
from umslab_runtime.policy import TargetPolicy

if TYPE_CHECKING:
    from pathlib import Path


def connect(folder: Path) -> None:
    """Do what the parent says."""
    del folder
    for line in sys.stdin:
        order = json.loads(line)
        say(**trio.run(_lease, order["count"], order["first_mac"]))


async def _lease(count: int, first_mac: int) -> dict[str, Any]:
    """Lease with so many clients that nobody has seen before, and keep the leases."""
    relay = Relay(server=IPv4Address(SERVER), giaddr=IPv4Address(CLIENT))
    firmware = FirmwareVersion.parse(str(DEFAULT_FIRMWARE))
    identities = [
        igel_identity(MacAddress(f"{first_mac + number:012X}"), firmware, relay=relay) for number in range(count)
    ]
    door = UdpDoor(await TrioNetwork(TargetPolicy(namespace=True)).udp(CLIENT, SERVER_PORT))
    async with open_runner(door, SystemClock(), chance=random.Random(first_mac).random) as runner:  # noqa: S311
        seats = [runner.add(identity) for identity in identities]
        began, cpu = time.monotonic(), time.process_time()
        await runner.lease(seats)
        seconds, cpu = time.monotonic() - began, time.process_time() - cpu
    return {"leased": runner.outcomes[Outcome.LEASED], "seconds": seconds, "cpu": cpu}
