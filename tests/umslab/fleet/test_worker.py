# SPDX-License-Identifier: Apache-2.0
"""A worker reads its job, waits for the moment, tells JSON lines, and goes when nobody wants it any more."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import msgspec

from umslab.fleet.job import Asked, Job, Told
from umslab_agent.fleet.report import decode_report
from umslab_agent.fleet.scenario import AtOnce, Onboard, Scenario

if TYPE_CHECKING:
    from collections.abc import Iterator

WORKER = [sys.executable, "-m", "umslab.fleet.worker"]
JOB = Job(scenario=Scenario(devices=2, arrivals=AtOnce(), phases=(Onboard(within_seconds=0.3),)), target="localhost:1")


def _told(lines: Iterator[bytes]) -> Iterator[Told]:
    for line in lines:
        yield msgspec.json.decode(line, type=Told)


def test_a_job_from_beginning_to_report() -> None:
    """Ready, then phases, then the report."""
    with subprocess.Popen(WORKER, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as worker:
        assert worker.stdin is not None
        assert worker.stdout is not None
        worker.stdin.write(msgspec.json.encode(JOB) + b"\n")
        worker.stdin.flush()
        told = _told(iter(worker.stdout))
        assert next(told).ready
        worker.stdin.write(b"0\n")
        worker.stdin.flush()
        rest = list(told)

    assert 0 == worker.returncode
    assert 2 == decode_report(bytes(rest[-1].report)).measured.devices
    assert "phase 1: onboard" in [one.say for one in rest]


def test_it_is_asked() -> None:
    """An answer for each request, with its number; what cannot be is a sentence, and the run goes on."""
    asked = [Asked(7, "status", {}), Asked(8, "fly", {}), Asked(9, "device", {"device": "1"})]
    job = msgspec.structs.replace(
        JOB, scenario=Scenario(devices=2, arrivals=AtOnce(), phases=(Onboard(within_seconds=1000),))
    )
    with subprocess.Popen(WORKER, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as worker:
        assert worker.stdin is not None
        assert worker.stdout is not None
        told = _told(iter(worker.stdout))
        worker.stdin.write(msgspec.json.encode(job) + b"\n0\n")
        worker.stdin.flush()
        next(one for one in told if one.levels is not None)
        worker.stdin.write(b"".join(msgspec.json.encode(one) + b"\n" for one in asked))
        worker.stdin.close()
        answers = {one.answer.id: one.answer for one in told if one.answer is not None}

    assert 0 == worker.returncode
    assert {7, 8, 9} == set(answers)
    assert "onboard" == (answers[7].result or {})["phase"]
    assert ("invalid", "a fleet knows no request 'fly'") == (answers[8].code, answers[8].error.partition(":")[0])
    assert 1 == (answers[9].result or {})["index"]


def test_what_cannot_run_is_a_sentence() -> None:
    """Also when it turns out late, and deep inside."""
    job = msgspec.structs.replace(JOB, dhcp_interface="lo")
    done = subprocess.run(
        WORKER, input=msgspec.json.encode(job) + b"\n0\n", capture_output=True, timeout=60, check=True
    )
    *_, last = [msgspec.json.decode(line, type=Told) for line in done.stdout.splitlines()]

    assert "inside a network namespace" in last.error
    assert b"" == done.stderr


def test_it_goes_when_nobody_is_there() -> None:
    """The other end of its input is closed: while it waits, and while it runs."""
    long = msgspec.structs.replace(
        JOB, scenario=Scenario(devices=2, arrivals=AtOnce(), phases=(Onboard(within_seconds=1000),))
    )
    with subprocess.Popen(WORKER, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as worker:
        out, _ = worker.communicate(msgspec.json.encode(long) + b"\n0\n", timeout=60)

    assert 0 == worker.returncode
    assert b'"report"' not in out


def test_without_a_job_it_ends() -> None:
    """Nothing was asked of it."""
    assert b"" == subprocess.run(WORKER, input=b"", capture_output=True, timeout=60, check=True).stdout
