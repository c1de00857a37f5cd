# SPDX-License-Identifier: Apache-2.0
"""`scripts/bench sweep`: online checks of ten thousand devices, against the bare drain loop of house.md section 9.

The devices are in processes of their own, each on its own address of 127.0.0.0/8. The bare loop is the least that
Python can do: two plain sockets drained in a loop, no event loop, no policy, one nonce for all. Rounds alternate. Then
the product alone: a flood of forged answers, and loss in both directions with a trace of what was lost.
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from umslab.bench.processes import Worker
from umslab.bench.report import Measure, Target
from umslab_protocol.values.unit_id import UnitId

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_RATIO = 2.0
FORGED = 100_000
LOSS = 0.05
LOSS_TRIES = 3
MAX_GROWTH_BYTES = 16 << 20


def address(index: int) -> str:
    """The address of the device with this index."""
    return f"127.{1 + index // 62_500}.{index // 250 % 250}.{1 + index % 250}"


def unit_id(index: int) -> UnitId:
    """Its unit ID."""
    return UnitId(f"0200{index:08X}")


def run(*, count: int, rounds: int, progress: Callable[[str], None]) -> list[Measure]:
    """Run the benchmark with `count` devices; return its measures with their targets."""
    with tempfile.TemporaryDirectory() as name:
        roles = ("product_sweep-server", "product_sweep-devices", "bare_sweep-server", "bare_sweep-devices")
        workers = [Worker(role, Path(name)) for role in roles]
        try:
            return _measure(workers, count, rounds, progress)
        finally:
            for worker in reversed(workers):
                worker.stop()


def _measure(workers: list[Worker], count: int, rounds: int, progress: Callable[[str], None]) -> list[Measure]:
    server, devices, bare_server, bare_devices = workers
    port, bare_port = devices.do("open", count=count)["port"], bare_devices.do("open", count=count)["port"]
    reply_port = server.do("open", count=count, port=port)["port"]
    bare_server.do("open", count=count, port=bare_port)
    ours: list[float] = []
    bare: list[float] = []
    for number in range(rounds + 1):  # the first warms up: addresses are judged, states change
        progress(f"sweep {number} of {rounds}" if number else "warming up")
        done, bare_done = server.do("sweep"), bare_server.do("sweep")
        assert done["online"] == count, done
        assert bare_done["answers"] == count, bare_done
        if number:
            ours.append(count / done["seconds"])
            bare.append(count / bare_done["seconds"])
    progress(f"a flood of {FORGED} forged answers during a sweep")
    flood = _flood(server, devices, reply_port, count)
    progress(f"{LOSS:.0%} loss both ways, {LOSS_TRIES} tries")
    lossy = _lose(server, devices)
    return _measures(ours, bare, flood, lossy)


def _flood(server: Worker, devices: Worker, port: int, count: int) -> dict[str, Any]:
    """Nobody answers, but a hundred thousand forgeries come for the devices that are asked."""
    devices.do("lose", share=1.0)
    server.do("flood", begin=True)
    devices.do("flood", port=port, forged=FORGED, count=count)
    return server.do("flood")


def _lose(server: Worker, devices: Worker) -> dict[str, Any]:
    devices.do("lose", share=LOSS)
    done = server.do("sweep", tries=LOSS_TRIES)
    lost = {device for device, tries in devices.do("trace")["lost"].items() if tries == LOSS_TRIES}
    offline = set(done["missed"])
    return {"wrong": len(offline ^ lost), "offline": len(offline), "lost": len(lost)}


def _measures(ours: list[float], bare: list[float], flood: dict[str, Any], lossy: dict[str, Any]) -> list[Measure]:
    ratio = statistics.median([theirs / mine for mine, theirs in zip(ours, bare, strict=True)])
    forged = flood["verdicts"].get("forged", 0)
    nothing = Target(at_most=0.0)
    return [
        Measure(
            "devices checked",
            "1/s",
            statistics.median(ours),
            "bare drain loop, times its sweep",
            statistics.median(bare),
            ratio,
            Target(at_most=MAX_RATIO),
        ),
        Measure("states changed by the flood", "", flood["changed"], "none", 0, flood["changed"], nothing),
        Measure(
            "memory grown by the flood",
            "KiB",
            flood["grown"] / 1024,
            "bound",
            MAX_GROWTH_BYTES / 1024,
            flood["grown"] / MAX_GROWTH_BYTES,
            Target(at_most=1.0),
        ),
        Measure("offline against the trace of losses", "", lossy["wrong"], "none", 0, lossy["wrong"], nothing),
        Measure("forged answers counted", "", forged, "sent", FORGED, forged / FORGED, None),
        Measure("offline with 5 % loss both ways", "", lossy["offline"], "all tries lost", lossy["lost"], 1.0, None),
    ]
