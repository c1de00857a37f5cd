# SPDX-License-Identifier: Apache-2.0
"""What a plan needs of the machine that runs it, what does not fit, and what to change; before anything runs.

The constants were measured on two cores with Python 3.11 and OpenSSL 3.0, server and fleet on the same machine. Memory
and processor time are those of a `fleet run` of 19,000 P-256 devices at 55 arrivals a second, as /proc tells them: the
processor time until all were managed, divided by 19,000. Keys: 5 to 300 of each type made one after the other. The
machine did 300 bare mutual handshakes a second; one that does more needs less time here. `scripts/bench fleet`
measures memory and processor time of a device anew.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from umslab_agent.fleet.arrivals import busiest_second
from umslab_certs.keys import KeyType

if TYPE_CHECKING:
    from umslab_agent.fleet.plan import Plan

MOST_DESCRIPTORS = 20_000
"""Of one process, where the system sets no lower limit."""
SPARE_DESCRIPTORS = 100
"""For everything but connections."""
PORTS_OF_AN_ADDRESS = 28_000
"""Linux lends 32768 to 60999 to callers."""
PORTS = "ports a source address"
"""The name of that need."""
BASE_BYTES = 75 * 1024 * 1024
"""A process without a device."""
DEVICE_BYTES = 50 * 1024
"""A managed idle device, TLS and its place in the plan included: measured were 46 KiB."""
OS11_DEVICE_BYTES = 45 * 1024
"""A managed idle OS 11 device, which has no connection, but listens: measured were 42 KiB."""
ONBOARD_SECONDS = 0.017
"""CPU on our side for a device that comes on board: three connections."""
KEY_SECONDS = {
    KeyType.P256: 0.0002,
    KeyType.P384: 0.0007,
    KeyType.P521: 0.001,
    KeyType.RSA2048: 0.05,
    KeyType.RSA3072: 0.17,
    KeyType.RSA4096: 0.5,
}
"""CPU for one key and its certificate request, on average: the search for primes is a matter of luck."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What there is."""

    cores: int
    memory_bytes: int
    """Free for use."""
    descriptors: int = MOST_DESCRIPTORS
    """That one process may open."""
    ports: int = PORTS_OF_AN_ADDRESS


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """One resource."""

    name: str
    needed: float
    available: float
    unit: str
    advice: str
    """What to change when it does not fit."""
    hard: bool = True
    """Without it a run cannot be; otherwise it is only another run than the planned one."""

    @property
    def fits(self) -> bool:
        """Whether there is enough."""
        return self.needed <= self.available


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a plan needs."""

    processes: int
    keys: dict[str, int]
    """How many of which type."""
    key_seconds: float
    """On all cores together, before the run begins; nothing where `--state` has them."""
    cpu_seconds: float
    """For all to come on board."""
    needs: tuple[Need, ...]
    os11: int
    """Devices of OS 11 among them."""

    @property
    def fits(self) -> bool:
        """Whether the machine can carry it."""
        return all(need.fits for need in self.needs)


def estimate(plan: Plan, machine: Machine, *, processes: int = 1) -> Estimate:
    """Return what this plan, or shard of one, needs when so many processes share it."""
    runs = plan.devices
    os11 = sum(device.os11 for device in runs)
    keys = Counter(device.key_type for device in runs)
    key_seconds = sum(KEY_SECONDS[key_type] * count for key_type, count in keys.items()) / machine.cores
    count = len(runs)
    memory = processes * BASE_BYTES + (count - os11) * DEVICE_BYTES + os11 * OS11_DEVICE_BYTES
    descriptors = -(-(count + os11) // processes)  # an OS 11 device listens while it calls
    busiest = busiest_second([device.arrival for device in runs])
    speed = min(processes, machine.cores) / ONBOARD_SECONDS
    wanted = -(-(count + os11) // max(1, machine.descriptors - SPARE_DESCRIPTORS))
    per_address = Counter(device.address for device in runs)
    # Without addresses each process calls from one of its own, when the server is on this machine.
    per_address[""] = -(-per_address[""] // processes)
    return Estimate(
        processes=processes,
        keys={str(key_type): number for key_type, number in sorted(keys.items())},
        key_seconds=key_seconds,
        cpu_seconds=count * ONBOARD_SECONDS,
        os11=os11,
        needs=(
            Need(
                name="descriptors a process",
                needed=descriptors + SPARE_DESCRIPTORS,
                available=machine.descriptors,
                unit="",
                advice=f"--processes {wanted}, or raise the limit (ulimit -n)",
            ),
            Need(
                name=PORTS,
                needed=max(per_address.values()),
                available=machine.ports,
                unit="",
                advice='more source addresses, such as addresses = ["127.1.0.0/24"], or more --processes',
            ),
            Need(
                name="memory",
                needed=memory,
                available=machine.memory_bytes,
                unit="bytes",
                advice=f"at most {max(0, machine.memory_bytes - processes * BASE_BYTES) // DEVICE_BYTES} devices here; "
                "the rest on another machine with --shard",
            ),
            Need(
                name="arrivals in the busiest second",
                hard=False,
                needed=busiest,
                available=speed,
                unit="",
                advice="a longer --ramp or a lower --rate"
                + (f", or --processes {machine.cores}" if processes < machine.cores else "")
                + ": otherwise this machine is the bottleneck, not the server",
            ),
        ),
    )
