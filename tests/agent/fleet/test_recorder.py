# SPDX-License-Identifier: Apache-2.0
"""What is recorded is what happened, counted from when it was to begin; nothing grows with devices or time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from tests.support.fleet_runs import run_report, storm
from umslab_agent.fleet.blame import Side, Way
from umslab_agent.fleet.measured import MOST_CAUSES, MOST_PHASES, Condition, Step
from umslab_agent.fleet.recorder import Health, Recorder
from umslab_agent.fleet.report import encode_report
from umslab_protocol.values.failure import Contact, Failure, Phase, Reason, Seen

if TYPE_CHECKING:
    from trio.testing import MockClock

START = 1000.0


def _recorder(devices: int = 3) -> Recorder:
    return Recorder(devices=devices, start=START)


async def test_latencies_are_honest_under_overload(autojump_clock: MockClock) -> None:
    """Coordinated omission: a server that needs 10 ms gets a request every 5 ms from a generator that waits for it.

    The k-th request was to begin at 5 k ms and ends at 10 (k + 1) ms. Its latency is 10 + 5 k ms, though the server
    took 10 ms for each, which is all that a generator sees that counts from when it got round to asking.
    """
    interval, service, requests = 0.005, 0.010, 2_000
    recorder = Recorder(devices=requests, start=trio.current_time())
    begin = trio.current_time()

    for number in range(requests):
        intended = begin + interval * number
        await trio.sleep_until(intended)  # no wait at all when it is late already
        began = trio.current_time()
        recorder.arrived(intended, began)
        await trio.sleep(service)
        recorder.step(Step.ENROL, began, trio.current_time(), intended=intended)

    times = recorder.measured.steps[Step.ENROL]
    for percent in (50.0, 90.0, 99.0, 99.9, 100.0):
        rank = round(requests * percent / 100)
        assert service + interval * (rank - 1) == pytest.approx(times.latency.percentile(percent), rel=0.001)
        assert service == pytest.approx(times.service.percentile(percent), rel=0.001)
    late = recorder.measured.arrivals.late
    assert interval * (requests - 1) == pytest.approx(late.maximum, rel=0.001)


async def test_a_stall_is_everybodys(autojump_clock: MockClock) -> None:
    """A server that hangs for 10 s once, and answers in 1 ms otherwise: a naive generator sees one slow request."""
    interval, requests, stall = 0.01, 3_000, 10.0
    recorder = Recorder(devices=requests, start=trio.current_time())
    begin = trio.current_time()

    for number in range(requests):
        intended = begin + interval * number
        await trio.sleep_until(intended)
        began = trio.current_time()
        await trio.sleep(stall if number == 1_000 else 0.001)
        recorder.step(Step.ENROL, began, trio.current_time(), intended=intended)

    times = recorder.measured.steps[Step.ENROL]
    # 10 s behind, and 9 ms caught up with each request: 1,112 of the 3,000 are late.
    assert 0.001 == pytest.approx(times.service.percentile(99.9), rel=0.001)
    assert 0.001 == pytest.approx(times.latency.percentile(60), rel=0.001)
    assert stall - 0.009 * 300 == pytest.approx(times.latency.percentile(90), abs=0.02)
    assert stall - 0.009 * 30 == pytest.approx(times.latency.percentile(99), abs=0.02)


def test_levels_and_changes() -> None:
    """Each device is in one condition; the series have the changes, and the phase when devices became managed."""
    recorder = _recorder()
    recorder.begin_phase("onboard", START)
    for number in range(3):
        recorder.moved(Condition.PLANNED, Condition.ONBOARDING, START + number)
        recorder.moved(Condition.ONBOARDING, Condition.MANAGED, START + number + 0.5)
    recorder.moved(Condition.MANAGED, Condition.MANAGED, START + 4)
    recorder.begin_phase("storm", START + 5)
    recorder.moved(Condition.MANAGED, Condition.OFFLINE, START + 6)
    measured = recorder.finish(START + 10)

    assert {Condition.MANAGED: 2, Condition.OFFLINE: 1} == {name: n for name, n in recorder.levels.items() if n}
    assert {name: n for name, n in recorder.levels.items() if n} == {
        name: changes.total for name, changes in measured.conditions.items() if changes.total
    }
    assert [("onboard", 0.0, 0), ("storm", 5.0, 3)] == [
        (one.name, one.began, one.managed_before) for one in measured.phases
    ]
    assert [3, 0] == [phase.gained.count for phase in measured.phases]
    assert [0, 1] == [phase.lost.count for phase in measured.phases]
    assert 1.0 == pytest.approx(measured.phases[1].lost.maximum, rel=0.001)
    assert 10.0 == measured.seconds


def test_arrivals() -> None:
    """Intended and started have series of their own; who never starts is counted, and intended all the same."""
    recorder = _recorder()
    recorder.arrived(START, START + 0.2)
    recorder.missed(START + 1)
    arrivals = recorder.measured.arrivals

    assert [1, 0, 0, 0, 0, 0, 0, 0, 1] == arrivals.intended.bins
    assert [0, 1] == arrivals.started.bins
    assert (1, 1) == (arrivals.missed, arrivals.late.count)
    assert 0.2 == pytest.approx(arrivals.late.maximum, rel=0.001)


def test_the_whole_way_is_counted_once_a_device() -> None:
    """A device that comes back has a latency from its loss, and is not another one."""
    recorder = _recorder()
    recorder.managed(START, START + 2, first=True)
    recorder.managed(START + 10, START + 11, first=False)

    assert 1 == recorder.measured.managed_once
    assert [1.0, 2.0] == pytest.approx(
        [seconds for seconds, _ in recorder.measured.steps[Step.MANAGED].latency.items()], rel=0.001
    )


def test_failures_are_grouped() -> None:
    """By side, phase, reason, status and code; the first of a group is its example, with its request."""
    recorder = Recorder(devices=3, start=START, way=Way(product="umslab"))
    busy = Failure(
        Phase.ENROL, Reason.BUSY, "HTTP 503: first", "wait", seen=Seen(Contact.ANSWERED, 503, "umslab/1", "02-1")
    )
    for at in (0.0, 1.0):
        recorder.failed(busy, START + at)
    recorder.failed(Failure(Phase.ENROL, Reason.BUSY, "HTTP 502", seen=Seen(Contact.ANSWERED, 502, "nginx")), START)
    server, proxy = recorder.measured.failures

    assert (Side.SERVER, 503, 38, 2) == (server.cause.side, server.cause.status, server.cause.code, server.count)
    assert ("HTTP 503: first", "wait", "02-1") == (server.example, server.hint, server.request)
    assert [1, 0, 0, 0, 0, 0, 0, 0, 1] == server.over_time.bins
    assert (Side.PROXY, 502, 1) == (proxy.cause.side, proxy.cause.status, proxy.count)


def test_an_answer_with_an_id_tells_what_the_backend_does() -> None:
    """From then on an answer without one is a proxy's."""
    recorder = _recorder()
    seen = Seen(Contact.ANSWERED, 503, "umslab/1", "02-1")
    recorder.failed(Failure(Phase.ENROL, Reason.BUSY, "", seen=seen), START)
    recorder.failed(Failure(Phase.ENROL, Reason.BUSY, "", seen=Seen(Contact.ANSWERED, 500, "umslab/1")), START)

    assert [Side.SERVER, Side.PROXY] == [group.cause.side for group in recorder.measured.failures]


def test_no_peer_can_add_causes_without_end() -> None:
    """A server that answers every status there is fills the table; then statuses are not told apart."""
    recorder = _recorder()
    for status in range(100, 1_200):
        seen = Seen(Contact.ANSWERED, status, "x" * 100)
        recorder.failed(Failure(Phase.ENROL, Reason.BUSY, "y" * 10_000, seen=seen), START)
    groups = recorder.measured.failures

    assert MOST_CAUSES + 2 == len(groups)  # one more for each side
    assert 1_100 == sum(group.count for group in groups)
    assert all(len(group.example) <= 300 for group in groups)
    encode_report(run_report(recorder.measured))


def test_the_generator_is_watched() -> None:
    """Peaks in each bin, all samples in the histogram, the busy ones counted."""
    recorder = _recorder()
    for cpu, lag in ((0.5, 0.001), (0.95, 0.02)):
        recorder.sampled(Health(cpu, lag, 1_000_000, 17), START)
    generator = recorder.measured.generators[0]

    assert (2, 1, 2) == (generator.samples, generator.busy, generator.lag.count)
    assert ([950], [20_000], [1_000_000], [17]) == (
        generator.cpu.bins,
        generator.lag_peaks.bins,
        generator.memory.bins,
        generator.descriptors.bins,
    )


def test_a_plan_with_very_many_phases() -> None:
    """Those that have no room count to the last."""
    recorder = _recorder()
    for number in range(MOST_PHASES + 5):
        recorder.begin_phase(f"phase {number}", START + number)
    recorder.moved(Condition.PLANNED, Condition.MANAGED, START + 100)

    assert MOST_PHASES == len(recorder.measured.phases)
    assert 1 == recorder.measured.phases[-1].gained.count


def test_a_record_does_not_grow_with_devices() -> None:
    """Ten times the devices in ten times the time need about the same room."""
    small = len(encode_report(run_report(storm(devices=100, ramp=100.0))))
    large = len(encode_report(run_report(storm(devices=1_000, ramp=1_000.0))))

    assert large < 3 * small
