# SPDX-License-Identifier: Apache-2.0
"""`scripts/bench fleet`: storms of managed devices against `umslab serve`, with the bare loops in the same run.

Contenders take turns and ratios are taken within a round, so that a machine that slows down slows down everybody. The
product does all of its work: enrolments and sessions are durable, system information is stored, settings are confirmed,
registry, presence and metrics are there. `Fleet` is the seam: what devices do is behind its three methods.
"""

from __future__ import annotations

import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from umslab.bench.managed import KEY
from umslab.bench.pki import make_identities
from umslab.bench.processes import Worker
from umslab.bench.report import Measure, Target
from umslab.bench.server_process import ServerProcess, percentile_between

if TYPE_CHECKING:
    from collections.abc import Callable

MEMORY_RATIO = 1.45
STORM_RATIO = 0.5
MAX_LAG_SECONDS = 0.050
LISTED_WITHIN_SECONDS = 2.0
_WARM_UP = 100
_PARALLEL = 32
_KIB = 1024


class Fleet:
    """The devices of the product, in a process of their own."""

    def __init__(self, folder: Path, server: ServerProcess) -> None:
        (folder / "root.pem").write_bytes(server.root.read_bytes())
        self._server = server
        self._worker = Worker("managed-devices", folder)

    def onboard(self, first: int, count: int) -> float:
        """Let new devices come on board; returns the seconds until all are managed."""
        return self._come(first, count, enrol=True)

    def reconnect(self, first: int, count: int) -> float:
        """Let enrolled devices come back; returns the seconds until all are managed."""
        return self._come(first, count, enrol=False)

    def _come(self, first: int, count: int, *, enrol: bool) -> float:
        answer = self._worker.do(
            "come", port=self._server.port, first=first, count=count, parallel=_PARALLEL, enrol=enrol
        )
        return float(answer["seconds"])

    def stop(self) -> None:
        """Pull all plugs."""
        self._worker.stop()


@dataclass(frozen=True)
class Run:
    """What the product did in one round, or the bare loops."""

    server_kib: float
    reconnects: float
    onboardings: float
    lag: float = 0.0
    listed: float = 0.0


def _product(folder: Path, count: int) -> Run:
    state = folder / "state"
    server = ServerProcess(state)
    fleet = Fleet(folder, server)
    try:
        server.ask("keys.create", kind="mass", chosen=KEY)
        fleet.onboard(0, _WARM_UP)
        before = server.lag()
        onboarding = fleet.onboard(_WARM_UP, count)
        onboarding_lag = percentile_between(before, server.lag(), 99)
    finally:
        fleet.stop()
        server.stop()
    server = ServerProcess(state)  # a fresh process, as after a power cut: its memory is that of sessions alone
    fleet = Fleet(folder, server)
    try:
        fleet.reconnect(0, _WARM_UP)
        before, resident = server.lag(), server.resident()
        reconnecting = fleet.reconnect(_WARM_UP, count)
        lag = percentile_between(before, server.lag(), 99)
        used = server.resident() - resident
        listing = server.listing_seconds()
        listed = server.ask("devices.list")
    finally:
        fleet.stop()
        server.stop()
    managed = [one for one in listed if one["state"] == "online" and one["config_changes"] == "APPLIED" and one["info"]]
    if len(managed) < count + _WARM_UP:
        raise RuntimeError(f"of {count + _WARM_UP} devices only {len(managed)} are managed")
    return Run(used / count / _KIB, count / reconnecting, count / onboarding, max(lag, onboarding_lag), listing)


def _bare(folder: Path, count: int) -> Run:
    server, devices = Worker("bare-server", folder), Worker("bare-devices", folder)
    try:
        port = server.answer()["port"]
        devices.do("connect", port=port, first=0, count=_WARM_UP, parallel=_PARALLEL)
        before = server.do("memory")["memory"]
        connecting = devices.do("connect", port=port, first=_WARM_UP, count=count, parallel=_PARALLEL)["seconds"]
        used = server.do("memory")["memory"] - before
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
    return Run(used / count / _KIB, count / connecting, count / onboarding)


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
            progress(f"round {number + 1} of {rounds}: umslab serve, {count} devices")
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

    memory, storm = Target(at_most=MEMORY_RATIO), Target(at_least=STORM_RATIO)
    return [
        beside("server_kib", "server memory per managed idle device", "KiB", "bare loop", memory),
        beside("reconnects", "reconnect storm, to managed", "1/s", "bare connects", storm),
        beside("onboardings", "onboarding storm, to managed", "1/s", "bare three handshakes", storm),
        below("lag", "server event-loop lag, 99th percentile, storms", MAX_LAG_SECONDS),
        below("listed", "ctl devices list", LISTED_WITHIN_SECONDS),
    ]
