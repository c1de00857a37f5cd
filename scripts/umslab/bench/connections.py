# SPDX-License-Identifier: Apache-2.0
"""`scripts/bench connections`: what one connection costs, against a bare loop and against a peer.

Three contenders take turns, each with its server and its devices in processes of their own: the product's connection
path with services that only echo, the bare loop, and `websockets` on asyncio. Turns alternate and ratios are taken
within a round, so that a machine that slows down slows down everybody.
"""

from __future__ import annotations

import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from umslab.bench.pki import make_identities
from umslab.bench.processes import Worker
from umslab.bench.report import Measure, Target

if TYPE_CHECKING:
    from collections.abc import Callable

CONTENDERS = ("product", "bare", "asyncio_peer")
_WARM_UP = 100
_PARALLEL = 32
_KIB = 1024


@dataclass(frozen=True)
class Run:
    """What one contender did in one round."""

    server_kib: float
    device_kib: float
    connects: float
    messages: float


def _measure(contender: str, folder: Path, count: int) -> Run:
    server = Worker(f"{contender}-server", folder)
    devices = Worker(f"{contender}-devices", folder)
    try:
        port = server.answer()["port"]
        devices.do("connect", port=port, first=0, count=_WARM_UP, parallel=_PARALLEL)
        before = server.do("memory")["memory"], devices.do("memory")["memory"]
        seconds = devices.do("connect", port=port, first=_WARM_UP, count=count, parallel=_PARALLEL)["seconds"]
        after = server.do("memory")["memory"], devices.do("memory")["memory"]
        talkers, rounds = min(200, count), 50
        echo = devices.do("echo", devices=talkers, rounds=rounds)["seconds"]
    finally:
        devices.stop()
        server.stop()
    return Run(
        server_kib=(after[0] - before[0]) / count / _KIB,
        device_kib=(after[1] - before[1]) / count / _KIB,
        connects=count / seconds,
        messages=talkers * rounds / echo,
    )


def run(*, count: int, rounds: int, progress: Callable[[str], None]) -> list[Measure]:
    """Run the benchmark with `count` connections a turn; return its measures with their targets."""
    runs: dict[str, list[Run]] = {contender: [] for contender in CONTENDERS}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        progress(f"making {count + _WARM_UP} identities")
        make_identities(folder, count + _WARM_UP)
        for round_number in range(rounds):
            for contender in CONTENDERS:
                progress(f"round {round_number + 1} of {rounds}: {contender}, {count} connections")
                runs[contender].append(_measure(contender, folder, count))
    return _measures(runs)


def _measures(runs: dict[str, list[Run]]) -> list[Measure]:
    def median(contender: str, field: str) -> float:
        return float(statistics.median(getattr(one, field) for one in runs[contender]))

    def ratio(field: str, to: str) -> float:
        pairs = zip(runs["product"], runs[to], strict=True)
        return float(statistics.median(getattr(ours, field) / getattr(theirs, field) for ours, theirs in pairs))

    rows = []
    for field, name, unit, bare_target, peer_target in (
        ("server_kib", "server memory per idle connection", "KiB", Target(at_most=1.25), Target(at_most=1 / 6)),
        ("device_kib", "device memory per idle connection", "KiB", Target(at_most=1.25), Target(at_most=1 / 6)),
        ("connects", "connects", "1/s", Target(at_least=0.8), None),
        ("messages", "300-byte echoes", "1/s", Target(at_least=0.6), None),
    ):
        product = median("product", field)
        rows.append(Measure(name, unit, product, "bare loop", median("bare", field), ratio(field, "bare"), bare_target))
        rows.append(
            Measure(
                name,
                unit,
                product,
                "websockets on asyncio",
                median("asyncio_peer", field),
                ratio(field, "asyncio_peer"),
                peer_target,
            )
        )
    return rows
