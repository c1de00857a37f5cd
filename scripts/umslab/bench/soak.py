# SPDX-License-Identifier: Apache-2.0
"""`scripts/bench soak`: many devices on one server for a long time, a command to all of them, and a server that dies.

One `umslab serve` and one `umslab fleet run`: devices come at a constant rate, live at the ping schedule, carry out a
command, lose their server by SIGKILL and come back to the next one, spread by chance so that they come at the same
rate. Heartbeats come once an hour, the shortest interval there is (section 9), and up to five minutes later: only a run
of `HEARTBEAT_MINUTES` or more can wait for one of each device.
"""

from __future__ import annotations

import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

from umslab.bench.fleet import LISTED_WITHIN_SECONDS
from umslab.bench.fleet_process import FleetProcess
from umslab.bench.identities import known_identities, planned_identities, wrong_identities
from umslab.bench.report import Measure, Target
from umslab.bench.server_process import KEY, ServerProcess
from umslab_agent.fleet.measured import Step

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from umslab_agent.fleet.report import RunReport

HEARTBEAT_MINUTES = 66
MEMORY_CHANGE = 0.02
"""At most, from the fifth minute on."""
RATE_SLACK = 1.25
"""Reconnects are independent of each other: within a window there are more or less of them by chance."""
WINDOW_SECONDS = 10.0
"""In which reconnects are counted."""
_SETTLED_SECONDS = 300.0
_SAMPLE_SECONDS = 10.0
_HEARTBEATS = ("heartbeat.enabled=true", "heartbeat.interval_hours=1", "heartbeat.offset_minutes=5")
_MIB = 1024 * 1024

Sample = tuple[float, float]
"""Seconds, and what was seen then."""


@dataclass(frozen=True)
class Plan:
    """What is wanted."""

    count: int
    minutes: float
    rate: float
    """Devices a second, when they come and when they come back."""

    @property
    def seconds(self) -> float:
        """How long all devices are there before the command."""
        return self.minutes * 60

    @property
    def spread(self) -> float:
        """Seconds over which devices that have lost their server come back: each waits any part of it."""
        return self.count / self.rate


@dataclass(frozen=True)
class _Quiet:
    """What was seen while all were there."""

    memory: list[Sample]
    heartbeats: float
    listed: float
    wrong_identities: int
    mismatches: float
    """Hellos of another device than the certificate's."""


@dataclass(frozen=True)
class _Return:
    """What was seen after the restart."""

    seconds: float
    """From the server being ready until the last device was managed, or until nobody waited any longer."""
    hellos: list[Sample]
    managed: int
    """As the server knows them: online, described, in step with their settings."""
    mismatches: float
    """Hellos of another device than the certificate's, since the restart."""


def run(*, count: int, minutes: float, rate: float, progress: Callable[[str], None]) -> list[Measure]:
    """Run it; return its measures with their targets."""
    plan = Plan(count, minutes, rate)
    with tempfile.TemporaryDirectory() as name, ExitStack() as running:
        folder = Path(name) / "server"
        server = running.enter_context(ServerProcess(folder, settings=_HEARTBEATS))
        server.ask("keys.create", kind="mass", chosen=KEY)
        fleet = running.enter_context(_fleet(server, Path(name) / "fleet", plan))
        progress(f"{count} devices come on board, {rate:g} a second")
        quiet = _be_there(server, fleet, plan, progress)
        progress("the server is killed, and started again")
        server.kill()
        server = running.enter_context(ServerProcess(folder, port=server.port, settings=_HEARTBEATS))
        back = _come_back(server, fleet, plan, progress)
        report = fleet.finish()
    return _measures(plan, quiet, back, report)


def _fleet(server: ServerProcess, state: Path, plan: Plan) -> FleetProcess:
    return FleetProcess(
        server,
        state,
        devices=plan.count,
        arrivals=("--rate", str(plan.rate)),
        phases=(
            {"kind": "onboard", "within_seconds": 600},
            {"kind": "steady", "seconds": plan.seconds},
            {"kind": "command", "within_seconds": 300},
            {"kind": "steady", "seconds": 86_400},
        ),
        settings=(f'retry={{kind = "flat", seconds = {plan.spread}, jitter = 1.0}}',),
    )


def _be_there(server: ServerProcess, fleet: FleetProcess, plan: Plan, progress: Callable[[str], None]) -> _Quiet:
    """Watch the server while all devices are there, until they have carried the command out."""
    fleet.begins(2)
    memory: list[Sample] = []
    began, told = time.monotonic(), -1
    while not fleet.says("phase 3:", within=min(_SAMPLE_SECONDS, plan.seconds / 30)):
        passed = time.monotonic() - began
        memory.append((passed, server.resident()))
        if passed // 60 > told:
            told = int(passed // 60)
            progress(f"minute {told} of {plan.minutes:g}: the server has {memory[-1][1] / _MIB:.0f} MiB")
    heartbeats = server.received("pushruntime")
    progress("a command for all")
    fleet.begins(4)
    listed = server.listing_seconds()
    progress("the identity of each device, as both sides know it")
    wrong = wrong_identities(planned_identities(fleet.state, plan.count), known_identities(server.control))
    return _Quiet(memory, heartbeats, listed, len(wrong), server.mismatches())


def _come_back(server: ServerProcess, fleet: FleetProcess, plan: Plan, progress: Callable[[str], None]) -> _Return:
    began, told = time.monotonic(), 0.0
    patience = 3 * plan.spread + 120
    hellos: list[Sample] = [(0.0, 0.0)]
    while (managed := fleet.managed()) < plan.count and (passed := time.monotonic() - began) < patience:
        hellos.append((passed, server.received("hello")))
        if passed >= told:
            told = passed + _SAMPLE_SECONDS
            progress(f"second {passed:.0f}: {managed} of {plan.count} devices are managed again")
        fleet.says("phase 5:", within=min(2.0, plan.spread / 20))  # it does not: this waits, and hears when it ends
    seconds = time.monotonic() - began
    hellos.append((seconds, server.received("hello")))
    return _Return(seconds, hellos, server.count_managed(), server.mismatches())


def highest_rate(samples: Sequence[Sample], window: float) -> float:
    """The highest rate of a counter over at least `window` seconds; over all of them when there are fewer."""
    rates = []
    for position, (at, count) in enumerate(samples):
        later = next(((then, more) for then, more in samples[position:] if then - at >= window), None)
        if later is not None:
            rates.append((later[1] - count) / (later[0] - at))
    return max(rates, default=(samples[-1][1] - samples[0][1]) / window)


def highest_change(samples: Sequence[Sample], after: float) -> float:
    """By how much what was seen differs at most from the first look at or after this second, as a share of it."""
    early = len(list(takewhile(lambda sample: sample[0] < after, samples)))
    first, *later = [value for _, value in samples[early:]] or [samples[-1][1]]
    return max((abs(value - first) / first for value in later), default=0.0)


def _measures(plan: Plan, quiet: _Quiet, back: _Return, report: RunReport) -> list[Measure]:
    def of_all(name: str, found: float, target: Target | None = Target(at_least=1.0)) -> Measure:  # noqa: B008 - frozen
        return Measure(name, "", found, "devices", plan.count, found / plan.count, target)

    def below(name: str, unit: str, found: float, bound: float) -> Measure:
        return Measure(name, unit, found, "bound", bound, found / bound, Target(at_most=1.0))

    measured = report.measured
    again = back.seconds / plan.spread
    settled = min(_SETTLED_SECONDS, plan.seconds / 6)
    change = highest_change(quiet.memory, settled)
    peak = highest_rate(back.hellos, min(WINDOW_SECONDS, plan.spread))
    heartbeats = Target(at_least=1.0) if plan.minutes >= HEARTBEAT_MINUTES else None
    return [
        of_all("managed at once", measured.phases[1].managed_before),
        of_all("sessions lost before the restart", _lost(report), Target(at_most=0.0)),
        below(f"change of server memory after {settled:.0f} s", "%", change * 100, MEMORY_CHANGE * 100),
        of_all("heartbeats", quiet.heartbeats, heartbeats),
        of_all("commands answered", measured.steps[Step.COMMAND].latency.count),
        below("ctl devices list", "s", quiet.listed, LISTED_WITHIN_SECONDS),
        Measure("restart, until all are managed", "s", back.seconds, "spread", plan.spread, again, None),
        below("reconnects in the busiest seconds", "1/s", peak, plan.rate * RATE_SLACK),
        of_all("managed and in step after the restart", back.managed),
        of_all("identities that are not the device's own", quiet.wrong_identities, Target(at_most=0.0)),
        of_all("hellos of another device", quiet.mismatches + back.mismatches, Target(at_most=0.0)),
    ]  # fmt: skip


def _lost(report: RunReport) -> int:
    """Sessions that ended while devices came, were there and carried the command out."""
    return sum(phase.lost.count for phase in report.measured.phases[:3])
