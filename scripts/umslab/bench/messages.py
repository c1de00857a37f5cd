# SPDX-License-Identifier: Apache-2.0
"""`scripts/bench messages`: a settings push to all connected devices, and commands, against a bare send loop.

The product does all of its work: the change is durable and every device's acknowledgement is too before it counts. The
bare loop sends messages of the same size over the same kind of connections and counts what comes back. Both have their
server and their devices in processes of their own; pushes alternate, and ratios are taken within a round.
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from umslab.bench.pki import make_identities
from umslab.bench.processes import Worker
from umslab.bench.report import Measure, Target

if TYPE_CHECKING:
    from collections.abc import Callable

PUSH_RATIO = 0.4
MAX_LAG_SECONDS = 0.020


def run(*, count: int, rounds: int, progress: Callable[[str], None]) -> list[Measure]:
    """Run the benchmark with `count` connected devices; return its measures with their targets."""
    with tempfile.TemporaryDirectory() as name:
        product, bare = Path(name) / "product", Path(name) / "bare"
        product.mkdir()
        bare.mkdir()
        progress(f"making {count} identities for the bare loop")
        make_identities(bare, count)
        workers = [
            Worker(role, folder)
            for role, folder in (
                ("product_push-server", product),
                ("product_push-devices", product),
                ("bare_push-server", bare),
                ("bare_push-devices", bare),
            )
        ]
        try:
            return _measure(workers, count, rounds, progress)
        finally:
            for worker in reversed(workers):
                worker.stop()


def _measure(workers: list[Worker], count: int, rounds: int, progress: Callable[[str], None]) -> list[Measure]:
    server, devices, bare_server, bare_devices = workers
    port, bare_port = server.answer()["port"], bare_server.answer()["port"]
    progress(f"enrolling {count} devices")
    server.do("enrol", count=count)
    progress(f"connecting {count} devices of the product")
    devices.do("connect", port=port, count=count)
    server.do("settled", count=count)
    progress(f"connecting {count} devices of the bare loop")
    bare_devices.do("connect", port=bare_port, count=count)
    pushes: list[dict[str, Any]] = []
    bare_pushes: list[float] = []
    for number in range(rounds):
        progress(f"push {number + 1} of {rounds}")
        pushes.append(server.do("push", count=count))
        bare_pushes.append(bare_server.do("push", bytes=pushes[-1]["bytes"])["seconds"])
    progress(f"commands to {count} devices")
    commands = [server.do("command", count=count) for _ in range(rounds)]
    return _measures(count, pushes, bare_pushes, commands)


def _measures(
    count: int, pushes: list[dict[str, Any]], bare_pushes: list[float], commands: list[dict[str, Any]]
) -> list[Measure]:
    def median(values: list[float]) -> float:
        return float(statistics.median(values))

    pushed = [count / one["seconds"] for one in pushes]
    done = [count / one["seconds"] for one in commands]
    bare = [count / seconds for seconds in bare_pushes]
    loop = "bare send loop"
    rows = [
        Measure(
            "settings pushed and confirmed",
            "1/s",
            median(pushed),
            loop,
            median(bare),
            median([ours / theirs for ours, theirs in zip(pushed, bare, strict=True)]),
            Target(at_least=PUSH_RATIO),
        ),
        Measure(
            "commands with their results",
            "1/s",
            median(done),
            loop,
            median(bare),
            median([ours / theirs for ours, theirs in zip(done, bare, strict=True)]),
            None,
        ),
    ]
    for name, runs in (("push", pushes), ("commands", commands)):
        lag = max(one["lag"] for one in runs)
        rows.append(
            Measure(
                f"event-loop lag, 99th percentile, {name}",
                "ms",
                lag * 1000,
                "bound",
                MAX_LAG_SECONDS * 1000,
                lag / MAX_LAG_SECONDS,
                Target(at_most=1.0),
            )
        )
    return rows
