# SPDX-License-Identifier: Apache-2.0
"""Whether the generator itself was the bottleneck: then its latencies are its own, and not the server's.

The limits are ours. A process with one event loop that uses more than `BUSY` of a processor has no reserve; a loop that
is late adds that to every latency; and arrivals that come late are another load than the planned one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from umslab_agent.fleet.measured import BUSY
from umslab_agent.fleet.units import duration

if TYPE_CHECKING:
    from umslab_agent.fleet.measured import Generator, Measured

BUSY_SAMPLES = 0.05
"""Share of the samples that may be above `BUSY`."""
LAG_SECONDS = 0.05
"""Of the event loop, at the 99th percentile."""
LATE_SECONDS = 0.1
"""Of the arrivals, at the 99th percentile."""
WATCHED_AFTER = 1.0
"""Seconds: a shorter run may be over before anybody has looked at the generator."""


def bottlenecks(measured: Measured) -> list[str]:
    """Say in sentences what speaks for the generator being the bottleneck; empty when nothing does."""
    found = []
    watched = [generator for generator in measured.generators if generator.samples]
    if not watched and measured.seconds > WATCHED_AFTER:
        found.append("nobody watched the generator")
    for number, generator in enumerate(watched, start=1):
        name = "the generator" if len(watched) == 1 else f"generator {number}"
        found += [f"{name}: {sentence}" for sentence in _of_process(generator)]
    late = measured.arrivals.late
    if late.count and (p99 := late.percentile(99)) > LATE_SECONDS:
        late_by = f"1 % started {duration(p99)} late or more (limit {duration(LATE_SECONDS)})"
        found.append(f"arrivals: {late_by}; or the bound on those outstanding held them back")
    return found


def _of_process(generator: Generator) -> list[str]:
    found = []
    share = generator.busy / generator.samples
    if share > BUSY_SAMPLES:
        found.append(f"more than {BUSY:.0%} of its processor in use in {share:.0%} of the samples")
    if (p99 := generator.lag.percentile(99)) > LAG_SECONDS:
        found.append(f"event loop {duration(p99)} late at the 99th percentile (limit {duration(LAG_SECONDS)})")
    return found
