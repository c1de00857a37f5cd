# SPDX-License-Identifier: Apache-2.0
"""Records what happens in a run: cheap on the way (a few microseconds), bounded however many devices, however long.

Pure: every moment is an argument, seconds of one monotonic clock. The engine of the run calls; who wants to watch reads
`levels`, `measured`. An engine does this:

    recorder = Recorder(devices=5000, start=clock.monotonic(), way=Way(proxied=False))
    recorder.begin_phase("onboard", now)
    recorder.arrived(intended, now)                               # a device starts, perhaps late
    recorder.moved(Condition.PLANNED, Condition.ONBOARDING, now)
    recorder.step(Step.TCP, began, now, intended=intended)        # the first step of an arrival
    recorder.step(Step.TLS, began, now)                           # steps that follow another begin when they begin
    recorder.failed(failure, now)                                 # each failed try, with what `Failure.seen` knows
    recorder.managed(intended, now, first=True)                   # the whole way
    recorder.moved(Condition.CONNECTED, Condition.MANAGED, now)
    recorder.sampled(Health(cpu=0.4, lag=0.002, memory=90_000_000, descriptors=600), now)
    recorder.finish(now)

Latency counts from the *intended* start (wrk2's rule): a generator that is late, or holds arrivals back, shows in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from umslab_agent.fleet.blame import Way, attribute
from umslab_agent.fleet.measured import (
    BUSY,
    MOST_PHASES,
    Cause,
    Condition,
    Failures,
    Generator,
    Measured,
    PhaseTimes,
    Step,
    StepTimes,
)
from umslab_agent.fleet.series import Series

if TYPE_CHECKING:
    from umslab_protocol.values.failure import Failure


@dataclass(frozen=True, slots=True)
class Health:
    """How the generator itself fares; a few samples a second are enough."""

    cpu: float
    """Of one processor, since the last sample: 1.0 is all of it."""
    lag: float
    """Seconds the event loop was late."""
    memory: int
    """Resident bytes."""
    descriptors: int
    """Open ones."""


class Recorder:
    """What one process has measured."""

    def __init__(self, *, devices: int, start: float, way: Way | None = None, shard: int = 1) -> None:
        """`devices` are those of this process; `start` is the moment of the plan's time 0."""
        self.way = way or Way()
        self.levels: dict[Condition, int] = dict.fromkeys(Condition, 0)
        """How many devices are in each condition now."""
        self.measured = Measured(
            devices=devices,
            steps={step: StepTimes() for step in Step},
            conditions={condition: Series() for condition in Condition},
            generators=[Generator(shard)],
        )
        self.health: Health | None = None
        """As the generator was at the last look."""
        self.start = start
        """The moment of the plan's time 0."""
        self._failures = Failures(self.measured.failures)
        self.levels[Condition.PLANNED] = devices
        self.measured.conditions[Condition.PLANNED].add(0.0, devices)

    # Arrivals.

    def arrived(self, intended: float, now: float) -> None:
        """A device starts now that was to start at `intended`."""
        arrivals = self.measured.arrivals
        arrivals.intended.add(intended - self.start)
        arrivals.started.add(now - self.start)
        arrivals.late.record(now - intended)

    def missed(self, intended: float) -> None:
        """A device that was to start at `intended` never will: the run ends before."""
        self.measured.arrivals.intended.add(intended - self.start)
        self.measured.arrivals.missed += 1

    # Steps.

    def step(self, step: Step, began: float, now: float, *, intended: float | None = None) -> None:
        """A step is done. `intended` is when it was to begin, for those that a plan or a schedule starts."""
        times = self.measured.steps[step]
        times.service.record(now - began)
        times.latency.record(now - (began if intended is None else intended))

    def managed(self, intended: float, now: float, *, first: bool) -> None:
        """A device is managed; `intended` is when its way was to begin: its arrival, or the loss of its session.

        `first` is true once for each device.
        """
        self.measured.steps[Step.MANAGED].latency.record(now - intended)
        if first:
            self.measured.managed_once += 1

    # States.

    def moved(self, before: Condition, after: Condition, now: float) -> None:
        """A device is in another condition now."""
        if before is after:
            return
        at = now - self.start
        self.levels[before] -= 1
        self.levels[after] += 1
        changes = self.measured.conditions
        changes[before].add(at, -1)
        changes[after].add(at)
        if self.measured.phases:
            phase = self.measured.phases[-1]
            if after is Condition.MANAGED:
                phase.gained.record(at - phase.began)
            elif before is Condition.MANAGED:
                phase.lost.record(at - phase.began)

    def begin_phase(self, name: str, now: float) -> None:
        """The next phase of the plan begins; of more than `MOST_PHASES`, the rest counts to the last."""
        if len(self.measured.phases) < MOST_PHASES:
            began = max(0.0, now - self.start)
            self.measured.phases.append(PhaseTimes(name[:64], began, self.levels[Condition.MANAGED]))

    # Failures.

    def failed(self, failure: Failure, now: float) -> None:
        """A try of a device failed, for good or not."""
        if failure.seen.request:
            self.way.repeats_requests = True
        side = attribute(failure, self.way)
        status = failure.seen.status if failure.seen.status is not None and 100 <= failure.seen.status <= 999 else None
        group = self._failures.group(
            Cause(side, failure.phase, failure.reason, status, failure.vendor_code),
            example=failure.detail,
            hint=failure.hint,
            request=failure.seen.request,
        )
        group.count += 1
        group.over_time.add(now - self.start)

    # The generator.

    def sampled(self, health: Health, now: float) -> None:
        """A look at this process."""
        self.health = health
        at = now - self.start
        generator = self.measured.generators[0]
        generator.samples += 1
        generator.busy += health.cpu > BUSY
        generator.lag.record(health.lag)
        generator.cpu.add(at, round(max(health.cpu, 0.0) * 1000))
        generator.lag_peaks.add(at, round(max(health.lag, 0.0) * 1_000_000))
        generator.memory.add(at, health.memory)
        generator.descriptors.add(at, health.descriptors)

    def finish(self, now: float) -> Measured:
        """The run is over; what was measured."""
        self.measured.seconds = max(0.0, now - self.start)
        return self.measured
