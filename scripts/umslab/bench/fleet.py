# SPDX-License-Identifier: Apache-2.0
"""`scripts/bench fleet`: storms of managed devices against `umslab serve`, with the bare loops in the same run.

Contenders take turns and ratios are taken within a round, so that a machine that slows down slows down everybody. Both
sides of the product are its own commands and do all of their work: enrolments and sessions are durable, system
information is stored, settings are confirmed; registry, presence and metrics are there; devices keep what they have;
every step is recorded. What a process needs for itself does not count: it is what it needs with few devices.
"""

from __future__ import annotations

import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from umslab.bench.fleet_process import FleetProcess
from umslab.bench.pki import make_identities
from umslab.bench.processes import Worker
from umslab.bench.report import Measure, Target
from umslab.bench.server_process import KEY, ServerProcess, percentile_between
from umslab_agent.fleet.reaching import time_until

if TYPE_CHECKING:
    from collections.abc import Callable

SERVER_MEMORY_RATIO = 1.45
FLEET_MEMORY_RATIO = 1.4
STORM_RATIO = 0.5
MAX_LAG_SECONDS = 0.050
LISTED_WITHIN_SECONDS = 2.0
_WARM_UP = 100
_FEW = 20
"""One in so many devices: those beside which the others are weighed."""
_PARALLEL = 32
_KIB = 1024


@dataclass(frozen=True)
class Run:
    """What the product did in one round, or the bare loops."""

    server_kib: float
    fleet_kib: float
    reconnects: float
    onboardings: float
    lag: float = 0.0
    listed: float = 0.0
    onboarding: tuple[float, float] = (0.0, 0.0)
    """CPU seconds for one device: of the fleet, of the server."""
    reconnecting: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True)
class _Storm:
    """All devices of a fleet have come, and are there."""

    lag: float
    """Of the server meanwhile, 99th percentile, in seconds."""
    cpu: tuple[float, float]
    """Seconds for one device: of the fleet, of the server."""


def _storm(server: ServerProcess, fleet: FleetProcess) -> _Storm:
    fleet.begins(1)
    before = fleet.cpu_seconds(), server.cpu_seconds()
    lag = server.lag()
    fleet.begins(2)
    after = fleet.cpu_seconds(), server.cpu_seconds()
    ours, theirs = ((now - then) / fleet.devices for then, now in zip(before, after, strict=True))
    return _Storm(percentile_between(lag, server.lag(), 99), (ours, theirs))


def _rate(fleet: FleetProcess) -> float:
    """End the fleet; return how many devices became managed a second, from the beginning until all were."""
    report = fleet.finish()
    seconds = time_until(report.measured.phases[0], fleet.devices, 100)
    if seconds is None:
        raise RuntimeError(f"of {fleet.devices} devices only {report.measured.managed_once} were managed")
    return fleet.devices / seconds


def _product(folder: Path, count: int) -> Run:
    few = max(10, count // _FEW)
    with ServerProcess(folder / "server") as server:
        server.ask("keys.create", kind="mass", chosen=KEY)
        with FleetProcess(server, folder / "few", devices=few, first_index=count) as beside:
            beside.begins(2)
            beside.finish()
        with FleetProcess(server, folder / "many", devices=count) as fleet:
            onboarding = _storm(server, fleet)
            onboardings = _rate(fleet)
    # A fresh server, as after a power cut: its memory is that of sessions alone.
    with (
        ServerProcess(folder / "server") as server,
        FleetProcess(server, folder / "few", devices=few, first_index=count) as beside,
    ):
        beside.begins(2)
        resident, own = server.resident(), beside.resident()
        with FleetProcess(server, folder / "many", devices=count) as fleet:
            reconnecting = _storm(server, fleet)
            server_bytes, fleet_bytes = server.resident() - resident, fleet.resident() - own
            listed = server.listing_seconds()
            managed = server.count_managed()
            reconnects = _rate(fleet)
    if managed < count + few:
        raise RuntimeError(f"of {count + few} devices only {managed} are managed")
    return Run(
        server_kib=server_bytes / count / _KIB,
        fleet_kib=fleet_bytes / (count - few) / _KIB,
        reconnects=reconnects,
        onboardings=onboardings,
        lag=max(reconnecting.lag, onboarding.lag),
        listed=listed,
        onboarding=onboarding.cpu,
        reconnecting=reconnecting.cpu,
    )


def _bare(folder: Path, count: int) -> Run:
    server, devices = Worker("bare-server", folder), Worker("bare-devices", folder)
    try:
        port = server.answer()["port"]
        devices.do("connect", port=port, first=0, count=_WARM_UP, parallel=_PARALLEL)
        before = server.do("memory")["memory"], devices.do("memory")["memory"]
        connecting = devices.do("connect", port=port, first=_WARM_UP, count=count, parallel=_PARALLEL)["seconds"]
        after = server.do("memory")["memory"], devices.do("memory")["memory"]
    finally:
        devices.stop()
        server.stop()
    server, devices = Worker("bare_onboard-server", folder), Worker("bare_onboard-devices", folder)
    try:
        order: dict[str, Any] = {"port": server.answer()["port"], "parallel": _PARALLEL}
        devices.do("onboard", first=0, count=_WARM_UP, **order)
        onboarding = devices.do("onboard", first=_WARM_UP, count=count, **order)["seconds"]
    finally:
        devices.stop()
        server.stop()
    return Run(
        server_kib=(after[0] - before[0]) / count / _KIB,
        fleet_kib=(after[1] - before[1]) / count / _KIB,
        reconnects=count / connecting,
        onboardings=count / onboarding,
    )


def run(*, count: int, rounds: int, progress: Callable[[str], None]) -> list[Measure]:
    """Run the benchmark with `count` devices; return its measures with their targets."""
    product: list[Run] = []
    bare: list[Run] = []
    for number in range(rounds):
        with tempfile.TemporaryDirectory() as name:
            loops, managed = Path(name) / "bare", Path(name) / "product"
            loops.mkdir()
            managed.mkdir()
            make_identities(loops, count + _WARM_UP)
            progress(f"round {number + 1} of {rounds}: bare loops, {count} devices")
            bare.append(_bare(loops, count))
            progress(f"round {number + 1} of {rounds}: umslab serve and umslab fleet, {count} devices")
            product.append(_product(managed, count))
    return _measures(product, bare)


def _measures(product: list[Run], bare: list[Run]) -> list[Measure]:
    def median(runs: list[Run], field: str) -> float:
        return float(statistics.median(getattr(one, field) for one in runs))

    def beside(field: str, name: str, unit: str, against: str, target: Target) -> Measure:
        pairs = zip(product, bare, strict=True)
        ratio = statistics.median(getattr(ours, field) / getattr(theirs, field) for ours, theirs in pairs)
        return Measure(name, unit, median(product, field), against, median(bare, field), float(ratio), target)

    def below(field: str, name: str, bound: float) -> Measure:
        worst = max(getattr(one, field) for one in product)
        return Measure(name, "ms", worst * 1000, "bound", bound * 1000, worst / bound, Target(at_most=1.0))

    def cpu(field: str, name: str) -> Measure:
        """Where the time goes; there is no target for it."""
        fleet, server = (statistics.median(getattr(one, field)[side] for one in product) for side in (0, 1))
        return Measure(name, "ms", fleet * 1000, "that of the server", server * 1000, fleet / server, None)

    server, fleet = Target(at_most=SERVER_MEMORY_RATIO), Target(at_most=FLEET_MEMORY_RATIO)
    storm = Target(at_least=STORM_RATIO)
    return [
        beside("server_kib", "server memory per managed idle device", "KiB", "bare loop", server),
        beside("fleet_kib", "fleet memory per managed idle device", "KiB", "bare loop", fleet),
        beside("reconnects", "reconnect storm, to managed", "1/s", "bare connects", storm),
        beside("onboardings", "onboarding storm, to managed", "1/s", "bare three handshakes", storm),
        below("lag", "server event-loop lag, 99th percentile, storms", MAX_LAG_SECONDS),
        below("listed", "ctl devices list", LISTED_WITHIN_SECONDS),
        cpu("onboarding", "CPU of the fleet for an onboarding"),
        cpu("reconnecting", "CPU of the fleet for a reconnect"),
    ]
