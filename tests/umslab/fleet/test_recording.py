# SPDX-License-Identifier: Apache-2.0
"""A report names its plan, its shard, its machine, and judges the scenario's thresholds."""

from __future__ import annotations

from datetime import UTC, datetime

from umslab.fleet.recording import MAX_NOTE, MOST_NOTES, in_words, make_report
from umslab_agent.fleet.measured import Measured
from umslab_agent.fleet.plan import make_plan
from umslab_agent.fleet.report import Backend, RunReport, decode_report, encode_report
from umslab_agent.fleet.scenario import Exponential, Flat, Onboard, Scenario, Steady

SCENARIO = Scenario(
    name="mine",
    devices=9,
    seed=4,
    phases=(Onboard(), Steady(seconds=1)),
    retry=Flat(seconds=2),
    thresholds=("managed >= 50%", "failures <= 0"),
)


def _report(*, shard: tuple[int, int] = (1, 1), notes: list[str] | None = None) -> RunReport:
    return make_report(
        make_plan(SCENARIO).part(*shard),
        Measured(devices=9, seconds=3.0),
        backend=Backend(target="localhost:8443"),
        started=datetime(2026, 11, 28, 21, 0, 5, 30, tzinfo=UTC),
        notes=notes or [],
        interrupted=True,
        processes=2,
    )


def test_it_says_what_was_run() -> None:
    """Plan, phases, retry, shard, time; and it can be written and read."""
    found = _report(shard=(2, 3))
    (shard,) = found.shards

    assert ("mine", 4, 9, make_plan(SCENARIO).digest) == (
        found.plan.scenario,
        found.plan.seed,
        found.plan.devices,
        found.plan.digest,
    )
    assert ["onboard", "steady", "drain"] == found.plan.phases
    assert "flat: 2 s" == found.plan.retry
    assert (2, 3, 2, True, "2026-11-28T21:00:05.000030Z") == (
        shard.number,
        found.of_shards,
        shard.processes,
        shard.interrupted,
        shard.started,
    )
    assert shard.machine == _report().shards[0].machine
    assert encode_report(found) == encode_report(decode_report(encode_report(found)))


def test_thresholds_are_judged() -> None:
    """In the scenario's order."""
    assert [("managed >= 50%", False), ("failures <= 0", True)] == [(one.text, one.met) for one in _report().thresholds]


def test_notes_stay_few_and_short() -> None:
    """Each once, whatever happened."""
    notes = _report(notes=["same", "same", "long" * 100, *map(str, range(500))]).notes

    assert ("same", MAX_NOTE, MOST_NOTES) == (notes[0], len(notes[1]), len(notes))


def test_retry_in_words() -> None:
    """As a person would compare it."""
    assert "flat: 5 s, of which chance decides 50%" == in_words(Flat(jitter=0.5))
    assert "exponential: 1 s, then 2 times the last, at most 300 s, of which chance decides 50%" == in_words(
        Exponential()
    )
