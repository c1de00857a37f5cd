# SPDX-License-Identifier: Apache-2.0
"""Records of fleet runs that never were: a small storm in virtual time, from a seed."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from umslab_agent.fleet.blame import Way
from umslab_agent.fleet.measured import Condition, Step
from umslab_agent.fleet.recorder import Health, Recorder
from umslab_agent.fleet.report import Backend, Machine, PlanIdentity, RunReport, ShardRun, judge_thresholds
from umslab_protocol.values.failure import Contact, Failure, Phase, Reason, Seen

if TYPE_CHECKING:
    from umslab_agent.fleet.measured import Measured

START = 1000.0
MACHINE = Machine("Linux 6.1 x86_64", 2, 4 * 1024**3, "3.11.7", "OpenSSL 3.0.22", "0.3.0")
UMSLAB = Backend("127.0.0.1:8443", "umslab", "0.3.0")
BUSY = Failure(
    Phase.CONNECT,
    Reason.BUSY,
    "HTTP 503: the server is busy",
    "wait",
    5.0,
    Seen(Contact.ANSWERED, 503, "umslab/0.3", "02-1"),
)
REFUSED = Failure(Phase.CONNECT, Reason.UNREACHABLE, "nothing listens there", "start it", seen=Seen(Contact.REFUSED))
GATEWAY = Failure(
    Phase.CACERTS, Reason.BUSY, "HTTP 502: Bad Gateway", "", seen=Seen(Contact.ANSWERED, 502, "nginx/1.22")
)


def storm(
    *, devices: int = 60, seed: int = 1, ramp: float = 20.0, cpu: float = 0.5, outage: bool = True, shard: int = 1
) -> Measured:
    """A ramp, and a loss of all sessions after it, in order of time."""
    chance = random.Random(seed)
    recorder = Recorder(devices=devices, start=START, way=Way(product="umslab"), shard=shard)
    happened: list[tuple[float, int, str]] = []
    for number in range(devices):
        happened.append((ramp * number / devices, number, "arrives"))
        if outage:
            happened.append((ramp + 20 + chance.random(), number, "lost"))
    happened += [(at, -1, "sample") for at in range(int(ramp) + 60)]
    happened += [(0.0, -2, "onboard"), (ramp + 20, -2, "restart"), (ramp + 60, -2, "drain")]
    for at, number, what in sorted(happened):
        now = START + at
        if what == "sample":
            recorder.sampled(Health(cpu * (0.6 + 0.4 * chance.random()), chance.random() * 0.02, 60_000_000, 80), now)
        elif number == -2:
            recorder.begin_phase(what, now)
        elif what == "arrives":
            _arrive(recorder, chance, now)
        else:
            _lose(recorder, chance, now)
    for _ in range(recorder.levels[Condition.MANAGED]):
        recorder.moved(Condition.MANAGED, Condition.STOPPED, START + ramp + 60.5)
    return recorder.finish(START + ramp + 61)


def _arrive(recorder: Recorder, chance: random.Random, intended: float) -> None:
    now = intended + chance.random() * 0.01
    recorder.arrived(intended, now)
    recorder.moved(Condition.PLANNED, Condition.ONBOARDING, now)
    if chance.random() < 0.1:
        recorder.failed(chance.choice([BUSY, GATEWAY]), now)
    moment = now
    for step in (Step.TCP, Step.TLS, Step.CACERTS, Step.ENROL, Step.WEBSOCKET, Step.SETTINGS):
        took = chance.lognormvariate(-5.5 + list(Step).index(step) / 3, 0.5)
        recorder.step(step, moment, moment + took, intended=intended if step is Step.TCP else None)
        moment += took
    recorder.moved(Condition.ONBOARDING, Condition.CONNECTED, moment)
    recorder.moved(Condition.CONNECTED, Condition.MANAGED, moment)
    recorder.managed(intended, moment, first=True)


def _lose(recorder: Recorder, chance: random.Random, now: float) -> None:
    recorder.moved(Condition.MANAGED, Condition.OFFLINE, now)
    recorder.failed(REFUSED, now + 1)
    back = now + 2 + chance.expovariate(0.3)
    recorder.moved(Condition.OFFLINE, Condition.MANAGED, back)
    recorder.managed(now, back, first=False)


def run_report(
    measured: Measured | None = None,
    *,
    number: int = 1,
    of: int = 1,
    backend: Backend = UMSLAB,
    thresholds: tuple[str, ...] = (),
    retry: str = "exponential 1-300 s, jitter 0.5",
) -> RunReport:
    """The record of one shard."""
    measured = measured or storm()
    seconds = measured.seconds
    return RunReport(
        plan=PlanIdentity("ab" * 32, "server-restart", 1, 60 * of, ["onboard", "restart", "drain"], retry),
        of_shards=of,
        shards=[ShardRun(number, f"2026-01-0{number}T08:00:00Z", seconds, MACHINE)],
        backend=backend,
        measured=measured,
        thresholds=judge_thresholds(list(thresholds), measured),
    )
