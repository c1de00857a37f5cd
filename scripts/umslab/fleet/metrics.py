# SPDX-License-Identifier: Apache-2.0
"""What a running fleet tells Prometheus, on a port of its own on loopback; `docs/fleets.md` prints the table.

Nothing is counted for it but the lag of the event loop: a scrape reads what is recorded anyway, of every process.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import trio

from umslab import __version__
from umslab.fleet.counts import Counts
from umslab_agent.fleet.measured import Condition
from umslab_runtime.clock import SystemClock
from umslab_runtime.control import ControlError
from umslab_runtime.metrics import (
    counter,
    counters,
    gauge,
    gauges,
    histogram,
    histograms,
    process_collector,
    serve_metrics,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator

    from prometheus_client import Metric

    from umslab.fleet.steering import Answer
    from umslab_runtime.network import Listener

SERVER_NAME = f"umslab/{__version__} (simulation; not IGEL)"


@asynccontextmanager
async def measured_at(listener: Listener, answer: Answer) -> AsyncIterator[None]:
    """Serve metrics on this listener meanwhile; `answer` is asked for the counts of the whole fleet."""
    metrics = FleetMetrics(answer)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(
            lambda: serve_metrics(listener, metrics.collect, clock=SystemClock(), server_name=SERVER_NAME)
        )
        yield
        nursery.cancel_scope.cancel()


@dataclass(frozen=True)
class FleetMetrics:
    """Where to look."""

    answer: Answer

    async def collect(self) -> Iterable[Metric]:
        """Look at everything."""
        try:
            counts = msgspec.convert(await self.answer("counts", {}), Counts)
        except ControlError:
            counts = None  # its keys are being made, or it has just ended
        return list(_families(counts))


def _families(counts: Counts | None) -> Iterator[Metric]:
    yield gauges("umslab_build_info", "Always 1; the label has the version.", "version", {__version__: 1})
    if counts is not None:
        yield from _run(counts)
        yield from _processes(counts)
    yield from process_collector()


def _run(counts: Counts) -> Iterator[Metric]:
    sessions = sum(counts.devices.get(one, 0) for one in (Condition.CONNECTED, Condition.MANAGED))
    yield gauges("umslab_fleet_phase", "1 for the phase that is under way.", "phase", {counts.phase: 1})
    yield gauges("umslab_fleet_devices", "Devices by condition.", "condition", counts.devices)
    yield gauge("umslab_fleet_sessions", "Devices with a management session.", sessions)
    yield counter("umslab_fleet_devices_managed", "Devices that were managed at least once.", counts.managed)
    yield gauge("umslab_fleet_arrivals_intended", "Devices that were to have arrived by now.", counts.due)
    yield counter("umslab_fleet_arrivals", "Devices that have arrived.", counts.arrived)
    yield gauge("umslab_fleet_arrivals_paused", "1 while somebody holds arrivals back.", counts.paused)
    yield histograms("umslab_fleet_step_seconds", "Latency of a step from its intended start.", "step", counts.steps)
    causes = [((side, phase, reason), times) for side, phase, reason, times in counts.failures]
    yield counters("umslab_fleet_failures", "Failed tries by cause.", ("side", "phase", "reason"), causes)


def _processes(counts: Counts) -> Iterator[Metric]:
    each = counts.processes.items()
    yield counters(
        "umslab_fleet_cpu_seconds",
        "CPU time of each process that runs devices.",
        ("process",),
        [((number,), one.cpu_seconds) for number, one in each],
    )
    yield gauges(
        "umslab_fleet_resident_memory_bytes",
        "Resident memory of each.",
        "process",
        {number: one.memory for number, one in each},
    )
    descriptors = {number: one.descriptors for number, one in each}
    yield gauges("umslab_fleet_open_fds", "Open descriptors of each.", "process", descriptors)
    yield histogram(
        "umslab_event_loop_lag_seconds", "How late the event loops woke from a short sleep, all together.", counts.lag
    )
