# SPDX-License-Identifier: Apache-2.0
"""`scripts/bench dhcp`: leases that our simulated clients get from Kea in relay mode, against perfdhcp's.

Both ask the same Kea, on the same link between two network namespaces, for the same number of clients with MAC
addresses that Kea has not seen, turn by turn. They are not the same kind of load. Ours are whole clients, `AT_ONCE` of
which ask at the same time, each with its timers and the options of IGEL OS; the next begins when one has its lease.
perfdhcp sends from templates at a fixed rate, whatever comes back; its rate is the best at which at most one in a
hundred exchanges is lost. All three share the cores of the machine: what a client computes is missing to Kea.
"""

from __future__ import annotations

import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from umslab.bench.dhcp_lab import POOL_SIZE, Lan, kea, lan, perfdhcp
from umslab.bench.processes import Worker
from umslab.bench.report import Measure

if TYPE_CHECKING:
    from collections.abc import Callable

FIRST_MAC = 0x02_00_00_00_00_00
BLOCK = 1 << 24
"""Addresses for one turn of one contender."""
FIRST_RATE = 250.0


@dataclass(frozen=True)
class Turn:
    """How long all of our clients took, in seconds, and how long of it they computed."""

    seconds: float
    cpu: float


def run(*, count: int, rounds: int, progress: Callable[[str], None]) -> list[Measure]:
    """Run the benchmark with `count` clients a turn; return its measures, which have no target."""
    ours: list[Turn] = []
    theirs: list[float] = []
    for number in range(rounds):
        first_mac = FIRST_MAC + 2 * number * BLOCK
        with tempfile.TemporaryDirectory() as folder, lan() as where:
            with kea(where, Path(folder)):
                progress(f"round {number + 1} of {rounds}: {count} clients of umslab")
                ours.append(_product(where, Path(folder), count, first_mac))
            with kea(where, Path(folder)):
                progress(f"round {number + 1} of {rounds}: perfdhcp")
                theirs.append(perfdhcp(where, count=count, first_mac=first_mac + BLOCK, start=FIRST_RATE))
    rates = [count / one.seconds for one in ours]
    computing, passing = ([one.cpu * 1e3 / count for one in ours], [one.seconds * 1e3 / count for one in ours])
    return [
        _measure("leases, four messages each", "1/s", rates, "perfdhcp", theirs),
        _measure("a lease: computing of the client", "ms", computing, "all of it", passing),
    ]


def _product(where: Lan, folder: Path, count: int, first_mac: int) -> Turn:
    worker = Worker("dhcp_clients-devices", folder, namespace=where.client)
    try:
        worker.do("lease", count=min(count, 100), first_mac=first_mac + BLOCK // 2)  # to warm up
        done = worker.do("lease", count=count, first_mac=first_mac)
    finally:
        worker.stop()
    if done["leased"] != count:
        raise SystemExit(f"only {done['leased']} of {count} clients got a lease; Kea has {POOL_SIZE}")
    return Turn(done["seconds"], done["cpu"])


def _measure(name: str, unit: str, ours: list[float], against: str, theirs: list[float]) -> Measure:
    ratios = [one / other if other else 0.0 for one, other in zip(ours, theirs, strict=True)]
    return Measure(
        name, unit, statistics.median(ours), against, statistics.median(theirs), statistics.median(ratios), None
    )
