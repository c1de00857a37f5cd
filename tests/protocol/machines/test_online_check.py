# SPDX-License-Identifier: Apache-2.0
"""Tests of umslab_protocol.machines.online_check: verdicts, the window, tries, and what is kept."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from umslab_protocol.errors import LocalProtocolError
from umslab_protocol.machines import online_check
from umslab_protocol.machines.online_check import (
    REMEMBERED_SWEEPS,
    CheckRules,
    Missed,
    OnlineCheck,
    Question,
    Reached,
    Skipped,
    Target,
    Verdict,
)
from umslab_protocol.values.unit_id import UnitId
from umslab_protocol.wire.probes import read_probe, write_online_answer

ALL = 1 << 20
REPLY_PORT = 4711


def target(number: int) -> Target:
    """The device with this number."""
    return Target(UnitId(f"02{number:010X}"), f"127.0.1.{number}", 30_005)


def check(**rules: float) -> OnlineCheck:
    """A machine with nonces that are the same in each run."""
    return OnlineCheck(CheckRules(**rules), reply_port=REPLY_PORT, entropy=random.Random(1).randbytes)  # type: ignore[arg-type]


def answer(question: Question) -> bytes:
    """What the device that is asked answers."""
    return write_online_answer(question.target.unit_id, question.nonce)


def test_device_that_answers_in_time_is_reached() -> None:
    """The probe names it, has a nonce and the port for the answer."""
    machine = check()
    machine.begin([target(1)])
    (question,) = machine.output(5.0, ALL)
    probe = read_probe(question.payload)

    assert (question.nonce, REPLY_PORT, target(1).unit_id) == (probe.nonce, probe.reply_port, probe.unit_id)
    assert machine.deadline() == 6.0
    assert Verdict.GOOD is machine.receive(answer(question), "127.0.1.1", 5.25)
    assert [Reached(target(1).unit_id, 0.25)] == machine.events()
    assert machine.over
    assert machine.deadline() is None


def test_device_that_does_not_answer_is_missed_at_its_deadline_and_not_before() -> None:
    """N4, with the timeout of N2."""
    machine = check(timeout_seconds=0.1)
    machine.begin([target(1)])
    machine.output(5.0, ALL)
    machine.on_deadline(5.0999)

    assert not machine.over
    machine.on_deadline(5.1)
    assert [Missed(target(1).unit_id)] == machine.events()
    assert machine.over


def test_answers_that_do_not_count_are_told_apart() -> None:
    """Each kind is counted, and none of them makes a device be reached."""
    machine = check()
    machine.begin([target(1), target(2)])
    first, second = machine.output(0.0, ALL)
    stranger = write_online_answer(target(9).unit_id, bytes(16))
    tried = [
        (Verdict.MALFORMED, b"", "127.0.1.1"),
        (Verdict.MALFORMED, first.payload, "127.0.1.1"),
        (Verdict.FORGED, write_online_answer(target(1).unit_id, bytes(16)), "127.0.1.1"),
        (Verdict.STRANGER, stranger, "127.0.1.1"),
        (Verdict.STRANGER, write_online_answer(target(2).unit_id, first.nonce), "127.0.1.1"),
        (Verdict.WRONG_SOURCE, answer(first), "127.0.1.2"),
    ]

    assert [verdict for verdict, _, _ in tried] == [machine.receive(data, host, 0.5) for _, data, host in tried]
    assert [] == machine.events()
    assert machine.under_way == 2
    assert Verdict.GOOD is machine.receive(answer(second), "127.0.1.2", 0.5)
    assert Verdict.DUPLICATE is machine.receive(answer(second), "127.0.1.2", 0.5)
    assert Verdict.DUPLICATE is machine.receive(answer(second), "127.0.1.2", 99.0)
    machine.on_deadline(1.0)
    assert Verdict.LATE is machine.receive(answer(first), "127.0.1.1", 1.0)
    assert Verdict.DUPLICATE is machine.receive(answer(first), "127.0.1.1", 1.0)
    assert {Reached(target(2).unit_id, 0.5), Missed(target(1).unit_id)} == set(machine.events())
    assert Counter(malformed=2, forged=1, stranger=2, good=1, duplicate=3, late=1) + Counter(
        {"wrong-source": 1}
    ) == Counter({str(verdict): count for verdict, count in machine.verdicts.items()})


def _sweep(machine: OnlineCheck, now: float, *numbers: int) -> list[Question]:
    """One that nobody answers."""
    machine.begin([target(number) for number in numbers])
    questions = machine.output(now, ALL)
    machine.on_deadline(now + 1)
    return questions


def test_late_answers_are_known_for_a_while() -> None:
    """For some sweeps; then they are like those of anybody."""
    machine = check()
    (first,) = _sweep(machine, 0.0, 1)
    latest = [_sweep(machine, 3.0 + number, 1)[0] for number in range(REMEMBERED_SWEEPS)][-1]

    assert Verdict.LATE is machine.receive(answer(first), "127.0.1.1", 99.0)
    assert Verdict.DUPLICATE is machine.receive(answer(first), "127.0.1.1", 99.0)
    _sweep(machine, 100.0, 1)
    assert Verdict.FORGED is machine.receive(answer(first), "127.0.1.1", 102.0)
    assert Verdict.LATE is machine.receive(answer(latest), "127.0.1.1", 102.0)


def test_memory_is_bounded_by_the_number_of_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Large sweeps are remembered for a shorter time, the last in any case."""
    monkeypatch.setattr(online_check, "REMEMBERED_PROBES", 3)
    machine = check()
    first = _sweep(machine, 0.0, 1, 2)[0]
    second = _sweep(machine, 3.0, 1, 2)[0]
    third = _sweep(machine, 6.0, 1, 2, 3, 4, 5)[0]
    machine.begin([])

    assert Verdict.FORGED is machine.receive(answer(first), "127.0.1.1", 9.0)
    assert Verdict.FORGED is machine.receive(answer(second), "127.0.1.1", 9.0)
    assert Verdict.LATE is machine.receive(answer(third), "127.0.1.1", 9.0)


def test_each_try_has_a_nonce_and_a_timeout_of_its_own() -> None:
    """Only when all were unanswered is the device missed; an answer to a try that is over is late."""
    machine = check(tries=3)
    machine.begin([target(1)])
    (first,) = machine.output(0.0, ALL)
    machine.on_deadline(1.0)
    (second,) = machine.output(1.0, ALL)

    assert first.nonce != second.nonce
    assert Verdict.LATE is machine.receive(answer(first), "127.0.1.1", 1.5)
    machine.on_deadline(2.0)
    assert [] == machine.events()
    (third,) = machine.output(2.0, ALL)
    assert Verdict.GOOD is machine.receive(answer(third), "127.0.1.1", 2.5)
    assert [Reached(target(1).unit_id, 0.5)] == machine.events()
    assert machine.probes == 3


def test_window_is_a_number_under_way_and_not_a_rate() -> None:
    """Answers and timeouts make room; without either nothing more is sent."""
    machine = check(parallel=2)
    machine.begin([target(number) for number in range(1, 6)])
    one, two = machine.output(0.0, ALL)

    assert ([], False) == (machine.output(0.9, ALL), machine.has_output)
    machine.receive(answer(two), "127.0.1.2", 0.9)
    assert [target(3)] == [question.target for question in machine.output(0.9, ALL)]
    machine.on_deadline(1.0)
    assert [target(4)] == [question.target for question in machine.output(1.0, ALL)]
    assert machine.deadline() == 1.9
    assert one.target == target(1)


def test_output_is_as_much_as_is_asked_for() -> None:
    """The driver looks at what has arrived in between."""
    machine = check()
    machine.begin([target(1), target(2), target(3)])

    assert [1, 1, 1, 0] == [len(machine.output(0.0, 1)) for _ in range(4)]


def test_device_that_may_not_be_asked_is_skipped() -> None:
    """It is neither reached nor missed."""
    machine = check()
    machine.begin([target(1)])
    (question,) = machine.output(0.0, ALL)
    machine.withdraw(question, "not ours")

    assert [Skipped(target(1).unit_id, "not ours")] == machine.events()
    assert machine.over
    assert machine.probes == 0
    machine.on_deadline(9.0)
    assert [] == machine.events()


def test_stopped_sweep_says_nothing() -> None:
    """What was under way is unknown; the next sweep can begin."""
    machine = check(parallel=1)
    machine.begin([target(1), target(2)])
    (question,) = machine.output(0.0, ALL)
    machine.stop()

    assert machine.over
    assert Verdict.LATE is machine.receive(answer(question), "127.0.1.1", 0.1)
    assert [] == machine.events()
    machine.begin([target(1)])


def test_sweeps_do_not_overlap_and_ask_each_once() -> None:
    """Otherwise the caller is wrong."""
    machine = check()
    machine.begin([target(1)])

    with pytest.raises(LocalProtocolError, match="under way"):
        machine.begin([target(2)])
    machine.stop()
    with pytest.raises(LocalProtocolError, match="each device once"):
        machine.begin([target(1), target(1)])
    machine.begin([])
    assert machine.over


def test_flood_of_forgeries_changes_nothing_and_is_not_kept() -> None:
    """A hundred thousand answers with guessed nonces: only a counter grows."""
    machine = check()
    machine.begin([target(number) for number in range(1, 101)])
    machine.output(0.0, ALL)
    chance = random.Random(2)
    for number in range(100_000):
        forged = write_online_answer(target(1 + number % 100).unit_id, chance.randbytes(16))
        assert Verdict.FORGED is machine.receive(forged, f"127.0.1.{1 + number % 100}", 0.5)

    assert machine.under_way == 100
    assert [] == machine.events()
    assert (100, 0) == (len(machine._flights), len(machine._older))
    assert {Verdict.FORGED: 100_000} == machine.verdicts
