# SPDX-License-Identifier: Apache-2.0
"""Shards that are merged are as one process that measured everything; what does not belong together is refused."""

from __future__ import annotations

import random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.fleet_runs import BUSY, GATEWAY, REFUSED, UMSLAB, run_report, storm
from umslab_agent.fleet.measured import Condition, Generator, Measured, Step
from umslab_agent.fleet.merging import merge_measured, merge_reports
from umslab_agent.fleet.recorder import Health, Recorder
from umslab_agent.fleet.report import ReportError, RunReport, encode_report


def _record(recorder: Recorder, chance: random.Random, devices: int) -> None:
    """Anything may happen to devices; `recorder` gets it, in whatever order."""
    for _ in range(devices):
        now = chance.uniform(0, 900)
        recorder.arrived(now - chance.random(), now)
        recorder.step(chance.choice(list(Step)), now, now + chance.expovariate(1), intended=now - chance.random())
        recorder.moved(Condition.PLANNED, chance.choice(list(Condition)[1:]), now)
        recorder.moved(Condition.MANAGED, Condition.OFFLINE, now + 1)
        recorder.managed(now, now + chance.random(), first=chance.random() < 0.5)
        recorder.failed(chance.choice([BUSY, GATEWAY, REFUSED]), now)
        if chance.random() < 0.2:
            recorder.missed(now)


def _new(devices: int) -> Recorder:
    recorder = Recorder(devices=devices, start=0.0)
    recorder.begin_phase("onboard", 0.0)
    return recorder


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 12), min_size=1, max_size=4), st.integers())
def test_exactly_the_whole(sizes: list[int], seed: int) -> None:
    """Whatever the split: histograms, counters and series are those of one recorder, apart from the generators."""
    whole = _new(sum(sizes))
    parts = []
    for place, size in enumerate(sizes):
        part = _new(size)
        for recorder in (part, whole):
            _record(recorder, random.Random(seed + place), size)
        parts.append(part.finish(1_000.0))
    merged = merge_measured(parts)
    expected = whole.finish(1_000.0)
    for one in (merged, expected):
        one.generators = []
        one.failures.sort(key=str)

    assert expected == merged


def test_each_process_keeps_its_health() -> None:
    """A mean of two processes would hide the one that is at its end."""
    parts = []
    for cpu in (0.1, 0.99):
        recorder = _new(1)
        recorder.sampled(Health(cpu, 0.0, 1, 1), 0.0)
        parts.append(recorder.measured)

    assert [100, 990] == [one.cpu.bins[0] for one in merge_measured(parts).generators]


def _shard(number: int, of: int = 3, **changes: object) -> RunReport:
    report = run_report(
        storm(seed=number, shard=number), number=number, of=of, thresholds=("managed >= 100", "failed < 1%")
    )
    return msgspec.structs.replace(report, **changes)


def test_reports() -> None:
    """In any order the same report; thresholds are judged anew; who is missing is known."""
    two = merge_reports([_shard(3), _shard(1)])
    three = merge_reports([two, _shard(2)])

    assert ([1, 3], [2]) == ([shard.number for shard in two.shards], two.missing)
    assert encode_report(three) == encode_report(merge_reports([_shard(1), _shard(2), _shard(3)]))
    assert [] == three.missing
    assert ([False, True], [True, True]) == (
        [result.met for result in run_report(thresholds=("managed >= 100", "failed < 1%")).thresholds],
        [result.met for result in three.thresholds],
    )
    assert "2026-01-01T08:00:00Z" == three.started


def test_the_parts_stay_as_they_were() -> None:
    """Merging changes no report that is merged."""
    one = _shard(1)
    before = encode_report(one)
    merge_reports([one, _shard(2)])

    assert before == encode_report(one)


OTHER_PLAN = msgspec.structs.replace(_shard(2).plan, digest="cd" * 32)
OTHER_SERVER = msgspec.structs.replace(UMSLAB, version="9")


@pytest.mark.parametrize(
    ("second", "why"),
    [
        (_shard(2, plan=OTHER_PLAN), "different plans"),
        (_shard(1), "shard 1/3 is in two"),
        (_shard(2, of=4, plan=_shard(1).plan), "a shard of 3, another a shard of 4"),
        (_shard(2, backend=OTHER_SERVER), "different servers"),
        (_shard(2, thresholds=[]), "different thresholds"),
    ],
    ids=lambda case: case if isinstance(case, str) else "",
)
def test_refused(second: RunReport, why: str) -> None:
    """What does not belong together."""
    with pytest.raises(ReportError, match=why):
        merge_reports([_shard(1), second])


def test_other_phases() -> None:
    """The same plan has the same phases; an interrupted shard may have fewer."""
    short, other = storm(seed=1), storm(seed=2)
    del short.phases[1:]

    assert ["onboard", "restart", "drain"] == [one.name for one in merge_measured([short, other]).phases]
    other.phases[0].name = "lunch"
    with pytest.raises(ReportError, match="different phases"):
        merge_measured([storm(), other])


def test_too_many_processes() -> None:
    """A report stays one that can be read."""
    with pytest.raises(ReportError, match="128 processes"):
        merge_measured([Measured(generators=[Generator() for _ in range(65)]) for _ in range(2)])
